"""The errors a person may meet, each with the value, the place and the cure.

    TandemError
    |-- ConfigError        a setting is unknown or out of range
    |-- DocumentError      a document, query or judgment cannot be read
    |-- IndexFolderError   an index folder is missing, damaged or of another encoder
    |   `-- IndexLocked    another process is writing to it
    |-- BackendError       a service (Elasticsearch, a model hub) is away or refused
    `-- MissingExtra       an optional package is not installed

Only the command line and the page catch these; anything else is a defect and keeps its traceback.
"""

from __future__ import annotations

__all__ = [
    "BackendError",
    "ConfigError",
    "DocumentError",
    "IndexFolderError",
    "IndexLocked",
    "MissingExtra",
    "TandemError",
    "pip_line",
]


class TandemError(Exception):
    """One line for a person: what is wrong, where, and what to do about it."""


class ConfigError(TandemError):
    """A setting is unknown, of the wrong type or out of range."""


class DocumentError(TandemError):
    """A document, query or judgment cannot be used as it stands."""


class IndexFolderError(TandemError):
    """An index folder is missing, damaged, locked, or was written with another encoder."""


class IndexLocked(IndexFolderError):
    """Another process is writing to the index folder; the message names it."""


class BackendError(TandemError):
    """A service outside this process is away or refused the request."""


def pip_line(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install '.[{extra}]' (in Tandem's folder)"


class MissingExtra(TandemError):
    """An optional package is needed; the message carries the pip line that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}; install it with: {pip_line(extra)}"
        )
