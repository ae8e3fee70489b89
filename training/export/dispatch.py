"""`train export`: recognises the kind of model in a folder and calls its exporter."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from configs.errors import ConfigError
from indexer.encoders import tokenizer_files
from indexer.encoders.neutral_space import SAVED, NeutralSpace
from indexer.encoders.transformer_encoder import is_compact
from training.models import e5_package

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from training.export.static_student import Bits

__all__ = ["Export", "Format", "Kind", "export_student", "kind_of"]

Format = Literal["compact", "sentence-transformers", "onnx"]
Kind = Literal["static run", "static", "compact", "transformer"]
Talk = Callable[[str], None]

WHITENED = 3000
"""Pairs whose sentences tell a transformer's spread: 6,000 of them for 384 dimensions."""


@dataclass(frozen=True, slots=True)
class Export:
    """What is wanted; `tandem train export --help` tells each."""

    format: Format = "compact"
    bits: Bits | Literal[32] | None = None
    """None: 8 of a compact student, 32 of another."""
    name: str = ""
    length_power: float = 1.0
    whiten: float = 0.0
    neutral: bool = False
    licences: Path | None = None
    figures: Path | None = None


def kind_of(run: Path) -> Kind:
    """What lies in `run`. Raises ConfigError where there is no student."""
    if run.name in e5_package.NAMES and not run.is_dir():
        return "transformer"
    if not run.is_dir():
        raise ConfigError(f"{run}: there is no such folder; give what `tandem train` wrote")
    if is_compact(run):
        return "compact"
    if (run / "model" / "modules.json").is_file() or (run / "modules.json").is_file():
        return "transformer"
    if (run / "student.safetensors").is_file() or (run / "settings.sha256").is_file():
        return "static run"
    if (run / "model.safetensors").is_file() and tokenizer_files.find(run).is_file():
        return "static"
    raise ConfigError(
        f"{run}: holds no finished student: no student.safetensors of tandem train static, no model/ of "
        "the other recipes, no exported student; run the training command again with the same --out "
        "to finish it"
    )


def export_student(run: Path, out: Path, wanted: Export, talk: Talk) -> None:
    """Write the student of `run` to the folder `out`. Raises ConfigError for what does not go together."""
    kind = kind_of(run)
    name = wanted.name or out.resolve().name
    if kind != "static run" and wanted.length_power != 1.0:
        raise ConfigError(
            f"{run}: --length-power is for what tandem train static wrote, not for a {kind}"
        )
    if wanted.whiten and (wanted.format != "compact" or kind not in ("static run", "transformer")):
        raise ConfigError(
            f"{run}: --whiten is for a training folder and --format compact; export that first, then the "
            "compact folder in another format"
        )
    if wanted.format == "compact":
        _compact(run, kind, out, name, wanted, talk)
    else:
        _for_others(run, kind, out, name, wanted, talk)


def _compact(run: Path, kind: Kind, out: Path, name: str, wanted: Export, talk: Talk) -> None:
    bits = 8 if wanted.bits is None else wanted.bits
    if bits == 32:
        raise ConfigError("--bits 32: a compact student keeps 4, 8 or 16")
    if kind == "static run":
        from training.export.static_student import export_run

        export_run(
            run,
            out,
            bits=bits,
            name=name,
            length_power=wanted.length_power,
            whiten=wanted.whiten,
            licences=wanted.licences,
            figures=wanted.figures,
            talk=talk,
        )
    elif kind == "transformer":
        from training.export.transformer_card import account_of, portable
        from training.export.transformer_student import export_compact, student_of
        from training.export.whitening import sampled_texts

        model = student_of(run)
        account = account_of(run)
        facts: dict[str, Any] = {}
        texts: list[str] = []
        if account is not None:
            seed = account["settings"]["run"]["seed"]
            teacher = portable(account["settings"].get("teacher", ""))
            facts = {"seed": seed, "recipe": account["recipe"], "teacher": teacher}
        if wanted.whiten:
            if account is None or "corpora" not in account["settings"]:
                raise ConfigError(
                    f"{run}: --whiten reads the run's corpora; give the training folder"
                )
            drawn = {"settings": {"corpora": account["settings"]["corpora"], "seed": seed}}
            texts = sampled_texts(drawn, WHITENED, talk)
            facts["whiten"] = wanted.whiten
        kept = "kept in float16"
        if bits != 16:
            kept = f"token vectors kept in {bits} bits and matrices in 8"
        if wanted.whiten:
            kept += f"; its space is evened out to the power {wanted.whiten} by {len(texts)} training sentences"
        card = _card(run, model, name, wanted, kept)
        trained_in = run / SAVED
        near = export_compact(
            model,
            out,
            name=name,
            bits=bits,
            card=card,
            facts=facts,
            whiten=wanted.whiten,
            texts=texts,
            neutral=NeutralSpace.read(trained_in)
            if wanted.neutral and trained_in.is_file()
            else wanted.neutral,
        )
        talk(f"mean cosine of a few texts' vectors with the student's own: {near:.4f}")
    else:
        raise ConfigError(
            f"{run}: is a compact student already; name the training folder, or --format"
        )


