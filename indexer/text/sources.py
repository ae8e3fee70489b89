"""Documents from files: JSON lines, CSV, TSV, DaReCzech TSV, .txt, .md, .html, folders, standard input.

Any of them may be gzipped. What cannot be read is handed to `on_reject` with its place and reason, and
reading goes on. Nothing here splits, detects a language or keeps a document.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import io
import json
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import IO, Any, Literal

from configs.errors import DocumentError
from indexer.schema import Document
from indexer.text import languages

__all__ = ["MAX_CHARACTERS", "Reject", "check_document", "count_bytes", "read_documents"]

MAX_CHARACTERS = 10_000_000
"""A longer document is set aside: it is a dump or a mistake, and no passage of it would be found."""
MAX_ID = 512  # characters

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ID = ("id", "_id", "doc_id", "docid", "docno", "ID")
_ARRAY = "a JSON array; one object a line is expected: jq -c '.[]' FILE > FILE.jsonl"
_OWN = {"id", "text", "title", "url", "lang", "fields"}
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_FRONT = re.compile(
    r"---[ \t]*\r?\n([\w-]+[ \t]*:.{0,65536}?\n)(?:---|\.\.\.)[ \t]*(?:\r?\n|$)", re.DOTALL
)
_SETTING = re.compile(
    r"^(title|lang|language)[ \t]*:[ \t]*(.+?)[ \t]*$", re.MULTILINE | re.IGNORECASE
)
_TEXT_FILES = {".txt", ".md", ".markdown", ".html", ".htm"}
_LINE_FILES = {".jsonl", ".json", ".ndjson", ".csv", ".tsv"}
_DARECZECH = {"query", "url", "doc", "title", "label"}


@dataclass(frozen=True, slots=True)
class Reject:
    """A piece of input that could not be used: where it stands, why, and the text as far as it could be read."""

    place: str
    reason: str
    text: str = ""


OnReject = Callable[[Reject], None]


def check_document(document: Document) -> str | None:
    """Why this document cannot be indexed, with the cure; None when it can."""
    if not document.id:
        return "the id is empty"
    if len(document.id) > MAX_ID:
        return f"the id has {len(document.id):,} characters; the limit is {MAX_ID}"
    if not document.id.isprintable() and _CONTROL.search(document.id):
        return f"the id {document.id[:40]!r} holds a newline, tab or other control character"
    if not document.text.strip() and not document.title.strip():
        return "title and text are empty"
    for place, text in (("text", document.text), ("title", document.title), ("id", document.id)):
        if (half := _half(text)) is not None:
            return f"the {place} holds half a character ({half}): the file was damaged when it was written"
    if len(document.text) > MAX_CHARACTERS:
        return f"the text has {len(document.text):,} characters; the limit is {MAX_CHARACTERS:,}: split it into documents"
    if document.lang and document.lang not in languages.NAMES:
        return (
            f"the language {document.lang!r} is not known; use ISO 639-1 codes such as en, cs, bn"
        )
    return None


def _half(text: str) -> str | None:
    """A surrogate, which no UTF-8 file can hold but JSON's \\ud800 can; as it would be written there."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"\\u{ord(text[error.start]):04x} at character {error.start + 1:,}"
    return None


def read_documents(
    sources: Sequence[str],
    on_reject: OnReject,
    progress: Callable[[int], None] | None = None,
    stdin: IO[bytes] | None = None,
) -> Iterator[Document]:
    """Documents of every source, in order; `-` is standard input (JSON lines).

    `progress` is told the bytes of each file (as it lies on disk) when they have been read.
    Raises DocumentError at once for a source that does not exist or is of no known kind.
    """
    files = [_files(source) for source in sources]  # all are looked at before any is read
    for listed in files:
        for path, root in listed:
            yield from _read_file(path, root, on_reject, progress, stdin)


