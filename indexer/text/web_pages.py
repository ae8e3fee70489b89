"""An HTML page to its text, title and language: what a reader came for, without menus, footers and scripts.

The page is parsed as browsers do (selectolax, that is Lexbor). What is left out is what the page itself
marks as navigation; when hardly any text would remain, all of it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from indexer.text.file_text import FileText

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

__all__ = ["MAX_DEPTH", "read_page"]

MAX_DEPTH = 5000
"""Elements within each other: the parser's time grows with the square of it, and browsers stop at 512."""

_SILENT = frozenset("head script style template svg math iframe datalist".split())
_BLOCKS = frozenset(
    "address article aside blockquote body br button caption center dd details dialog dir div dl dt "
    "fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr legend li main menu nav ol "
    "optgroup option p pre search section select summary table tbody td textarea tfoot th thead tr ul".split()
)
_CELLS = frozenset({"td", "th"})
_MENUS = (
    "noscript, nav, footer, [role=navigation], [role=banner], [role=contentinfo], [role=search], [role=menu], "
    "[role=menubar], [role=dialog], [aria-hidden=true], [hidden]"
)
_OUTSIDE = "header, aside, [role=complementary]"  # within an article they are part of it
_NAMED = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navigation|menu|sidebar|side-bar|breadcrumbs?|footer|cookies?|cookie-banner|"
    r"consent|skip-?links?|social|share|pagination|pager|toc)(?:$|[\s_-])",
    re.IGNORECASE,
)
_LEAST = 0.2  # of the page's characters: less cannot be what a reader came for
_OPENING = re.compile(
    r"<(/?)(?:div|span|b|i|u|em|strong|font|a|ul|ol|table|section|blockquote|svg|big|small)\b", re.I
)
_META = {"author": "author", "date": "date", "article:published_time": "date", "keywords": "keywords",
         "dc.date": "date", "dcterms.date": "date", "dc.creator": "author"}  # fmt: skip


def read_page(html: str) -> FileText:
    """The main text of an HTML page; author, date and keywords as fields, where its head names them.

    Raises ValueError for a page that is nested too deeply.
    """
    from selectolax.lexbor import LexborHTMLParser

    _check_depth(html)
    tree = LexborHTMLParser(html)
    root = tree.root
    if root is None:
        return FileText("")
    title = tree.css_first("head > title") or tree.css_first("title")
    fields: dict[str, str] = {}
    for meta in tree.css("meta[content]"):
        name = _META.get(
            (meta.attributes.get("name") or meta.attributes.get("property") or "").lower()
        )
        content = " ".join((meta.attributes.get("content") or "").split())
        if name is not None and content:
            fields.setdefault(name, content[:1000])
    lang = (root.attributes.get("lang") or root.attributes.get("xml:lang") or "") if root else ""
    title_text = _clean(title.text()) if title is not None else ""
    everything = _text(root, frozenset())
    main = _text(
        root,
        _left_out(tree.css(_MENUS), tree.css(_OUTSIDE), _menus_by_name(tree.css("[class], [id]"))),
    )
    text = main if len(main) >= _LEAST * len(everything) else everything
    return FileText(text, title_text, lang, fields)


def _check_depth(html: str) -> None:
    depth = deepest = 0
    for match in _OPENING.finditer(html):
        depth = max(0, depth - 1) if match[1] else depth + 1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise ValueError(
            f"elements stand {deepest:,} deep within each other; the limit is {MAX_DEPTH:,}"
        )


def _menus_by_name(nodes: list[LexborNode]) -> list[LexborNode]:
    """Blocks whose class or id says that they are a menu or the like."""
    found = []
    for node in nodes:
        if (
            node.tag in ("html", "body", "main", "article", "h1", "h2", "h3")
            or node.tag not in _BLOCKS
        ):
            continue
        named = f"{node.attributes.get('class') or ''} {node.attributes.get('id') or ''}"
        if _NAMED.search(named):
            found.append(node)
    return found


def _left_out(*groups: list[LexborNode]) -> frozenset[int]:
    menus, outside, named = groups
    chosen = {node.mem_id for node in menus}
    for node in (*outside, *named):
        if not _within_article(node):
            chosen.add(node.mem_id)
    return frozenset(chosen)


def _within_article(node: LexborNode) -> bool:
    parent = node.parent
    while parent is not None:
        if parent.tag in ("article", "main"):
            return True
        parent = parent.parent
    return False


def _walk(root: LexborNode, left_out: frozenset[int]) -> Iterator[tuple[LexborNode, bool]]:
    """(node, whether it is being left) in document order; a loop, since pages nest as deep as they like."""
    node: LexborNode | None = root
    while node is not None:
        yield node, False
        silent = node.tag in _SILENT or node.mem_id in left_out
        following = None if silent else node.child
        while following is None and node is not None:
            yield node, True
            if node.mem_id == root.mem_id:
                return
            following = node.next
            if following is None:
                node = node.parent
                if node is None:
                    return
        node = following


def _text(root: LexborNode, left_out: frozenset[int]) -> str:
    parts: list[str] = []
    for node, leaving in _walk(root, left_out):
        tag = node.tag
        if tag == "-text":
            if not leaving:
                parts.append(node.text_content or "")
        elif tag in _CELLS:
            parts.append("\t")
        elif tag in _BLOCKS:
            parts.append("\n")
    return _lines("".join(parts))


def _lines(text: str) -> str:
    found = (_clean(line) for line in text.splitlines())
    return "\n".join(line for line in found if line)


def _clean(text: str) -> str:
    """One line, without soft hyphens: they say where a word may be broken, and are no part of it."""
    return " ".join(text.replace("\xad", "").split())
