"""Settings from a YAML file, named or by path, with single values replaced on the command line."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from configs.errors import ConfigError
from configs.settings import parse

__all__ = ["load", "names"]

T = TypeVar("T")


def names() -> list[str]:
    """The configurations that ship with Tandem, by the name `--config` takes."""
    folder = resources.files("configs")
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load(cls: type[T], config: str | None = None, changes: Sequence[str] = ()) -> T:
    """`cls` from a YAML file and `key=value` changes (dotted keys, YAML values).

    `config` is a path, or the name of a file in this folder without `.yaml`; None: the defaults.
    Raises ConfigError for a file that is missing or no YAML, an unknown key or a wrong value.
    """
    values: dict[str, Any] = {}
    place = "--set"
    if config is not None:
        values, place = _read(config)
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise ConfigError(f"--set {change}: write it as key=value, for example search.k=20")
        *sections, last = key.strip().split(".")
        value = _value(cls, [*sections, last], text, change)
        section = values
        for name in sections:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                raise ConfigError(f"--set {change}: {name} is a value, not a section")
        section[last] = value
    return parse(cls, values, place)


def _value(cls: Any, path: Sequence[str], text: str, change: str) -> Any:
    """The value of a change: YAML, but text as it stands where the setting is text ("query: ", 0123)."""
    hint = cls
    for name in path:
        hint = typing.get_type_hints(hint).get(name) if dataclasses.is_dataclass(hint) else None
    is_text = hint is str or hint == str | None
    if is_text and text.strip() not in ("", "~", "null") and text.strip()[0] not in "'\"":
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = str(error).splitlines()[0]
        raise ConfigError(f"--set {change}: the value is no YAML ({problem})") from error


def _read(config: str) -> tuple[dict[str, Any], str]:
    path = Path(config)
    if config in names():
        text = resources.files("configs").joinpath(f"{config}.yaml").read_text("utf-8")
        place = f"configs/{config}.yaml"
    elif path.is_file():
        place = str(path)
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--config {config}: cannot be read: {error}") from error
    elif path.is_dir():
        raise ConfigError(f"--config {config}: a folder; name a YAML file in it")
    else:
        known = ", ".join(names()) or "none"
        raise ConfigError(
            f"--config {config}: no such file, and no configuration of that name ({known})"
        )
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"{place}: no valid YAML: {problem}") from error
    if values is None:
        return {}, place
    if not isinstance(values, dict):
        raise ConfigError(f"{place}: settings are expected, not {type(values).__name__}")
    return values, place