def count_bytes(sources: Sequence[str]) -> int:
    """Bytes that `read_documents` will report as read; 0 when standard input is among them."""
    if "-" in sources:
        return 0
    return sum(Path(path).stat().st_size for source in sources for path, _ in _files(source))


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _files(source: str) -> list[tuple[str, str]]:
    """(path, root) of each file of a source; the root is what a text file's id is relative to."""
    if source == "-":
        return [("-", "")]
    path = Path(source)
    if path.is_dir():
        found = _folder_files(path)
        if not found:
            raise DocumentError(
                f"{source}: the folder holds no .txt, .md, .html, .jsonl, .csv or .tsv file"
            )
        return [(str(p), source) for p in found]
    if not path.exists():
        raise DocumentError(f"{source}: no such file or folder")
    if _kind(path) not in _TEXT_FILES | _LINE_FILES:
        raise DocumentError(
            f"{source}: of no known kind; name it .jsonl, .csv, .tsv, .txt, .md or .html (and .gz), "
            "or pipe JSON lines to -"
        )
    if path.stat().st_size == 0:
        raise DocumentError(f"{source}: the file is empty")
    return [(source, str(path.parent))]


def _folder_files(folder: Path) -> list[Path]:
    """Files of a known kind below a folder, in order; hidden ones and index folders are passed over."""
    found = []
    for parent, folders, names in os.walk(folder):
        # An index written below its own documents must not be read as documents.
        is_index = "lock" in names and ("manifest.json" in names or "journal" in folders)
        folders[:] = [] if is_index else [name for name in folders if not name.startswith(".")]
        if not is_index:
            paths = [Path(parent, name) for name in names if not name.startswith(".")]
            found += [p for p in paths if _kind(p) in _TEXT_FILES | _LINE_FILES and p.is_file()]
    return sorted(found)


def _read_file(
    path: str,
    root: str,
    on_reject: OnReject,
    progress: Callable[[int], None] | None,
    stdin: IO[bytes] | None,
) -> Iterator[Document]:
    if path == "-":
        yield from _json_lines(stdin or sys.stdin.buffer, "standard input", on_reject)
        return
    kind = _kind(Path(path))
    try:
        with Path(path).open("rb") as raw:
            lines: IO[bytes] = gzip.GzipFile(fileobj=raw) if path.endswith(".gz") else raw  # type: ignore[assignment]
            if kind in _TEXT_FILES:
                documents = _text_file(lines, path, root, kind, on_reject)
            elif kind in (".csv", ".tsv"):
                documents = _table(lines, path, kind, on_reject)
            else:
                documents = _json_lines(lines, path, on_reject)
            seen = 0
            for n, document in enumerate(documents):
                yield document
                if progress is not None and n % 256 == 0:
                    progress(raw.tell() - seen)
                    seen = raw.tell()
            if progress is not None:
                progress(Path(path).stat().st_size - seen)
    except (OSError, EOFError, zlib.error) as error:  # unreadable; a damaged gzip file
        on_reject(Reject(path, f"the file cannot be read to its end: {error}"))


def _decoded(raw: Iterable[bytes], place: str, on_reject: OnReject) -> Iterator[tuple[int, str]]:
    """(line number, text) of each line that is UTF-8 and no binary; the others are rejected."""
    for number, line in enumerate(raw, 1):
        if number == 1 and line.startswith(b"\xef\xbb\xbf"):
            line = line[3:]
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            shown = line[:2000].decode("utf-8", "backslashreplace")
            on_reject(
                Reject(
                    f"{place}:{number}", f"no UTF-8 at byte {error.start + 1} of the line", shown
                )
            )
            continue
        if "\0" in text:
            on_reject(
                Reject(f"{place}:{number}", "a zero byte: is this a binary file?", text[:2000])
            )
            continue
        yield number, text


def _json_lines(raw: Iterable[bytes], place: str, on_reject: OnReject) -> Iterator[Document]:
    for number, line in _decoded(raw, place, on_reject):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError: also a number of 5,000 digits
            problem = f"no JSON: {error}"
            if number == 1 and line.lstrip().startswith("["):
                problem = _ARRAY
            on_reject(Reject(f"{place}:{number}", problem, line.rstrip("\n")))
            continue
        if not isinstance(record, dict):
            on_reject(
                Reject(
                    f"{place}:{number}",
                    _ARRAY
                    if isinstance(record, list)
                    else f"a JSON object is expected, not {type(record).__name__}",
                    line.rstrip("\n"),
                )
            )
            continue
        yield from _checked(record, f"{place}:{number}", on_reject)


