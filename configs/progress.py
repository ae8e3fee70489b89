"""The progress bar of every long piece of work: on stderr, with an estimate, and only on a terminal."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

__all__ = ["Advance", "Bar", "Tell", "no_bar", "progress_bar", "progress_over", "progress_to"]

T = TypeVar("T")


class Advance(Protocol):
    """Told how much was done since the last call, and perhaps what to show behind the bar."""

    def __call__(self, done: int, shown: str | None = None) -> None: ...


class Tell(Protocol):
    """Told how much is done in all, of how much, and perhaps what to show behind the bar."""

    def __call__(self, done: int, total: int, shown: str = "") -> None: ...


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
        update_min_steps=max(1, (total or 0) // 500), item_show_func=lambda shown: shown,
    ) as bar:  # fmt: skip
        yield bar.update


@contextlib.contextmanager
def progress_over(items: Sequence[T], label: str) -> Iterator[Iterable[T]]:
    """The items, with a bar that goes on as they are taken."""
    with progress_bar(label, len(items)) as advance:

        def each() -> Iterator[T]:
            for item in items:
                yield item
                advance(1)

        yield each()


@contextlib.contextmanager
def progress_to(label: str) -> Iterator[Tell]:
    """A bar for work that says how far it is: done in all, of how much, and what to show behind the bar.

    The bar begins where the first call finds the work, so that the estimate is right for what is resumed.
    """
    with contextlib.ExitStack() as stack:
        advance: Advance | None = None
        at = 0

        def tell(done: int, total: int, shown: str = "") -> None:
            nonlocal advance, at
            if advance is None:
                at = done
                advance = stack.enter_context(progress_bar(label, total - done))
            if done > at:
                advance(done - at, shown)
                at = done

        yield tell


@contextlib.contextmanager
def no_bar(label: str, total: int | None, counted: bool = False) -> Iterator[Advance]:
    """Shows nothing."""
    yield lambda done, shown=None: None
