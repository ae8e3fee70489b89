"""PDF, DOCX, EPUB and XML files to their text. PDF and DOCX need the extra `files`.

Each function takes a file's bytes and raises ValueError, with the cure, for one that it cannot read.
"""

from __future__ import annotations

import io
import re
import threading
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote
from xml.etree import ElementTree

from configs.errors import MissingExtra
from indexer.text.file_text import FileText
from indexer.text.web_pages import read_page

__all__ = ["read_docx", "read_epub", "read_pdf", "read_xml"]

MAX_UNPACKED = 200_000_000  # bytes of one part of a zipped file: more is a bomb or no text

_HYPHEN = re.compile("\ufffe(?=[^\\W\\d_])")  # PDFium's sign for a hyphen at the end of a line
_pdfium = threading.Lock()  # PDFium must not be called from two threads
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_NOTES = ("/footnotes", "/endnotes")


def read_pdf(data: bytes) -> FileText:
    """The text of every page, a blank line between pages; title and author of the file's own record."""
    try:
        import pypdfium2
    except ImportError as error:
        raise MissingExtra("pypdfium2", "files", "reading a PDF") from error
    with _pdfium:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if "assword" in str(error):
                raise ValueError("the PDF is encrypted: save a copy without a password") from error
            raise ValueError(f"a damaged PDF: {error}") from error
        try:
            pages = []
            for page in document:
                words = page.get_textpage()
                pages.append(_pdf_page(words.get_text_range()))
                words.close()
                page.close()
            known = document.get_metadata_dict()
        except pypdfium2.PdfiumError as error:
            raise ValueError(f"a damaged PDF: {error}") from error
        finally:
            document.close()
    text = "\n\n".join(page for page in pages if page)
    if not text:
        raise ValueError(
            f"the PDF has {len(pages)} pages and no text: perhaps it was scanned; recognise its text first (ocrmypdf)"
        )
    author = known.get("Author", "").strip()
    title = " ".join(known.get("Title", "").split())
    return FileText(text, title, "", {"author": author} if author else {})


def _pdf_page(text: str) -> str:
    """Words that a line end divides are put together, unless what follows is a capital: Jean-Paul."""
    text = text.replace("\r\n", "\n").replace("\x00", "")
    text = _HYPHEN.sub(lambda hyphen: "" if text[hyphen.end()].islower() else "-", text)
    return text.replace("\ufffe", "-").replace("\xad", "").strip()


def read_docx(data: bytes) -> FileText:
    """Every paragraph in order, those of tables and text boxes too, then foot- and endnotes."""
    try:
        import docx
    except ImportError as error:
        raise MissingExtra("python-docx", "files", "reading a DOCX file") from error
    try:
        _check_sizes(data)
        document = docx.Document(io.BytesIO(data))
        texts = [*_paragraphs(ElementTree.fromstring(document.part.blob))]
        for relation in document.part.rels.values():
            if relation.reltype.endswith(_NOTES):
                texts += _paragraphs(ElementTree.fromstring(relation.target_part.blob))
        known = document.core_properties
        title, author, lang = known.title or "", known.author or "", known.language or ""
    except (KeyError, ValueError, zipfile.BadZipFile, SyntaxError, OSError) as error:
        raise ValueError(f"a damaged DOCX file, or none: {error}") from error
    fields = {"author": author} if author and author != "python-docx" else {}
    return FileText("\n".join(texts), title, lang, fields)


def _paragraphs(root: ElementTree.Element) -> Iterator[str]:
    for text in "".join(_docx_text(root)).split("\n"):
        if text.strip():
            yield text.replace("\xad", "").strip()


def _docx_text(node: ElementTree.Element) -> Iterator[str]:
    if node.tag == _FALLBACK:  # the same text box again, for older programs
        return
    if node.tag == f"{_W}t":
        yield node.text or ""
    elif node.tag in (f"{_W}tab", f"{_W}tc"):
        yield "\t"
    elif node.tag in (f"{_W}br", f"{_W}cr"):
        yield "\n"
    elif node.tag == f"{_W}noBreakHyphen":
        yield "-"
    for child in node:
        yield from _docx_text(child)
    if node.tag == f"{_W}p":
        yield "\n"


def _check_sizes(data: bytes) -> None:
    """ValueError for a zipped file that would unpack to more than any text has."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for part in archive.infolist():
            if part.file_size > MAX_UNPACKED:
                raise ValueError(f"{part.filename} unpacks to {part.file_size:,} bytes")


def read_epub(data: bytes) -> FileText:
    """The chapters of an EPUB in reading order; title, language, author, date and publisher of its record."""
    try:
        _check_sizes(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _book(archive)
    except (KeyError, zipfile.BadZipFile, ElementTree.ParseError, OSError, RuntimeError) as error:
        raise ValueError(f"a damaged EPUB, or an encrypted one: {error}") from error


def _book(archive: zipfile.ZipFile) -> FileText:
    container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
    roots = [node.get("full-path", "") for node in container.iter() if _local(node) == "rootfile"]
    if not roots:
        raise KeyError("no rootfile")
    package = ElementTree.fromstring(archive.read(roots[0]))
    items = {node.get("id"): node for node in package.iter() if _local(node) == "item"}
    told: dict[str, str] = {}
    for node in package.iter():
        told.setdefault(_local(node), " ".join((node.text or "").split()))
    chapters = []
    for node in package.iter():
        item = items.get(node.get("idref")) if _local(node) == "itemref" else None
        if item is None or "html" not in item.get("media-type", ""):
            continue
        href = unquote(item.get("href", "").partition("#")[0])
        chapter = archive.read(str(PurePosixPath(roots[0]).parent / href))
        chapters.append(read_page(chapter.decode("utf-8-sig", "replace")).text)
    names = {"creator": "author", "date": "date", "publisher": "publisher"}
    fields = {names[key]: told[key] for key in names if told.get(key)}
    text = "\n\n".join(chapter for chapter in chapters if chapter)
    return FileText(text, told.get("title", ""), told.get("language", ""), fields)


def read_xml(data: bytes) -> FileText:
    """All text of an XML file, elements on lines of their own unless they stand within running text.

    The title is the first element named so. Entities are not fetched, and expat refuses those that grow.
    """
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ValueError(f"no XML: {error}") from error
    title = next((node for node in root.iter() if _local(node) in ("title", "article-title")), None)
    said = " ".join("".join(title.itertext()).split()) if title is not None else ""
    lines = ("".join(_xml_text(root)).replace("\xad", "")).split("\n")
    text = "\n".join(line for line in (" ".join(line.split()) for line in lines) if line)
    return FileText(text, said, root.get(_LANG, ""))


def _xml_text(root: ElementTree.Element) -> Iterator[str]:
    """A loop and not a recursion: XML may nest as deep as it likes."""
    waiting: list[ElementTree.Element | str] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            yield node
            continue
        yield " ".join((node.text or "").splitlines()) if isinstance(node.tag, str) else ""
        children = list(node)
        running = bool((node.text or "").strip()) or any((c.tail or "").strip() for c in children)
        border = "" if running else "\n"
        for child in reversed(children):
            waiting += [border + " ".join((child.tail or "").splitlines()), child, border]


def _local(node: ElementTree.Element) -> str:
    """An element's name without its namespace, in lower case."""
    return node.tag.rpartition("}")[2].lower() if isinstance(node.tag, str) else ""
