"""`train static`: a static student from parallel sentences and a teacher.

A token has one vector; a text's is their sum, scaled to unit length. Training puts both sides of a
pair near the teacher's vector of its source side, or (loss: relational) near each other and as similar to other
pairs as a multilingual teacher finds them (`training.recipes.static_step` has the losses). The table is random at first,
or an existing encoder's (`training.models.static_start`). With passage_share, sentences are trained within passages:
of the target side in two steps of three, of the source side in the third. Adam's rate rises for `warmup` steps and then falls to 0. After each epoch a checkpoint is written and the
translation accuracy of held-out pairs is taken; a run that was killed goes on from its checkpoint
and ends with the same table, bit for bit, as one that was not.

The output folder:

    student.safetensors      the table when done: `table` (tokens, dim) float32; the best if patience is set
    tokenizer.json           a copy, with the pieces of vocabulary_from if that is set
    log.jsonl                one line an epoch; tensorboard/ beside it where that is installed
    run.json                 settings, corpora with counts, PCA's share, figures: what the card tells
    checkpoint.safetensors   removed when done
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError, MissingExtra, TandemError
from configs.training import AlarmSettings
from configs.training_static import StaticSettings
from indexer.schema import Matrix
from indexer.text.spelling import normalise
from indexer.vectors import principal_axes, unit_rows
from training.data.corpora import Pairs, read_pairs
from training.data.joined_passages import SentenceLists
from training.data.token_lists import Ragged, token_lists, unaccented
from training.models.static_start import StaticStart, open_start
from training.models.teachers import encoder_vectors, multilingual_teacher, teacher_vectors
from training.recipes.static_step import Lists, SparseAdam, Table, train_step
from training.run.collapse_alarm import Collapse, Health, collapse, health
from training.run.device import pick_device
from training.run.run_log import Journal

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

__all__ = ["train_static"]

Talk = Callable[[str], None]
Progress = Callable[[int, int], None]

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"


def train_static(
    settings: StaticSettings,
    out: Path,
    *,
    cache: Path | None = None,
    talk: Talk | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train into the folder `out`; the facts of the run, as run.json holds them.

    `cache` keeps the teacher's vectors (default: in `out`). `progress(done, total)` counts steps.
    Raises ConfigError and DocumentError for settings and corpora that cannot be used, Collapse when
    the student's vectors no longer tell texts apart, TandemError when the disk is full.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "train", "training") from error
    from tokenizers import Tokenizer

    say = talk or (lambda _: None)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = pick_device(settings.device)
    start = open_start(settings) if settings.start else None
    text = start.tokenizer if start else _tokenizer_text(settings)
    tokenizer = Tokenizer.from_str(text)
    out.mkdir(parents=True, exist_ok=True)
    _same_run(settings, text, start.encoder.fingerprint if start else "", out)
    pairs = read_pairs(settings.corpora, seed=settings.seed, talk=say)
    facts = {"settings": dataclasses.asdict(settings), **_corpus_facts(pairs)}
    pairs, held = pairs.split(settings.held_out, settings.seed)
    pairs = _with_unaccented(pairs, settings)
    say(f"{len(pairs)} pairs to train on, {len(held)} held out")

    texts, place = _unique([*pairs.sources, *held.sources], settings.lowercase)
    source_of = place[: len(pairs)]
    initial = None
    if settings.loss == "relational":
        goal, initial = _relational(
            settings, start, pairs, texts, source_of, cache or out / "teacher", facts, say
        )
        goal_of = np.arange(len(pairs))
    else:
        vectors = teacher_vectors(
            texts,
            cache or out / "teacher",
            teacher=settings.teacher,
            max_tokens=settings.teacher_tokens,
            precision=settings.teacher_precision,
            progress=lambda done, total: say(f"teacher's vectors: {done} of {total}"),
        )
        goal, facts["pca_share"] = _projected(vectors, settings)
        goal_of = source_of
        del vectors
    in_training = np.full(len(texts), -1)
    in_training[source_of] = 0  # held-out texts stand in no passage
    facts["normalised"] = start is not None and start.encoder.normalised

    def lists(some: list[str]) -> Ragged:
        if facts["normalised"]:  # as the encoder will be asked
            some = [*map(normalise, some)]
        return token_lists(tokenizer, some, settings.max_tokens)

    data = _Data(
        SentenceLists(lists(texts), in_training),
        SentenceLists(lists(pairs.targets), pairs.language),
        source_of,
        torch.from_numpy(goal),
        goal_of,
        lists(held.sources),
        lists(held.targets),
        held,
    )
    share = (
        _step_shares(settings, pairs, data, tokenizer.get_vocab_size()) if settings.steady else None
    )
    table = _new_table(settings, tokenizer, initial, share, device)
    kept = _run(settings, table, pairs, data, out, facts, say, progress)
    if start is not None and initial is not None:
        kept = (1 - settings.start_weight) * kept + settings.start_weight * initial
        kept[json.loads(text)["model"]["unk_id"]] = 0.0  # a piece that is not known says nothing
        facts["held_out"].update(dataclasses.asdict(_health(kept, data)))
    write_tensors(out / "student.safetensors", {"table": kept})
    (out / "tokenizer.json").write_text(text, "utf-8")
    (out / "run.json").write_text(json.dumps(facts, indent=1, default=str) + "\n", "utf-8")
    for name in (CHECKPOINT, BEST):
        (out / name).unlink(missing_ok=True)
    return facts


@dataclasses.dataclass(frozen=True, slots=True)
class _Data:
    """Everything in numbers. Of each pair, `source_of` names its list in `sources`, `goal_of` its row in `goal`."""

    sources: SentenceLists
    targets: SentenceLists
    source_of: NDArray[np.int64]  # (pairs,)
    goal: torch.Tensor  # (goals, teacher's dim, or dim with loss: teacher) unit rows
    goal_of: NDArray[np.int64]  # (pairs,)
    held_sources: Ragged
    held_targets: Ragged
    held: Pairs

    def batch(
        self, rows: NDArray[np.integer], settings: StaticSettings, number: int
    ) -> tuple[Lists, Lists]:
        """The token lists of the two sides of these pairs, some of one side as passages; the same for one step `number`."""
        rng = np.random.default_rng([settings.seed, 0x9A55, number])
        shares = [0.0, settings.passage_share] if number % 3 else [settings.passage_share, 0.0]
        return (
            self.sources.gather(self.source_of[rows], shares[0], rng),
            self.targets.gather(rows, shares[1], rng),
        )


def _relational(
    settings: StaticSettings,
    start: StaticStart | None,
    pairs: Pairs,
    texts: list[str],
    source_of: NDArray[np.int64],
    cache: Path,
    facts: dict[str, Any],
    say: Talk,
) -> tuple[Matrix, Matrix | None]:
    """(the teacher's vectors of each pair, both sides together, unit rows; the table to start from, if any)."""

    model = multilingual_teacher(settings.teacher, settings.device)

    def taught(some: list[str]) -> Matrix:
        return encoder_vectors(
            some,
            cache,
            encoder=settings.teacher,
            model=model,
            progress=lambda done, total: say(f"teacher's vectors: {done} of {total}"),
        )

    read, place = texts, np.arange(len(texts))
    if settings.teacher_reads == "both":
        read, place = _unique([*texts, *pairs.targets], lowercase=False)
    vectors = taught(read)
    targets = place[len(texts) :]
    goal = np.empty((len(pairs), vectors.shape[1]), np.float32)
    for first in range(0, len(pairs), 100_000):
        some = slice(first, first + 100_000)
        goal[some] = vectors[source_of[some]]
        if len(targets):
            goal[some] = unit_rows(goal[some] + vectors[targets[some]])
    if start is None:
        return goal, None
    facts["new_pieces"] = len(start.pieces)
    if start.pieces:
        say(f"{len(start.pieces)} pieces that {settings.start} cannot read are added")
    return goal, start.table(read, vectors, taught(list(start.pieces)), settings.seed)


def _run(
    settings: StaticSettings,
    table: Table,
    pairs: Pairs,
    data: _Data,
    out: Path,
    facts: dict[str, Any],
    say: Talk,
    progress: Progress | None,
) -> NDArray[np.float32]:
    """The epochs that are still to do; the table that is kept."""
    per_epoch = len(pairs) // settings.batch
    if not per_epoch:
        raise ConfigError(f"{len(pairs)} pairs make no batch of {settings.batch}; lower batch")
    total = per_epoch * settings.epochs
    done, history = _resumed(table, out / CHECKPOINT, say)
    with contextlib.closing(Journal.open(out, done)) as journal:  # its steps are epochs
        for epoch in range(done, settings.epochs):
            if _patience_lost(history, settings.patience):
                say(f"no better for {settings.patience} epochs: stopped after {epoch}")
                break
            began = time.monotonic()
            rows = pairs.draw(len(pairs), settings.seed, epoch)
            losses = []
            for turn in range(min(per_epoch, len(rows) // settings.batch)):
                number = epoch * per_epoch + turn + 1
                batch = rows[turn * settings.batch : (turn + 1) * settings.batch]
                sources, targets = data.batch(batch, settings, number)
                rate = settings.learning_rate * min(
                    number / max(1, settings.warmup), 1 - (number - 1) / total
                )
                losses.append(
                    train_step(
                        table,
                        sources,
                        targets,
                        data.source_of[batch],
                        data.goal[data.goal_of[batch]],
                        settings,
                        rate,
                        number,
                    )
                )
                if progress is not None:
                    progress(number, total)
            state = _health(table.vectors(), data)
            history.append(state)
            line = {
                "epoch": epoch + 1,
                "loss": float(np.mean(losses)),
                "seconds": round(time.monotonic() - began, 1),
                **dataclasses.asdict(state),
            }
            facts["held_out"] = line
            _log(journal, line, say)
            trouble = collapse(history, AlarmSettings())
            if trouble:
                raise Collapse(
                    f"epoch {epoch + 1}: {trouble}; lower learning_rate or look at the corpora "
                    f"(the checkpoint of the epoch before is kept in {out})"
                )
            if settings.patience and state.accuracy == max(
                item.accuracy or 0.0 for item in history
            ):
                write_tensors(out / BEST, {"table": table.vectors()})
            _save_checkpoint(table, out / CHECKPOINT, history)
    if settings.patience and (out / BEST).is_file():
        return read_tensors(out / BEST)["table"]
    return table.vectors()


def _patience_lost(history: list[Health], patience: int) -> bool:
    scores = [state.accuracy or 0.0 for state in history]
    return bool(patience and scores and len(scores) - 1 - int(np.argmax(scores)) >= patience)


def _log(journal: Journal, line: Mapping[str, Any], say: Talk) -> None:
    figures = {name: value for name, value in line.items() if name != "epoch" and value is not None}
    journal.write(int(line["epoch"]), figures)
    say(
        f"epoch {line['epoch']}: loss {line['loss']:.4f}, translation accuracy of held-out pairs "
        f"{line['forward']:.3f} / {line['back']:.3f}, {line['seconds']:.0f} s"
    )


def _health(vectors: NDArray[np.float32], data: _Data) -> Health:
    """Of the held-out pairs, each language by itself, then the mean: a language is no other's distractor."""
    found = []
    for number in range(len(data.held.languages)):
        rows = np.flatnonzero(data.held.language == number)
        if len(rows) >= 2:
            found.append(
                health(
                    summed(vectors, data.held_sources, rows),
                    summed(vectors, data.held_targets, rows),
                )
            )
    if not found:
        return Health(0.0, float(vectors.shape[1]), 0.0, 0.0)
    return Health(
        float(np.mean([state.cosine for state in found])),
        float(np.mean([state.rank for state in found])),
        float(np.mean([state.forward or 0.0 for state in found])),
        float(np.mean([state.back or 0.0 for state in found])),
    )


def summed(vectors: NDArray[np.float32], texts: Ragged, rows: NDArray[np.integer]) -> Matrix:
    """The student's vectors of the lists `rows`: (len(rows), dim) unit rows."""
    result = np.zeros((len(rows), vectors.shape[1]), np.float32)
    ids, first = texts.gather(rows)
    filled = np.flatnonzero(np.diff([*first, len(ids)]))
    if len(filled):
        result[filled] = np.add.reduceat(vectors[ids], first[filled], axis=0)
    return unit_rows(result)


def _projected(vectors: Matrix, settings: StaticSettings) -> tuple[Matrix, float]:
    width = vectors.shape[1]
    if settings.dim > width:
        raise ConfigError(
            f"dim: the teacher {settings.teacher} has {width} dimensions, the student cannot have {settings.dim}"
        )
    if settings.dim == width:
        return vectors, 1.0
    narrow = vectors @ principal_axes(vectors, settings.dim)
    share = float(np.square(narrow).sum() / np.square(vectors).sum())  # of the squared length
    return unit_rows(narrow), share


def _unique(texts: list[str], lowercase: bool) -> tuple[list[str], NDArray[np.int64]]:
    """(each text once, the place of each of `texts` among them), in lower case if told so."""
    places: dict[str, int] = {}
    found = np.fromiter(
        (places.setdefault(text.lower() if lowercase else text, len(places)) for text in texts),
        np.int64,
        len(texts),
    )
    return list(places), found


def _with_unaccented(pairs: Pairs, settings: StaticSettings) -> Pairs:
    """`pairs`, with copies without accents of a share of those that have some in Latin script."""
    if not settings.unaccented:
        return pairs
    rng = np.random.default_rng([settings.seed, 7])
    chosen = np.flatnonzero(rng.random(len(pairs)) < settings.unaccented)
    plain = [unaccented(pairs.targets[i]) for i in chosen]
    differs = [
        number
        for number, (row, text) in enumerate(zip(chosen, plain, strict=True))
        if text != pairs.targets[row]
        and any("À" <= c <= "ɏ" or "Ḁ" <= c <= "ỿ" for c in pairs.targets[row])
    ]
    rows = np.concatenate([np.arange(len(pairs)), chosen[differs]])
    more = pairs.take(rows)
    more.targets[len(pairs) :] = [plain[number] for number in differs]
    return more


def _tokenizer_text(settings: StaticSettings) -> str:
    path = Path(settings.tokenizer)
    if not path.is_file():
        raise ConfigError(f"tokenizer: {path} does not exist; make it with tandem train tokenizer")
    return path.read_text("utf-8")


def _step_shares(
    settings: StaticSettings, pairs: Pairs, data: _Data, pieces: int
) -> NDArray[np.float32]:
    """(pieces,): how much of its step each piece goes, by how often it stands in the pairs of known languages."""
    missing = set(settings.known) - set(pairs.languages)
    if missing:
        raise ConfigError(
            f"known: {', '.join(sorted(missing))} has no pairs in the corpora; name a file of it, or leave it out"
        )
    numbers = [pairs.languages.index(language) for language in settings.known]
    rows = np.flatnonzero(np.isin(pairs.language, numbers))
    times = np.zeros(pieces)
    for lists, of in ((data.targets, rows), (data.sources, np.unique(data.source_of[rows]))):
        times += np.bincount(lists.lists.gather(of)[0], minlength=pieces)
    million = times * (1e6 / max(1.0, times.sum()))
    shares: NDArray[np.float32] = (1 / (1 + million / settings.steady)).astype(np.float32)
    return shares


def _new_table(
    settings: StaticSettings,
    tokenizer: Tokenizer,
    initial: Matrix | None,
    share: NDArray[np.float32] | None,
    device: torch.device,
) -> Table:
    """The table before the first step: `initial`, or a random one."""
    import torch

    if initial is not None:
        tokens = torch.from_numpy(initial.copy())
    else:
        maker = torch.Generator().manual_seed(settings.seed)
        size = (tokenizer.get_vocab_size(), settings.dim)
        tokens = torch.empty(size).normal_(0, 0.05, generator=maker)
    tokens = tokens.to(device)
    shares = None if share is None else torch.from_numpy(share).to(device)
    if not settings.buckets:
        return Table(SparseAdam(tokens), share=shares)
    grams = SparseAdam(torch.zeros(settings.buckets, settings.dim, device=device))
    return Table(SparseAdam(tokens), grams, character_grams(tokenizer, settings.buckets), shares)


def character_grams(tokenizer: Tokenizer, buckets: int) -> Ragged:
    """Each token's character 3- to 5-grams, as numbers of hash buckets; the whole token is none."""
    pieces = [""] * tokenizer.get_vocab_size()
    for piece, number in tokenizer.get_vocab().items():
        pieces[number] = piece
    ids: list[int] = []
    starts = [0]
    for piece in pieces:
        found = {
            zlib.crc32(piece[i : i + size].encode("utf-8")) % buckets
            for size in (3, 4, 5)
            for i in range(len(piece) - size + 1)
            if size < len(piece)
        }
        ids.extend(sorted(found))
        starts.append(len(ids))
    return Ragged(np.array(ids, np.int32), np.array(starts, np.int64))


def _corpus_facts(pairs: Pairs) -> dict[str, Any]:
    counts = np.bincount(pairs.origin, minlength=len(pairs.origins))
    shares = np.bincount(pairs.origin, weights=pairs.weight, minlength=len(pairs.origins)) / max(
        1, len(pairs)
    )
    return {
        "pairs": len(pairs),
        "languages": pairs.by_language(),
        "sources": {
            name: {"pairs": int(count), "share": round(float(share), 5)}
            for name, count, share in zip(pairs.origins, counts, shares, strict=True)
        },
        "overlap": _summed_counts(report.overlap for report in pairs.reports),
        "left_out": sum(report.read - report.kept for report in pairs.reports),
    }


def _summed_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in counts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return total


def _same_run(settings: StaticSettings, tokenizer: str, start: str, out: Path) -> None:
    """Refuse to go on from a checkpoint of other settings, another tokenizer or another `start` (its fingerprint)."""
    facts = dataclasses.asdict(settings)
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    digest.update((tokenizer + start).encode("utf-8"))
    mark = out / "settings.sha256"
    if (out / CHECKPOINT).is_file() and mark.is_file() and mark.read_text() != digest.hexdigest():
        raise ConfigError(
            f"{out}: holds a checkpoint of other settings, another tokenizer or another start; "
            "give the old settings to go on, or name another folder"
        )
    mark.write_text(digest.hexdigest())


def _save_checkpoint(table: Table, path: Path, history: list[Health]) -> None:
    state = {"tokens": table.tokens, "grams": table.grams}
    tensors = {
        f"{name}.{part}": getattr(adam, part).cpu().numpy()
        for name, adam in state.items()
        if adam is not None
        for part in ("value", "first", "second")
    }
    notes = {"history": json.dumps([dataclasses.asdict(item) for item in history])}
    write_tensors(path, tensors, notes)


def _resumed(table: Table, path: Path, say: Talk) -> tuple[int, list[Health]]:
    """Fill `table` from a checkpoint, if there is one; the epochs that are done."""
    import torch
    from safetensors import safe_open

    if not path.is_file():
        return 0, []
    tensors = read_tensors(path)
    for name, adam in (("tokens", table.tokens), ("grams", table.grams)):
        if adam is not None:
            for part in ("value", "first", "second"):
                getattr(adam, part).copy_(torch.from_numpy(tensors[f"{name}.{part}"]))
    with safe_open(path, "np") as file:
        history = [Health(**item) for item in json.loads(file.metadata()["history"])]
    say(f"going on after epoch {len(history)}, from {path}")
    return len(history), history


def write_tensors(
    path: Path, tensors: Mapping[str, NDArray[Any]], notes: dict[str, str] | None = None
) -> None:
    """Write whole or not at all: a file that was there stays until the new one is on the disk."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    scratch = path.with_suffix(".part")
    try:
        save_file(dict(tensors), scratch, metadata=notes)
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    except (OSError, SafetensorError) as error:
        scratch.unlink(missing_ok=True)
        raise TandemError(
            f"{path}: cannot be written ({error}); what was written before is kept: "
            "make room and run the same command again"
        ) from error


def read_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    from safetensors.numpy import load_file

    return dict(load_file(path))
