"""Markdown: its text, its title, and the settings it may begin with (YAML between ---, TOML between +++)."""

from __future__ import annotations

import io
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import yaml

from indexer.text.file_text import FileText

__all__ = ["read_note"]

_YAML = re.compile(
    r"---[ \t]*\r?\n([\w\"'-]+[ \t]*:.{0,65536}?\n)(?:---|\.\.\.)[ \t]*(?:\r?\n|$)", re.DOTALL
)
_TOML = re.compile(r"\+\+\+[ \t]*\r?\n(.{0,65536}?\n)\+\+\+[ \t]*(?:\r?\n|$)", re.DOTALL)
_SETTING = re.compile(r"^([\w-]+)[ \t]*:[ \t]*(.+?)[ \t]*$", re.MULTILINE)


class _Strings(yaml.BaseLoader):
    """YAML whose scalars all stay text, without aliases: a few of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


def read_note(text: str) -> FileText:
    """A Markdown file. Its settings are the fields; the title is that of the settings, or the first
    heading, which is then no part of the text.
    """
    settings: dict[str, Any] = {}
    if front := _YAML.match(text):
        settings = _yaml(front[1])
        text = text[front.end() :].lstrip("\r\n")
    elif front := _TOML.match(text):
        try:
            settings = tomllib.loads(front[1].replace("\r\n", "\n"))
            text = text[front.end() :].lstrip("\r\n")
        except (tomllib.TOMLDecodeError, RecursionError):
            settings = {}
    title = _first(settings, "title")
    first = next(iter(io.StringIO(text)), "")
    if first.startswith("# ") and title in ("", first[2:].strip()):
        title = first[2:].strip()
        text = text[len(first) :].lstrip("\r\n")
    lang = _first(settings, "lang") or _first(settings, "language")
    own = {k: v for k, v in settings.items() if k.lower() not in ("title", "lang", "language")}
    return FileText(text, title, lang, own)


def _yaml(block: str) -> dict[str, Any]:
    loader = _Strings(block)
    try:
        found = loader.get_single_data()
    except (yaml.YAMLError, RecursionError):
        found = None
    finally:
        loader.dispose()
    if not isinstance(found, dict):  # no YAML: what can be read line by line
        found = {key: value.strip().strip("\"'") for key, value in _SETTING.findall(block)}
    return {str(key): value for key, value in found.items()}


def _first(settings: Mapping[str, Any], name: str) -> str:
    """A setting of this name in any case, when it is text."""
    for key, value in settings.items():
        if key.lower() == name and isinstance(value, str):
            return value.strip()
    return ""
