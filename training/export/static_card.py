"""The model card of a static student: what it is, from what, how it was made, and what it can do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["card", "source_facts"]


def source_facts(readme: str) -> dict[str, tuple[str, str]]:
    """Source -> (origin, licence as found), from the tables `| source | from | licence as found |...`."""
    found: dict[str, tuple[str, str]] = {}
    for line in readme.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) >= 5 and not re.fullmatch(r"[-: ]+", cells[0]):
            found.setdefault(cells[0], (cells[1], cells[2]))
    found.pop("source", None)
    return found


def card(
    name: str,
    bits: int,
    facts: Mapping[str, Any],
    sources: Mapping[str, tuple[str, str]] | None = None,
    figures: str = "",
) -> str:
    """Markdown. `facts` is run.json; `sources` tells each corpus' origin and licence where known."""
    settings = facts["settings"]
    held = facts.get("held_out", {})
    known = sources or {}
    rows = []
    for source, count in sorted(facts["sources"].items()):
        if not count["share"]:
            continue
        origin, licence = known.get(source, ("", "not recorded"))
        rows.append(
            f"| {source} | {origin} | {licence} | {count['pairs']} | {count['share']:.2%} |"
        )
    languages = ", ".join(f"{code} {count}" for code, count in sorted(facts["languages"].items()))
    overlap = facts.get("overlap", {})
    removed = ", ".join(f"{title} {count}" for title, count in sorted(overlap.items())) or "none"
    recipe = "\n".join(
        f"| {key} | {value} |"
        for key, value in settings.items()
        if key not in ("corpora", "teacher", "tokenizer", "seed")
    )
    text = f"""# {name}

A static multilingual sentence encoder: a table of token vectors, summed over a text and scaled to unit
length. {settings["dim"]} dimensions, {bits} bits a number. Made by `tandem train static` as a student of
{settings["teacher"]}; English and {len(facts["languages"])} other languages share one space.

It does not know word order. It takes a text for the sum of its words; a negation or who did what to
whom is beyond it. Rare words of languages with little data are known by their parts only.

## Training data

{facts["pairs"]} pairs of English and another language, by language: {languages}.

Pairs with a side that stands in an evaluation set were removed before training
({facts["left_out"]} pairs and unusable rows in all): {removed}.

| source | from | licence as found | pairs | share of training |
|---|---|---|---|---|
{chr(10).join(rows)}

## Recipe

Seed {settings["seed"]}. {_beginning(facts)} The loss is in the docstring of
`training/recipes/static_step.py`.

| setting | value |
|---|---|
{recipe}

## Figures

Held-out pairs of the training corpora (mean over languages): translation accuracy
{held.get("forward", 0.0):.3f} from English, {held.get("back", 0.0):.3f} to English; mean cosine of
different texts {held.get("cosine", 0.0):.3f}; effective rank {held.get("rank", 0.0):.0f}.
"""
    return text + (f"\n{figures.strip()}\n" if figures else "")


def _beginning(facts: Mapping[str, Any]) -> str:
    """What the teacher's space was brought to, or the encoder that training started from."""
    settings = facts["settings"]
    if settings.get("loss", "teacher") == "teacher":
        return (
            f"The teacher's space is cut to {settings['dim']} dimensions by PCA, which keeps\n"
            f"{facts.get('pca_share', 1.0):.1%} of its squared length."
        )
    if not settings["start"]:
        return "The table was random at first; the teacher read both sides of each pair."
    return (
        f"Training started from the static encoder {settings['start']}; "
        f"{facts.get('new_pieces', 0)} pieces were added to its vocabulary.\n"
        "The teacher read both sides of each pair."
    )
