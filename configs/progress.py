"""The progress bar of every long piece of work: on stderr, with an estimate, and only on a terminal."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["Advance", "Bar", "no_bar", "progress_bar"]

Advance = Callable[[int], None]
"""Told how much was done since the last call."""

Bar = Callable[[str, "int | None", bool], AbstractContextManager[Advance]]
"""`progress_bar`, or what stands for it."""


@contextlib.contextmanager
def progress_bar(label: str, total: int | None, counted: bool = False) -> Iterator[Advance]:
    """A bar over `total` steps; None: nobody knows how many, and only what was done is shown.

    `counted` shows how many steps were done of how many: for things, and not for bytes.
    """
    import click

    bar: Any
    with click.progressbar(
        None if total is not None else itertools.count(),  # click needs one of the two
        length=total, label=label, file=sys.stderr, show_pos=counted, hidden=not sys.stderr.isatty(),
        show_percent=total is not None, show_eta=total is not None,
        update_min_steps=max(1, (total or 0) // 500),
    ) as bar:  # fmt: skip
        yield bar.update


@contextlib.contextmanager
def no_bar(label: str, total: int | None, counted: bool = False) -> Iterator[Advance]:
    """Shows nothing."""
    yield lambda done: None
