"""The address of an index in a cluster: `es://NAME`."""

from __future__ import annotations

from pathlib import Path

from configs.errors import ConfigError

__all__ = ["SCHEME", "is_address", "name_in"]

SCHEME = "es://"
_LONGEST = 200  # bytes; Elasticsearch allows 255, and each build adds a number to the name
_REFUSED = ' "*,/<>?\\|#:'


def is_address(place: str | Path) -> bool:
    """Whether a place names an index in a cluster, and not a folder."""
    return isinstance(place, str) and place.startswith(SCHEME)


def name_in(address: str) -> str:
    """NAME of es://NAME. ConfigError for a name that Elasticsearch refuses."""
    name = address.removeprefix(SCHEME)
    problem = None
    if not name:
        problem = "it is empty"
    elif any(c in _REFUSED or not c.isprintable() for c in name):
        wrong = next(c for c in name if c in _REFUSED or not c.isprintable())
        problem = f"it holds {wrong!r}"
    elif name != name.lower():
        problem = f"it holds capital letters; write es://{name.lower()}"
    elif name[0] in "-_+.":
        problem = f"it begins with {name[0]!r}"
    elif len(name.encode("utf-8", "replace")) > _LONGEST:
        problem = f"it is longer than {_LONGEST} bytes"
    if problem is not None:
        raise ConfigError(
            f"{address[:80]}: Elasticsearch takes no index of this name: {problem}. The hosts are a setting "
            "(elasticsearch.hosts) or TANDEM_ES_HOSTS, not part of the address"
        )
    return name
