"""What a word on the command line means as a system to measure: a run, an index, settings or a mode."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from configs.errors import ConfigError
from eval.formats.file_kinds import LOOKS, sniff
from indexer.elastic.address import is_address

__all__ = ["MODES", "Spec", "named", "parse_spec"]

MODES = ("hybrid", "dense", "lexical")
SEPARATOR = re.compile(r",(?=[\w.]+=)")  # a comma before the next key, not one inside a value


@dataclass(frozen=True, slots=True)
class Spec:
    """`text` as given; `kind` says which of the other fields speak."""

    text: str
    kind: Literal["run", "index", "settings"]
    path: str = ""
    """Of the run or the index."""
    config: str | None = None
    changes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Short, for tables."""
        return Path(self.text).name if self.path or self.config else self.text


def parse_spec(text: str, configurations: Sequence[str]) -> Spec:
    """A TREC run file, an index folder or es://NAME, a YAML file or the name of one that ships with Tandem, a mode
    (hybrid, dense, lexical), or KEY=VALUE[,KEY=VALUE...].

    Raises ConfigError for anything else, saying what it looks like.
    """
    if text in MODES:
        return Spec(text, "settings", changes=(f"search.mode={text}",))
    if is_address(text):
        return Spec(text, "index", path=text)
    form = sniff(Path(text))
    if form == "run":
        return Spec(text, "run", path=text)
    if form == "index":
        return Spec(text, "index", path=text)
    if form == "yaml" or text in configurations:
        return Spec(text, "settings", config=text)
    if form == "missing" and "=" in text:
        return Spec(text, "settings", changes=tuple(SEPARATOR.split(text)))
    found = "no such file or folder" if form == "missing" else f"this looks like {LOOKS[form]}"
    raise ConfigError(
        f"{text}: {found}; a system is a TREC run, an index folder or es://NAME, a YAML file of settings, a mode "
        f"({', '.join(MODES)}) or key=value"
    )


def named(specs: Sequence[Spec]) -> list[str]:
    """A name for each, all different: the short one, or what was typed, or with a number."""
    short = [spec.name for spec in specs]
    if len(set(short)) < len(short):
        short = [spec.text for spec in specs]
    return [
        name if short.count(name) == 1 else f"{name} ({number})"
        for number, name in enumerate(short, start=1)
    ]