def _checked(record: dict[str, Any], place: str, on_reject: OnReject) -> Iterator[Document]:
    try:
        document = _document(record)
    except ValueError as error:
        on_reject(Reject(place, str(error), json.dumps(record, ensure_ascii=False)))
        return
    problem = check_document(document)
    if problem is None:
        yield document
    else:
        on_reject(Reject(place, problem, json.dumps(record, ensure_ascii=False)))


def _document(record: dict[str, Any]) -> Document:
    """A record of BEIR (`_id`, `title`, `text`) or of our own fields; other fields are kept as `fields`."""
    key = next((name for name in _ID if record.get(name) not in (None, "")), None)
    if key is None:
        raise ValueError(f"no id; one of {', '.join(_ID)} is expected")
    if isinstance(record[key], bool) or not isinstance(record[key], str | int):
        raise ValueError(f"{key} must be a string or a whole number, not {record[key]!r:.40}")
    texts = {}
    for name in ("text", "title", "url", "lang"):
        value = record.get(name)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{name} must be a string, not {type(value).__name__}")
        texts[name] = value or ""
    extra = {name: value for name, value in record.items() if name not in _OWN and name != key}
    nested = record.get("fields") or {}
    if not isinstance(nested, dict):
        raise ValueError(f"fields must be an object, not {type(nested).__name__}")
    fields = {
        str(name): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in {**extra, **nested}.items()
        if value not in (None, "", [], {})
    }
    return Document(
        str(record[key]),
        texts["text"],
        texts["title"],
        texts["url"],
        languages.normal(texts["lang"]),
        fields,
    )


def _table(raw: Iterable[bytes], place: str, kind: str, on_reject: OnReject) -> Iterator[Document]:
    lines = _decoded(raw, place, on_reject)
    first = next(lines, None)
    if first is None:
        return
    header = first[1].rstrip("\r\n")
    if kind == ".tsv" and set(header.split("\t")) >= _DARECZECH:
        yield from _dareczech(lines, header.split("\t"), place, on_reject)
        return
    read = [first[0]]  # lines that the csv module has taken

    def texts() -> Iterator[str]:
        for number, text in lines:
            read.append(number)
            yield text

    delimiter = "\t"
    if kind == ".csv":  # spreadsheets of half of Europe write semicolons
        delimiter = ";" if header.count(";") > header.count(",") else ","
    # The default field limit, 128 KiB, is smaller than many documents.
    csv.field_size_limit(MAX_CHARACTERS * 4)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if kind == ".csv" else csv.QUOTE_NONE
    names = next(csv.reader([header], delimiter=delimiter, quoting=quoting), [])
    if not set(names) & set(_ID):
        raise DocumentError(
            f"{place}:1: the header ({', '.join(names[:8])}) names no id column; one of {', '.join(_ID)} is expected"
        )
    rows = csv.reader(texts(), delimiter=delimiter, quoting=quoting)
    while True:
        read.clear()
        try:
            row = next(rows, None)
        except csv.Error as error:
            on_reject(
                Reject(f"{place}:{read[0] if read else 1}", f"no {kind[1:].upper()}: {error}")
            )
            continue
        if row is None:
            return
        if not row:
            continue
        at = f"{place}:{read[0]}"  # where the row begins: a quote left open swallows many lines
        if len(row) != len(names):
            columns = f"{len(row)} columns; the header has {len(names)}"
            if len(read) > 1:
                columns += f" (the row goes on to line {read[-1]}: is a quote left open?)"
            on_reject(Reject(at, columns, delimiter.join(row)))
            continue
        yield from _checked(dict(zip(names, row, strict=True)), at, on_reject)


