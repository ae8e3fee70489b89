"""What one file says: the text, and what its own head tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["FileText"]


@dataclass(frozen=True, slots=True)
class FileText:
    """`title` and `lang` (a tag as the file has it) may be empty; `fields` are names and values of its own."""

    text: str
    title: str = ""
    lang: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
