"""How a recipe tells what it does: a line now and then, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from training.run.loop import Progress, silent

__all__ = ["QUIET", "Talk"]


def _nothing(message: str) -> None:
    """For a caller that does not want to be told."""


@dataclass(frozen=True, slots=True)
class Talk:
    """`say` takes a line, `tell` the progress of the steps."""

    say: Callable[[str], None] = _nothing
    tell: Callable[[Progress], None] = silent


QUIET = Talk()