def _dareczech(
    lines: Iterable[tuple[int, str]], names: list[str], place: str, on_reject: OnReject
) -> Iterator[Document]:
    """One document per url: the file has a line per query and document."""
    seen: set[str] = set()
    for number, line in lines:
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) != len(names):
            on_reject(
                Reject(
                    f"{place}:{number}",
                    f"{len(cells)} columns; the header has {len(names)}",
                    line.rstrip("\n"),
                )
            )
            continue
        row = dict(zip(names, cells, strict=True))
        if row["url"] in seen:
            continue
        seen.add(row["url"])
        record = {"id": row["url"], "url": row["url"], "title": row["title"], "text": row["doc"]}
        yield from _checked(record, f"{place}:{number}", on_reject)


class _Text(HTMLParser):
    """What a reader sees of an HTML page, with its title and language."""

    _SILENT = frozenset({"script", "style", "template", "noscript", "svg"})
    _BLOCKS = frozenset(
        (
            "address article aside blockquote br dd div dl dt figcaption footer h1 h2 h3 h4 "
            "h5 h6 header hr li main nav ol p pre section table td th tr ul"
        ).split()
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title = ""
        self.lang = ""
        self._silent = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._SILENT:
            self._silent += 1
        elif tag == "title" and not self._silent:  # an svg has titles of its own
            self._in_title = True
        elif tag == "html":
            self.lang = languages.normal(dict(attrs).get("lang") or "")
        if tag in self._BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "title":
            self._in_title = False
        elif tag in self._BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._silent:
            self.parts.append(data)

    def text(self) -> str:
        lines = (" ".join(line.split()) for line in "".join(self.parts).splitlines())
        return "\n".join(line for line in lines if line)


def _text_of(data: bytes, kind: str) -> str:
    """UTF-8; UTF-16 with its mark; or what an HTML page that is no UTF-8 says it is written in."""
    if data.startswith(_UTF_16):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        said = _CHARSET.search(data, 0, 1024) if kind in (".html", ".htm") else None
        if said is not None:
            # LookupError: no such encoding, or one that is none of text
            with contextlib.suppress(LookupError, UnicodeError):
                return data.decode(said[1].decode("ascii"))
        raise


def _markdown(text: str) -> tuple[str, str, str]:
    """Text, title and language: of the block of settings that notes may begin with, or the first heading."""
    title, lang = "", ""
    if front := _FRONT.match(text):
        said = {
            key.lower(): value.strip().strip("\"'") for key, value in _SETTING.findall(front[1])
        }
        title = said.get("title", "").strip()
        lang = languages.normal(said.get("lang") or said.get("language") or "")
        text = text[front.end() :].lstrip("\r\n")
    first = next(iter(io.StringIO(text)), "")
    if first.startswith("# ") and title in ("", first[2:].strip()):
        title = first[2:].strip()
        text = text[len(first) :].lstrip("\n")
    return text, title, lang


def _text_file(
    raw: IO[bytes], path: str, root: str, kind: str, on_reject: OnReject
) -> Iterator[Document]:
    """The whole file is one document; its id is its path below the folder that was named."""
    data = raw.read(MAX_CHARACTERS * 4 + 1)
    if b"\0" in data[:65536] and not data.startswith(_UTF_16):
        on_reject(Reject(path, "a zero byte: is this a binary file, or UTF-16? UTF-8 is read"))
        return
    if len(data) > MAX_CHARACTERS * 4:
        on_reject(
            Reject(path, f"the text has more than {MAX_CHARACTERS:,} characters; split the file")
        )
        return
    try:
        text = _text_of(data, kind)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        on_reject(
            Reject(
                f"{path}:{line}",
                "no UTF-8; save the file as UTF-8",
                data[:2000].decode("utf-8", "backslashreplace"),
            )
        )
        return
    name = Path(path).relative_to(root).as_posix() if root else path
    title, lang = "", ""
    if kind in (".html", ".htm"):
        parser = _Text()
        parser.feed(text)
        parser.close()
        text, title, lang = parser.text(), " ".join(parser.title.split()), parser.lang
    elif kind in (".md", ".markdown"):
        text, title, lang = _markdown(text)
    title = title or Path(name).stem.replace("_", " ").replace("-", " ")
    document = Document(name, text, title, lang=lang if lang in languages.NAMES else "")
    problem = "the text is empty" if not text.strip() else check_document(document)
    if problem is None:
        yield document
    else:
        on_reject(Reject(path, problem, text[:2000]))
