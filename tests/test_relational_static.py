"""Static students trained on from an existing one: the relational loss, new pieces, passages, shares of corpora."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from configs.errors import ConfigError
from configs.load import load
from configs.settings import parse
from configs.training_corpora import CorporaSettings, CorpusSettings
from configs.training_static import StaticSettings, TokenizerSettings
from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.static_encoder import StaticEncoder
from indexer.vectors import translation_accuracy
from training.data.corpora import read_pairs
from training.data.joined_passages import SentenceLists
from training.data.token_lists import Ragged
from training.export.static_student import export_run, export_static
from training.models.static_start import open_start, unreadable_pieces
from training.models.teachers import encoder_vectors, kind_of
from training.recipes.static import read_tensors, train_static
from training.recipes.static_step import batch_loss
from training.recipes.tokenizer import save, train_tokenizer

WORDS = [a + b + c for a in "bdgkmp" for b in "aeiou" for c in ("lan", "ros", "tiv", "nek")]
HEBREW = str.maketrans(
    "abdegiklmnoprstuv",
    "\u05d0\u05d1\u05d3\u05d4\u05d2\u05d9\u05db\u05dc\u05de\u05e0\u05e2\u05e4\u05e8\u05e1\u05ea\u05d5\u05d8",
)


def other(text: str) -> str:
    """The other language: each word in Hebrew letters, which the first vocabulary lacks."""
    return text.translate(HEBREW)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StaticSettings]:
    """A static encoder of Latin words alone, a vocabulary of both scripts, and 1,500 pairs."""
    folder = tmp_path_factory.mktemp("task")
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.choice(WORDS, rng.integers(4, 10))) for _ in range(1500)]
    (folder / "en-xx.tsv").write_text("".join(f"{a}\t{other(a)}\n" for a in lines), "utf-8")
    for name, texts in (("own", lines), ("both", [*lines, *map(other, lines)])):
        (folder / name).mkdir()
        size = TokenizerSettings(size=300 if name == "own" else 600, words=0)
        save(train_tokenizer(texts, size), folder / name / "tokenizer.json")
    pieces = Tokenizer.from_file(str(folder / "own/tokenizer.json")).get_vocab_size()
    table = rng.normal(0, 0.3, (pieces, 32)).astype(np.float32)
    export_static(
        table, folder / "own/tokenizer.json", folder / "first", name="first", bits=16, card="card"
    )
    settings = StaticSettings(
        corpora=CorporaSettings((CorpusSettings(str(folder / "en-xx.tsv")),), language_share=0),
        loss="relational",
        start=str(folder / "first"),
        teacher="hash:64",
        vocabulary_from=str(folder / "both/tokenizer.json"),
        lowercase=False,
        dim=32,
        epochs=8,
        batch=64,
        warmup=5,
        learning_rate=0.02,
        passage_share=0.3,
    )
    return folder, settings


def test_training_goes_on_from_an_encoder_and_learns_a_script_that_it_could_not_read(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    folder, settings = task
    facts = train_static(settings, tmp_path / "run", cache=folder / "cache")
    licences = tmp_path / "README.md"
    licences.write_text("| source | from | licence as found |\n|---|---|---|\n")
    export_run(tmp_path / "run", tmp_path / "student", bits=8, name="second", licences=licences)
    fresh = [" ".join(np.random.default_rng(i).choice(WORDS, 4)) for i in range(2000, 2060)]
    back = [other(text) for text in fresh]
    first, second = StaticEncoder.load(folder / "first"), StaticEncoder.load(tmp_path / "student")
    before = translation_accuracy(first.encode(fresh), first.encode(back))
    after = translation_accuracy(second.encode(fresh), second.encode(back))
    assert max(before) < 0.1 and min(after) > 0.9
    assert facts["new_pieces"] > 50
    card = (tmp_path / "student/MODEL_CARD.md").read_text("utf-8")
    assert f"{facts['new_pieces']} pieces were added" in card and "PCA" not in card
    assert not second.table()[second.vocabulary()["[UNK]"]].any()


def test_the_same_seed_gives_the_same_table_also_after_a_kill(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    folder, settings = task
    settings = dataclasses.replace(settings, epochs=3)
    train_static(settings, tmp_path / "whole", cache=folder / "cache")

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done > total * 0.7:
            raise Killed

    with pytest.raises(Killed):
        train_static(settings, tmp_path / "killed", cache=folder / "cache", progress=kill)
    said: list[str] = []
    train_static(settings, tmp_path / "killed", cache=folder / "cache", talk=said.append)
    assert any("going on after epoch 2" in line for line in said)
    tables = [
        (tmp_path / name / "student.safetensors").read_bytes() for name in ("whole", "killed")
    ]
    assert tables[0] == tables[1]
    seeded = dataclasses.replace(settings, seed=2)
    train_static(seeded, tmp_path / "seeded", cache=folder / "cache")
    assert (tmp_path / "seeded/student.safetensors").read_bytes() != tables[0]


def test_pieces_of_known_languages_stay_where_they_are_while_a_new_one_is_learned(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    folder, settings = task
    lines = (folder / "en-xx.tsv").read_text("utf-8").splitlines()
    words = [line.split("\t")[0] for line in lines]
    (tmp_path / "en-yy.tsv").write_text("".join(f"{a}\t{a[::-1]}\n" for a in words), "utf-8")
    both = dataclasses.replace(
        settings.corpora,
        files=(*settings.corpora.files, CorpusSettings(str(tmp_path / "en-yy.tsv"))),
    )
    free = dataclasses.replace(settings, corpora=both, epochs=4, teacher_reads="source")
    held = dataclasses.replace(free, known=("yy",), steady=10.0)
    before = StaticEncoder.load(folder / "first").table()
    before = before / np.median(np.linalg.norm(before, axis=1))
    moved = {}
    for name, chosen in (("free", free), ("held", held)):
        train_static(chosen, tmp_path / name, cache=folder / "cache")
        after = read_tensors(tmp_path / name / "student.safetensors")["table"]
        moved[name] = np.linalg.norm(after[1 : len(before)] - before[1:], axis=1).mean()
        facts = json.loads((tmp_path / name / "run.json").read_text())
        assert facts["held_out"]["forward"] > 0.3
    assert moved["held"] < 0.1 * moved["free"]

    with pytest.raises(ConfigError, match="known: zz has no pairs in the corpora"):
        train_static(
            dataclasses.replace(held, known=("zz",)), tmp_path / "none", cache=folder / "cache"
        )
    with pytest.raises(ValueError, match="known and steady belong together"):
        dataclasses.replace(free, steady=10.0)
    with pytest.raises(ValueError, match="teacher_reads: source needs loss: relational"):
        StaticSettings(teacher_reads="source")


def test_a_gpu_trains_nearly_the_same_table(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    folder, settings = task
    tables = []
    for device in ("cpu", "cuda"):
        wanted = dataclasses.replace(settings, epochs=2, device=device)
        train_static(wanted, tmp_path / device, cache=folder / "cache")
        tables.append(read_tensors(tmp_path / device / "student.safetensors")["table"])
    np.testing.assert_allclose(tables[0], tables[1], atol=0.02)


def test_a_device_that_is_not_there_is_refused(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    folder, settings = task
    with pytest.raises(ConfigError, match="cuda:99"):
        train_static(dataclasses.replace(settings, device="cuda:99"), tmp_path, cache=folder)


def test_the_finished_table_can_keep_a_share_of_the_start(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    folder, settings = task
    tables = []
    for share in (0.0, 0.25, 1.0):
        mixed = dataclasses.replace(settings, epochs=1, start_weight=share)
        train_static(mixed, tmp_path / str(share), cache=folder / "cache")
        tables.append(read_tensors(tmp_path / str(share) / "student.safetensors")["table"])
    trained, mean, start = tables
    np.testing.assert_allclose(mean, 0.75 * trained + 0.25 * start, atol=1e-6)
    first = StaticEncoder.load(folder / "first").table()
    scale = np.median(np.linalg.norm(first, axis=1))
    np.testing.assert_allclose(start[1 : len(first)], first[1:] / scale, rtol=1e-5)  # 0 is unknown
    assert np.abs(trained - start).max() > 0.01


def test_a_checkpoint_of_another_start_is_refused(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    folder, settings = task
    start = tmp_path / "first"
    table = StaticEncoder.load(folder / "first").table()
    export_static(table, folder / "own/tokenizer.json", start, name="first", bits=16)
    settings = dataclasses.replace(settings, start=str(start))

    def kill(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_static(settings, tmp_path / "run", cache=folder / "cache", progress=kill)
    export_static(2 * table, folder / "own/tokenizer.json", start, name="first", bits=8)
    with pytest.raises(ConfigError, match="another start"):
        train_static(settings, tmp_path / "run", cache=folder / "cache")


def test_what_cannot_be_started_from_is_told(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    folder, settings = task
    for change, said in (
        ({"dim": 48}, "the start, has 32 dimensions, the student cannot have 48"),
        ({"start": "hash"}, "start: hash is no static encoder"),
        ({"start": str(folder / "own")}, "own"),
        ({"vocabulary_from": "nowhere"}, "vocabulary_from: nowhere cannot be read"),
    ):
        with pytest.raises(ConfigError, match=said):
            train_static(dataclasses.replace(settings, **change), tmp_path / "run")
    pieces = train_tokenizer(["a b"] * 9, TokenizerSettings(size=100, kind="wordpiece"))
    save(pieces, tmp_path / "wordpiece.json")
    worded = dataclasses.replace(settings, vocabulary_from=str(tmp_path / "wordpiece.json"))
    with pytest.raises(ConfigError, match="is a WordPiece tokenizer; a Unigram one"):
        open_start(worded)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": "fast"}, "start needs loss: relational"),
        ({"passage_share": 0.1}, "passage_share needs loss: relational"),
        ({"loss": "relational", "vocabulary_from": "accurate"}, "no start is set"),
        ({"loss": "relational", "start_weight": 0.4}, "no start is set"),
        ({"loss": "relational", "teacher_tokens": 64}, "leave them out"),
        ({"loss": "relational", "passage_share": 1.5}, "passage_share must be from 0"),
        ({"loss": "related"}, "related"),
        (
            {"corpora": {"files": [{"path": "a.tsv", "share": 0.5}, {"path": "b.tsv"}]}},
            "b.tsv has no share",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_told(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(StaticSettings, changes, "run.yaml")


def test_the_configuration_that_ships_is_read() -> None:
    settings = load(StaticSettings, "fast", [])
    assert (settings.loss, settings.teacher) == ("relational", "accurate")
    assert sum(corpus.share for corpus in settings.corpora.files) == pytest.approx(1)


def test_pieces_that_can_be_read_are_not_added(task: tuple[Path, StaticSettings]) -> None:
    tokenizer = json.loads((task[0] / "own/tokenizer.json").read_text("utf-8"))
    offered = [
        ("<s>", 0.0),
        ("\u2581\u05d0\u05d1", -3.0),
        ("\u2581BA", -3.0),  # folded, it is read
        ("\u05d0", -4.0),
        ("\u2581!!", -3.0),
        ("\u05d0\u2581\u05d1", -3.0),
    ]
    assert unreadable_pieces(tokenizer, offered) == [("\u2581\u05d0\u05d1", -3.0), ("\u05d0", -4.0)]


def test_new_pieces_start_where_the_teacher_puts_them(task: tuple[Path, StaticSettings]) -> None:
    start = open_start(task[1])
    texts = [f"{a} {b}" for a in WORDS[:30] for b in WORDS[30:60]]
    ours = start.encoder.encode(texts)
    mixed = np.linalg.qr(np.random.default_rng(3).normal(size=(32, 32)))[0].astype(np.float32)
    # the teacher is the encoder itself, turned: the pieces must be turned back
    pieces = start.encoder.encode(texts[: len(start.pieces)])
    table = start.table(texts, ours @ mixed, pieces @ mixed, seed=1)
    size = len(start.encoder.table())
    assert table.shape == (size + len(start.pieces), 32)
    known = np.linalg.norm(table[:size], axis=1)
    assert np.median(known) == pytest.approx(1, abs=0.01)
    fresh = table[size:]
    cosines = (fresh * pieces).sum(1) / np.linalg.norm(fresh, axis=1)
    assert cosines.min() > 0.999 and np.linalg.norm(fresh, axis=1).max() <= 1


def test_the_relational_loss_is_the_formula() -> None:
    unit = torch.eye(2)
    settings = StaticSettings(loss="relational", temperature=1.0, relation_weight=2.0)
    same = torch.eye(2, dtype=torch.bool)
    # swapped sides: nce is log(1 + e); q is (e, 1) / (e + 1), and so softmax is (1, e) / (e + 1)
    loss = batch_loss(unit, unit.flip(0), unit, same, settings)
    high, low = np.e / (np.e + 1), 1 / (np.e + 1)
    expected = np.log1p(np.e) - 2 * (high * np.log(low) + low * np.log(high))
    assert float(loss) == pytest.approx(expected, abs=1e-6)
    # pairs that the teacher finds near each other are no negatives
    alike = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    settings = dataclasses.replace(settings, relation_weight=0.0)
    assert float(batch_loss(unit, unit, alike, same, settings)) == pytest.approx(0.0, abs=1e-6)


def test_a_passage_is_a_sentence_among_others_of_its_language() -> None:
    sizes = [7, 7, 2, 7, 7]  # tokens; the third is no sentence
    ids = np.repeat(np.arange(5), sizes).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    lists = SentenceLists(Ragged(ids, starts), np.array([0, 0, 0, 1, -1]))
    rows = np.array([0, 2, 3, 4])
    found, first = lists.gather(rows, 1.0, np.random.default_rng(1))
    texts = [set(part.tolist()) for part in np.split(found, first[1:])]
    assert texts[0] == {0, 1} and texts[1:] == [{2}, {3}, {4}]
    lengths = np.diff([*first, len(found)]) // 7
    assert 4 <= lengths[0] <= 10 and 4 <= lengths[2] <= 10 and lengths[3] == 1
    plain, _ = lists.gather(rows, 0.0, np.random.default_rng(1))
    assert len(plain) == 7 + 2 + 7 + 7


def test_an_encoder_teaches_questions_as_queries_and_is_asked_once(tmp_path: Path) -> None:
    assert kind_of("where is it?") == kind_of("a short one") == "query"
    kinds = [kind_of(f"a sentence of five words {i}") for i in range(100)]
    assert 30 < kinds.count("passage") < 70
    texts = ["a dog", "is a cat at home now?", "the third text is longer than that"]
    encoder = HashEncoder(64)
    vectors = encoder_vectors(texts, tmp_path, encoder="hash:64", model=encoder)
    np.testing.assert_allclose(vectors, HashEncoder(64).encode(texts), atol=1e-3)
    asked: list[int] = []
    encoder_vectors(
        texts,
        tmp_path,
        encoder="hash:64",
        model=encoder,
        progress=lambda done, total: asked.append(done),
    )
    assert asked == []


def test_entries_have_the_shares_that_are_asked_for_and_a_sample_keeps_them(tmp_path: Path) -> None:
    for name, count in (("large", 4000), ("small", 1000)):
        rows = "".join(f"{name} {i}\t{name} xx {i}\n" for i in range(count))
        (tmp_path / f"{name}.en-xx.tsv").write_text(rows, "utf-8")
    files = tuple(
        CorpusSettings(str(tmp_path / f"{name}.en-xx.tsv"), share=share)
        for name, share in (("large", 0.25), ("small", 0.75))
    )
    corpora = CorporaSettings(files, language_share=0)
    whole = read_pairs(corpora)
    small = np.array([text.startswith("small") for text in whole.sources])
    assert whole.weight[small].sum() / whole.weight.sum() == pytest.approx(0.75)
    some = read_pairs(dataclasses.replace(corpora, pairs=400), seed=1)
    count = sum(text.startswith("small") for text in some.sources)
    # a little under 300: a weighted sample without replacement takes less of what is taken often
    assert len(some) == len(set(some.sources)) == 400 and 250 < count < 310
    assert some.weight.tolist() == [1.0] * 400
    again = read_pairs(dataclasses.replace(corpora, pairs=400), seed=1)
    assert again.sources == some.sources
