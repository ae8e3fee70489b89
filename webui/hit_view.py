"""What the templates show of hits: plain text, numbers made readable, and links. No HTTP, no markup."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urlsplit

from indexer.schema import Document, Hit
from indexer.text import languages
from indexer.text.analysis import fold, tokens
from retriever import fields
from retriever.plain_markdown import hidden_signs, without
from retriever.snippets import Mark, marks, snippet
from retriever.word_answers import hit_answers, near_marks

__all__ = [
    "Excerpt",
    "HitView",
    "PartView",
    "direction",
    "excerpt",
    "heading",
    "heading_segments",
    "hit_view",
    "number",
    "source",
]

# Languages written from right to left: Arabic, Hebrew, Thaana and N'Ko scripts
RTL = frozenset("ar arc ckb dv fa he ks ku nqo ps sd ug ur yi".split())
SIDES = {"dense": "Meaning", "lexical": "Words", "alignment": "Aligned"}
SCORES = {"dense": "cosine", "lexical": "BM25", "alignment": "of 1"}
PLACE = re.compile(r"(\d{1,9})-(\d{1,9})")
HEADING = 80  # characters of a text that stand for a missing title
TITLE = 200  # characters of a title among hits; a longer one would push the other hits away
FIELDS = 8  # of a document, under its title
PASSAGE = 2_000  # characters, in which answers are looked for where no passage was asked for
SHOWN = 200_000  # characters of a document; more would stall a telephone


@dataclass(frozen=True, slots=True)
class PartView:
    """One side's row under "why"."""

    side: str
    label: str
    score: str
    unit: str
    rank: int | None
    share: str
    percent: float  # of the hit's score, in [0, 100]


@dataclass(frozen=True, slots=True)
class HitView:
    """One hit as the page shows it."""

    rank: int
    id: str
    heading: str
    source: str  # an address of the web, or empty
    site: str  # its host
    lang: str
    language: str
    direction: str
    at: str  # its passage in the document's text: "start-end"; empty when it is the whole
    fields: list[tuple[str, str]]  # name, value
    segments: list[tuple[str, Mark]]
    score: str
    length: float  # of the bar, in [0, 1]: the score, where it is a probability or a cosine
    parts: list[PartView]
    answers: list[tuple[str, str, str]]  # word of the query, of the hit, how near
    grade: str | None
    also: list[tuple[str, str]]  # language or id of the same document's further hits, and their ids


def hit_view(hit: Hit, query: str, grade: str | None, same: Sequence[Hit] = ()) -> HitView:
    """A hit of this query; `grade` is the label it was given, in judge mode; `same`: hits of the same document."""
    document = hit.document
    address = source(document.url)
    shares = sum(max(part.share, 0.0) for part in hit.parts.values())
    return HitView(
        rank=hit.rank,
        id=document.id,
        heading=_short(heading(document), TITLE),
        source=address,
        site=urlsplit(address).netloc,
        lang=document.lang,
        language=languages.name(document.lang),
        direction=direction(document.lang),
        at=f"{hit.passage.start}-{hit.passage.end}" if _is_part(hit) else "",
        segments=snippet(hit, query),
        fields=fields.shown(document)[:FIELDS],
        score=number(hit.score),
        length=min(max(hit.score, 0.0), 1.0),
        parts=[
            PartView(
                side=side,
                label=SIDES.get(side, side),
                score=number(part.score),
                unit=SCORES.get(side, ""),
                rank=part.rank,
                share=number(part.share),
                percent=round(100 * max(part.share, 0.0) / shares, 1) if shares > 0 else 0.0,
            )
            for side, part in sorted(hit.parts.items())
        ],
        answers=[
            (answer.word, answer.answer, f"{answer.similarity:.2f}")
            for answer in hit_answers(hit, query)
        ],
        grade=grade,
        also=[
            (
                languages.name(other.document.lang)
                if other.document.lang != document.lang
                else other.document.id,
                other.document.id,
            )
            for other in same
        ],
    )


