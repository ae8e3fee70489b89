"""Running `tandem ...` in this process, as a terminal's user sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

import tandem

__all__ = ["Command", "Ended", "runner"]


@dataclass(frozen=True, slots=True)
class Ended:
    """Exit code, and what was written."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


def runner(capsys: pytest.CaptureFixture[str]) -> Command:
    """A function that runs one command; what it raises but for its exit is a failure of the test."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        try:
            tandem.main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        shown = capsys.readouterr()
        return Ended(code, shown.out, shown.err)

    return run
