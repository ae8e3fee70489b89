"""The model card of a transformer student: what it is, from what, how it was made, and what it can do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["account_of", "corpus_rows", "portable", "transformer_card"]

# Told elsewhere in the card, or of the machine and not of the student.
PRIVATE = ("corpora.", "held_out.", "cache", "run.device", "run.alarm.", "run.checkpoint_every")
# Of a new body; where a model or its body is taken, they are not read.
SHAPE = tuple(
    f"student.{key}"
    for key in ("architecture", "layers", "width", "embedding_width", "heads", "pooling")
)


def account_of(run: Path) -> dict[str, Any] | None:
    """result.json of a training folder; None where `run` is a bare model."""
    file = run / "result.json"
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else None


def corpus_rows(account: Mapping[str, Any]) -> dict[str, Any]:
    """The run's corpora read again: pairs by source (with the share of training) and by language.

    They are the run's as long as the files are; raises what `read_pairs` raises.
    """
    from configs.settings import parse
    from configs.training_corpora import CorporaSettings
    from training.data.corpora import read_pairs

    settings = parse(CorporaSettings, account["settings"]["corpora"], "result.json")
    pairs = read_pairs(settings, seed=int(account["settings"]["run"]["seed"]))
    share = np.bincount(pairs.origin, weights=pairs.weight, minlength=len(pairs.origins)) / len(
        pairs
    )
    overlap: dict[str, int] = {}
    for report in pairs.reports:
        for title, found in report.overlap.items():
            overlap[title] = overlap.get(title, 0) + found
    return {
        "sources": {
            name: (int(count), float(part))
            for name, count, part in zip(
                pairs.origins,
                np.bincount(pairs.origin, minlength=len(pairs.origins)),
                share,
                strict=True,
            )
        },
        "languages": pairs.by_language(),
        "overlap": overlap,
    }


def transformer_card(
    name: str,
    shape: str,
    account: Mapping[str, Any] | None,
    corpora: Mapping[str, Any] | None = None,
    licences: Mapping[str, tuple[str, str]] | None = None,
    figures: str = "",
) -> str:
    """Markdown. `shape` tells size and bits; `account` is result.json, `corpora` of `corpus_rows`."""
    parts = [
        f"# {name}\n\nA transformer sentence encoder: {shape}. It opens by its folder, "
        "`tandem index build --encoder FOLDER` and `indexer.encoders.opening.open_encoder(FOLDER)`, without torch."
    ]
    if account is not None:
        parts.append(_recipe(account))
    if corpora is not None:
        parts.append(_data(corpora, licences or {}))
    if figures:
        parts.append(figures.strip())
    return "\n\n".join(parts) + "\n"


def _recipe(account: Mapping[str, Any]) -> str:
    settings = account["settings"]
    own = any(settings["student"].get(key) for key in ("model", "body"))
    rows = "\n".join(
        f"| {key} | {portable(value)} |"
        for key, value in _flat(settings)
        if not key.startswith(PRIVATE) and not (own and key in SHAPE) and value not in ("", None)
    )
    score = account.get("score")
    held = (
        ""
        if score is None
        else f" Held out: {account['metric']} {account['before']:.3f} before, {score:.3f} after."
    )
    return (
        f"## Recipe\n\nMade by `tandem train {account['recipe']}` from {account['examples']} examples in "
        f"{account['steps']} steps (the weights of step {account['best_step']}).{held}\n\n"
        f"| setting | value |\n|---|---|\n{rows}"
    )


def portable(value: Any) -> Any:
    """A file or folder by its last name: where it lay is nobody else's business."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _data(corpora: Mapping[str, Any], licences: Mapping[str, tuple[str, str]]) -> str:
    rows = []
    for source, (count, share) in sorted(corpora["sources"].items()):
        if share:
            origin, licence = licences.get(source, ("", "not recorded"))
            rows.append(f"| {source} | {origin} | {licence} | {count} | {share:.2%} |")
    languages = ", ".join(f"{code} {count}" for code, count in sorted(corpora["languages"].items()))
    removed = ", ".join(f"{title} {count}" for title, count in sorted(corpora["overlap"].items()))
    return (
        f"## Training data\n\nPairs of English and another language: {languages}. Pairs with a side that "
        f"stands in an evaluation set were removed before training: {removed or 'none'}.\n\n"
        "| source | from | licence as found | pairs | share of training |\n|---|---|---|---|---|\n"
        + "\n".join(rows)
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found.extend(_flat(value, f"{prefix}{key}."))
        else:
            found.append((f"{prefix}{key}", value))
    return found