def heading(document: Document) -> str:
    """The title, or the beginning of the text, or the id: a link needs a name."""
    if document.title.strip():
        return document.title.strip()
    lines = document.text.strip().splitlines()
    return _short(lines[0].strip() if lines else "", HEADING) or document.id


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length].rsplit(" ", 1)[0] + "…"


def _is_part(hit: Hit) -> bool:
    return 0 <= hit.passage.start < hit.passage.end and (
        hit.passage.end - hit.passage.start < len(hit.document.text.strip())
    )


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A document's text as one page shows it, with marked words: a passage, and what is around it."""

    skipped: int  # characters before, that are not shown
    before: list[tuple[str, Mark]]
    passage: list[tuple[str, Mark]]  # empty: no passage was asked for
    after: list[tuple[str, Mark]]
    left_out: int  # characters after, that are not shown


def excerpt(
    document: Document, at: str, query: str, aligned: bool = False, shown: int = SHOWN
) -> Excerpt:
    """`shown` characters of the text, the passage `at` ("start-end") among them.

    From the beginning when the passage is there, or when `at` names none. The words of the query are marked
    everywhere; `aligned`: so are those that answer them in the passage, in another language. Signs of Markdown are left out.
    """
    text = document.text
    place = PLACE.fullmatch(at)
    start, end = (int(n) for n in place.groups()) if place else (0, 0)
    if not start < end <= len(text):
        start = end = 0
    first = max(0, min(start - shown // 2, len(text) - shown)) if end > shown else 0
    last = min(len(text), max(end, first + shown))
    part = text[first:last]
    near = (text[start:end] or part[:PASSAGE]) if aligned and query else ""
    marked = _marked(part, query, document.lang, near)
    signs = hidden_signs(part)
    borders = (0, start - first, end - first, len(part)) if end else (0, 0, 0, len(part))
    before, passage, after = (
        without(_cut(marked, low, high), part, signs) for low, high in pairwise(borders)
    )
    return Excerpt(first, before, passage, after, len(text) - last)


def heading_segments(text: str, query: str, lang: str, aligned: bool) -> list[tuple[str, Mark]]:
    """A title with its marked words."""
    marked = _marked(text, query, lang, text if aligned and query else "")
    return without(_cut(marked, 0, len(text)), text, hidden_signs(text))


def _marked(text: str, query: str, lang: str, near: str) -> list[tuple[int, int, Mark]]:
    """(start, end, mark) of each marked word; `near`: where words that answer the query are looked for, which are
    then marked in all of `text`.
    """
    if not query:
        return []
    exact = marks(text, query, lang)
    answering = (
        {fold(near[start:end]) for start, end in near_marks(near, query, lang)} if near else set()
    )
    found = [(start, end, Mark.EXACT) for start, end in exact]
    if answering:
        inside = {place for span in exact for place in range(*span)}
        found += [
            (start, end, Mark.NEAR)
            for word, start, end in tokens(text)
            if fold(word) in answering and start not in inside
        ]
    return sorted(found)


def _cut(marked: list[tuple[int, int, Mark]], low: int, high: int) -> list[tuple[int, int, Mark]]:
    """The places from `low` to `high`, marked and not, in order."""
    found, at = [], low
    for start, end, mark in marked:
        if start < at or end > high:
            continue
        found += [(at, start, Mark.NONE), (start, end, mark)]
        at = end
    return [*found, (at, high, Mark.NONE)]


def source(url: str) -> str:
    """`url` if a browser may be sent there; empty for `javascript:` and all that is no web address."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # a bracket that opens no IPv6 address
        return ""
    return url.strip() if parts.scheme in ("http", "https") and parts.netloc else ""


def direction(lang: str) -> str:
    """The `dir` of a text in this language; the browser looks at the text when it is not known."""
    if not lang:
        return "auto"
    return "rtl" if lang in RTL else "ltr"


def number(value: float) -> str:
    """Short, whatever the scale: convex scores are near 0.8, of RRF near 0.03, of BM25 near 20."""
    if value == 0:
        return "0"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.095 else f"{value:.2g}"