def _for_others(run: Path, kind: Kind, out: Path, name: str, wanted: Export, talk: Talk) -> None:
    bits = 32 if wanted.bits is None else wanted.bits
    if bits not in ((16, 32) if wanted.format == "sentence-transformers" else (32,)):
        raise ConfigError(f"--bits {bits}: --format {wanted.format} keeps floating-point numbers")
    if kind == "static run":
        raise ConfigError(
            f"{run}: export it first with --format compact, then that folder with --format {wanted.format}"
        )
    if wanted.format == "sentence-transformers" and kind == "static":
        from training.export.static_student import export_sentence_transformers

        export_sentence_transformers(run, out)
        return
    from training.export.transformer_student import export_float

    model = _opened(run, kind)
    card = run / "MODEL_CARD.md"
    text = card.read_text("utf-8") if card.is_file() else ""
    if kind == "transformer" and not text:
        text = _card(run, model, name, wanted, f"{bits} bits a number")
    if wanted.format == "onnx":
        from training.export.onnx_file import export_onnx

        apart = export_onnx(model, out, name=name, card=text)
        talk(f"the ONNX file's vectors differ from the student's by {apart:.1e} at most")
    else:
        export_float(model, out, half=bits == 16)
        if text:
            (out / "MODEL_CARD.md").write_text(text, "utf-8")


def _opened(run: Path, kind: Kind) -> SentenceTransformer:
    """Any student as a sentence-transformers model."""
    from training.export.transformer_student import student_of

    if kind == "compact":
        from training.models.model_parts import restored

        return restored(run)
    if kind == "transformer":
        return student_of(run)
    from training.export.static_student import export_sentence_transformers
    from training.models.opening import open_model

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "student"
        export_sentence_transformers(run, place)
        return open_model(str(place))


def _card(run: Path, model: SentenceTransformer, name: str, wanted: Export, kept: str) -> str:
    from training.export.static_card import source_facts
    from training.export.transformer_card import account_of, corpus_rows, transformer_card

    account = account_of(run)
    licences = source_facts(wanted.licences.read_text("utf-8")) if wanted.licences else None
    # the corpora are read again for their sources, which takes a while, only where these are wanted
    reread = account is not None and licences is not None and "corpora" in account["settings"]
    millions = sum(weights.numel() for weights in model.parameters()) / 1e6
    first: Any = model[0]
    body = first.auto_model.config if hasattr(first, "auto_model") else None
    shape = (
        ("" if body is None else f"{body.num_hidden_layers} layers, {body.hidden_size} wide, ")
        + f"{millions:.1f} million parameters, {model.get_embedding_dimension()} dimensions, "
        f"texts of up to {model.max_seq_length} tokens, {kept}"
    )
    return transformer_card(
        name,
        shape,
        account,
        corpus_rows(account) if reread and account is not None else None,
        licences,
        wanted.figures.read_text("utf-8") if wanted.figures else "",
    )
