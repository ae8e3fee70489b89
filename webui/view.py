"""What the templates show of hits: plain text, numbers made readable, and links. No HTTP, no markup."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from indexer import languages
from indexer.schema import Document, Hit
from retriever.snippets import snippet

__all__ = ["HitView", "PartView", "direction", "heading", "hit_view", "number", "source"]

# Languages written from right to left: Arabic, Hebrew, Thaana and N'Ko scripts
RTL = frozenset("ar arc ckb dv fa he ks ku nqo ps sd ug ur yi".split())
SIDES = {"dense": "Meaning", "lexical": "Words"}
SCORES = {"dense": "cosine", "lexical": "BM25"}
HEADING = 80  # characters of a text that stand for a missing title


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
    segments: list[tuple[str, bool]]  # text, marked
    score: str
    parts: list[PartView]
    grade: str | None


def hit_view(hit: Hit, query: str, grade: str | None) -> HitView:
    """A hit of this query; `grade` is the label it was given, in judge mode."""
    document = hit.document
    address = source(document.url)
    shares = sum(max(part.share, 0.0) for part in hit.parts.values())
    return HitView(
        rank=hit.rank,
        id=document.id,
        heading=heading(document),
        source=address,
        site=urlsplit(address).netloc,
        lang=document.lang,
        language=languages.name(document.lang),
        direction=direction(document.lang),
        segments=snippet(hit, query),
        score=number(hit.score),
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
        grade=grade,
    )


def heading(document: Document) -> str:
    """The title, or the beginning of the text, or the id: a link needs a name."""
    if document.title.strip():
        return document.title.strip()
    lines = document.text.strip().splitlines()
    line = lines[0].strip() if lines else ""
    if len(line) > HEADING:
        line = line[:HEADING].rsplit(" ", 1)[0] + "…"
    return line or document.id


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
