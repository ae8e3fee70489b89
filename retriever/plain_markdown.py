"""The signs of Markdown in a text, so that it is shown as text: `## Fire`, `**loud**`, `[a link](https://example.org)`.

Texts are kept and searched as they were written; what shows them leaves these characters out. Signs that a reader of
plain text understands (bullets, numbers, quotation marks) stay.
"""

from __future__ import annotations

import re

from retriever.snippets import Mark

__all__ = ["hidden_signs", "without"]

_SIGNS = [
    re.compile(r"^ {0,3}(#{1,6}[ \t]+)[^\n]*?([ \t]+#+[ \t]*)?$", re.MULTILINE),
    re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n`]*(\n|$)", re.MULTILINE),
    re.compile(r"(\*\*|__)(?=[^\s*_])[^\n]*?(?<=[^\s*_])(\1)"),
    re.compile(r"(?<![\w*])(\*)(?=[^\s*])[^\n*]+?(?<=[^\s*])(\*)(?![\w*])"),
    re.compile(r"(?<!`)(`)(?=[^`\s])[^`\n]+(`)(?!`)"),
    re.compile(r"(!?\[)[^\[\]\n]{1,500}(\]\([^()\s]{1,2000}\))"),
]


def hidden_signs(text: str) -> list[tuple[int, int]]:
    """(start, end) of the characters to leave out, in order; none overlap."""
    if not any(sign in text for sign in "#*_`~["):
        return []
    found: list[tuple[int, int]] = []
    for pattern in _SIGNS:
        for match in pattern.finditer(text):
            if pattern is _SIGNS[1]:
                found.append(match.span())
            else:
                found += [match.span(n) for n in (1, 2) if match[n]]
    kept: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept


def without(
    segments: list[tuple[int, int, Mark]], text: str, signs: list[tuple[int, int]]
) -> list[tuple[str, Mark]]:
    """The parts of `text` at these places, in order, without the signs; empty ones are left out."""
    found: list[tuple[str, Mark]] = []
    for start, end, mark in segments:
        kept, at = [], start
        for first, last in signs:
            if last <= start or first >= end:
                continue
            kept.append(text[at : max(first, at)])
            at = max(at, min(last, end))
        kept.append(text[at:end])
        if shown := "".join(kept):
            found.append((shown, mark))
    return found
