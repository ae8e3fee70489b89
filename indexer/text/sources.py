"""Documents from files, folders and standard input; docs/files.md is the list of what is read and how.

What cannot be read is handed to `on_reject` with its place and reason, and reading goes on. Nothing here
splits, detects a language or keeps a document.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from configs.errors import DocumentError, MissingExtra
from indexer.schema import Document
from indexer.text import decoding, languages
from indexer.text.compression import UNREADABLE, unpacked
from indexer.text.decoding import Decoding
from indexer.text.file_text import FileText
from indexer.text.folders import LINE_FILES, TEXT_FILES, Listing, kind_of, list_folder
from indexer.text.records import (
    ID_NAMES,
    MAX_CHARACTERS,
    TEXT_NAMES,
    TITLE_NAMES,
    Columns,
    OwnFields,
    check_document,
    document_of,
    language_code,
    own_fields,
    plain,
)
from indexer.text.rejects import UNKNOWN_TYPE, OnReject, Reject
from indexer.text.tables import DARECZECH, Table, open_table

__all__ = [
    "MAX_CHARACTERS",
    "ReadNotes",
    "ReadOptions",
    "Reader",
    "check_document",
    "count_bytes",
    "read_documents",
    "read_file",
    "source_files",
]

_MAX_FILE = 500_000_000  # bytes of a PDF, DOCX or EPUB; pictures take most of it
_MAX_JSON = 500_000_000  # bytes of a .json file that is one array
_ARRAY = "a JSON array; one object a line is expected: jq -c '.[]' FILE > FILE.jsonl"
_NO_TITLE = re.compile(r"untitled|microsoft word - |.*\.(?:docx?|indd|pdf|tex|odt)$", re.IGNORECASE)
_BINARY = frozenset(
    {".pdf", ".docx", ".epub", ".xml"}
)  # read as bytes: they say how they are encoded


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How sources are read."""

    encoding: str | None = None
    """Of files that are not UTF-8: a codec's name, "detect", or None: see `indexer.text.decoding`."""
    columns: Columns = field(default_factory=Columns)
    ignore: tuple[str, ...] = ()
    """Patterns of paths or names in folders that are passed over."""


@dataclass(slots=True)
class ReadNotes:
    """What a person should know of how their files were read, though nothing of it is wrong."""

    decoding: Decoding = field(default_factory=Decoding)
    own: OwnFields = field(default_factory=OwnFields)
    numbered: list[str] = field(default_factory=list)
    """Tables whose rows have their numbers for ids."""
    passed_over: Counter[str] = field(default_factory=Counter)

    @property
    def unsearched(self) -> list[str]:
        """Fields that hold running text beside the text that is searched, those of most documents first."""
        return sorted(self.own.running, key=lambda name: (-self.own.running[name], name))

    def lines(self) -> list[str]:
        """One sentence for each thing to know."""
        found = [
            f"read as {name}, which was detected: {_some(places)}; name another encoding with --encoding"
            for name, places in self.decoding.used.items()
        ]
        if self.numbered:
            found.append(
                f"no column of ids, so rows have their numbers for ids ({Path(self.numbered[0]).name}#1): "
                f"{_some(self.numbered)}; name the column with --id-field"
            )
        if self.own.running:
            names = self.unsearched
            found.append(
                f"text that is not searched stands in the field{_s(names)} {_some(names, 10)}: "
                f"search it with {' '.join(f'--text-field {name!r}' if ' ' in name else f'--text-field {name}' for name in names[:3])}"
            )
        kept = sorted(name for name in self.own.documents if name not in self.own.running)
        if kept:
            found.append(
                f"kept with the documents, shown and filtered by, not searched: the field{_s(kept)} {_some(kept, 20)}"
            )
        if self.passed_over:
            counts = [f"{n:,} {_plural(what, n)}" for what, n in self.passed_over.items()]
            found.append(f"passed over: {', '.join(counts)}")
        return found


def _s(names: Sequence[str]) -> str:
    return "" if len(names) == 1 else "s"


def _plural(what: str, n: int) -> str:
    return what if n == 1 else re.sub(r"\b(file|folder)\b", r"\1s", what, count=1)


def _some(names: Sequence[str], most: int = 3) -> str:
    """The first few, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


@dataclass(slots=True)
class Reader:
    """What every file of one reading is read with."""

    on_reject: OnReject
    columns: Columns
    notes: ReadNotes


def read_documents(
    sources: Sequence[str],
    on_reject: OnReject,
    progress: Callable[[int], None] | None = None,
    stdin: IO[bytes] | None = None,
    options: ReadOptions | None = None,
    notes: ReadNotes | None = None,
) -> Iterator[Document]:
    """Documents of every source, in order; `-` is standard input (JSON lines).

    `progress` is told the bytes of each file (as it lies on disk) when they have been read; `notes`
    collects what a person should know. Raises DocumentError at once for a source that does not exist or
    is of no known kind, and at the end for a named field that no record had.
    """
    options = options or ReadOptions()
    notes = notes if notes is not None else ReadNotes()
    if options.encoding is not None:
        decoding.check_encoding(options.encoding)
    notes.decoding.encoding = options.encoding
    reader = Reader(on_reject, options.columns, notes)
    listings = [source_files(source, options.ignore) for source in sources]  # before any is read
    for source, listing in zip(sources, listings, strict=True):
        notes.passed_over.update(listing.passed_over)
        for path, reason in listing.unknown:
            on_reject(Reject(str(path), reason))
        root = source if Path(source).is_dir() else str(Path(source).parent)
        if source == "-":
            yield from _standard_input(stdin, reader)
        for file in listing.files:
            yield from read_file(file, root, reader, progress)
    notes.own.check(options.columns)


def count_bytes(sources: Sequence[str], ignore: Sequence[str] = ()) -> int:
    """Bytes that `read_documents` will report as read; 0 when standard input is among them."""
    if "-" in sources:
        return 0
    return sum(p.stat().st_size for source in sources for p in source_files(source, ignore).files)


def source_files(source: str, ignore: Sequence[str] = (), may_be_empty: bool = False) -> Listing:
    """The files of one source. Raises DocumentError for one that does not exist or has nothing to read."""
    if source == "-":
        return Listing()
    path = Path(source)
    if path.is_dir():
        listing = list_folder(path, ignore)
        if not listing.files and not may_be_empty:
            raise DocumentError(f"{source}: {_nothing(listing)}")
        return listing
    if not path.exists():
        raise DocumentError(f"{source}: no such file or folder")
    if kind_of(path) not in TEXT_FILES | LINE_FILES:
        raise DocumentError(
            f"{source}: unknown file type; name it .jsonl, .csv, .tsv, .txt, .md, .html, .pdf, .docx, .epub "
            "or .xml (and .gz, .bz2, .xz or .zst), or pipe JSON lines to -"
        )
    if path.stat().st_size == 0:
        raise DocumentError(f"{source}: the file is empty")
    return Listing([path])


def _nothing(listing: Listing) -> str:
    """Why a folder gives no document: what there is in it instead."""
    wanted = (
        "the folder holds no .txt, .md, .html, .jsonl, .csv, .tsv, .pdf, .docx, .epub or .xml file"
    )
    there = Counter(reason.removeprefix(UNKNOWN_TYPE).strip() for _, reason in listing.unknown)
    there += listing.passed_over
    return wanted + (
        f"; there are: {', '.join(f'{n} {what}' for what, n in there.items())}" if there else ""
    )


def _standard_input(stdin: IO[bytes] | None, reader: Reader) -> Iterator[Document]:
    raw: Any = stdin or sys.stdin.buffer
    stream = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)
    yield from _json_lines(unpacked(stream), "standard input", reader)


def read_file(
    path: Path, root: str, reader: Reader, progress: Callable[[int], None] | None = None
) -> Iterator[Document]:
    """The documents of one file; its name below `root` is the id of a text file."""
    kind = kind_of(path)
    place = str(path)
    try:
        with path.open("rb") as raw:
            if not raw.peek(1):
                reader.on_reject(Reject(place, "the file is empty"))
                return
            stream = unpacked(raw, path.name)
            name = path.relative_to(root).as_posix() if root else place
            documents = _of_kind(kind, stream, place, name, reader)
            seen = 0
            for n, document in enumerate(documents):
                yield document
                if progress is not None and n % 256 == 0:
                    progress(raw.tell() - seen)
                    seen = raw.tell()
            if progress is not None:
                progress(path.stat().st_size - seen)
    except UNREADABLE as error:
        reader.on_reject(Reject(place, f"the file cannot be read to its end: {error}"))


def _of_kind(
    kind: str, stream: io.BufferedReader[Any], place: str, name: str, reader: Reader
) -> Iterator[Document]:
    if kind in TEXT_FILES:
        return _text_file(stream, place, name, kind, reader)
    if kind in (".csv", ".tsv", ".tab"):
        return _table(stream, place, name, ".csv" if kind == ".csv" else ".tsv", reader)
    if kind == ".json":
        return _json_file(stream, place, reader)
    return _json_lines(stream, place, reader)


# -- JSON ------------------------------------------------------------------------------------------


def _json_lines(raw: io.BufferedReader[Any], place: str, reader: Reader) -> Iterator[Document]:
    lines = decoding.lines(raw, place, reader.on_reject, reader.notes.decoding)
    for number, line in lines:
        if not line.strip():
            continue
        at = f"{place}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError: also a number of 5,000 digits
            problem = f"no JSON: {error}"
            if number == 1 and line.lstrip().startswith("["):
                problem = _ARRAY
            reader.on_reject(Reject(at, problem, line.rstrip("\n")))
            continue
        if not isinstance(record, dict):
            problem = _ARRAY if isinstance(record, list) else _no_object(record)
            reader.on_reject(Reject(at, problem, line.rstrip("\n")))
            continue
        yield from _checked(record, at, reader)


def _json_file(raw: io.BufferedReader[Any], place: str, reader: Reader) -> Iterator[Document]:
    """A .json file: JSON lines, or one array of objects, or one object over several lines."""
    head = raw.peek(1 << 16)[: 1 << 16].lstrip(b"\xef\xbb\xbf \t\r\n")
    first = head.partition(b"\n")[0].strip()
    if not head.startswith(b"[") and first != b"{":
        yield from _json_lines(raw, place, reader)
        return
    data = raw.read(_MAX_JSON + 1)
    if len(data) > _MAX_JSON:
        reader.on_reject(Reject(place, f"more than {_MAX_JSON // 10**6} MB of {_ARRAY}"))
        return
    text = decoding.whole(data, place, reader.on_reject, reader.notes.decoding)
    if text is None:
        return
    try:
        value = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        reader.on_reject(Reject(place, f"no JSON: {error}", text[:2000]))
        return
    records = value if isinstance(value, list) else [value]
    for number, record in enumerate(records, 1):
        at = f"{place}, item {number}"
        if isinstance(record, dict):
            yield from _checked(record, at, reader)
        else:
            shown = json.dumps(record, ensure_ascii=False)[:2000]
            reader.on_reject(Reject(at, _no_object(record), shown))


def _no_object(value: Any) -> str:
    return f"a JSON object is expected, not {type(value).__name__}"


def _checked(
    record: dict[str, Any], place: str, reader: Reader, id_: str = ""
) -> Iterator[Document]:
    try:
        document = document_of(record, reader.columns, reader.notes.own, id_, place)
    except ValueError as error:
        shown = json.dumps(record, ensure_ascii=False)
        reader.on_reject(Reject(place, str(error), shown))
        return
    problem = check_document(document)
    if problem is None:
        yield document
    else:
        reader.on_reject(Reject(place, problem, json.dumps(record, ensure_ascii=False)))


# -- tables ----------------------------------------------------------------------------------------


def _table(
    raw: io.BufferedReader[Any], place: str, name: str, kind: str, reader: Reader
) -> Iterator[Document]:
    lines = decoding.lines(raw, place, reader.on_reject, reader.notes.decoding)
    table = open_table(lines, place, kind, reader.on_reject)
    if table is None:
        return
    if kind == ".tsv" and set(table.names) >= DARECZECH:
        yield from _dareczech(table, reader)
        return
    problem = _unusable(table, reader.columns)
    if problem is not None:
        reader.on_reject(Reject(f"{place}:{table.line}", problem))
        return
    named = {plain(column) for column in table.names}
    wanted = {plain(reader.columns.id)} if reader.columns.id else set(ID_NAMES)
    has_id = bool(named & wanted)
    if not has_id:
        reader.notes.numbered.append(place)
    for row in table.rows:
        id_ = "" if has_id else f"{name}#{row.number}"
        yield from _checked(row.cells, row.place, reader, id_)


def _unusable(table: Table, columns: Columns) -> str | None:
    """Why a table cannot be indexed: no column of it is known to hold text."""
    header = ", ".join(table.names[:12])
    named = {plain(name) for name in table.names}
    missing = [
        name
        for name in (*columns.texts, columns.title, columns.id)
        if name and plain(name) not in named
    ]
    if missing:
        return f"the header ({header}) names no column {missing[0]!r}"
    known = {*TEXT_NAMES, *TITLE_NAMES} & named
    if not known and not columns.texts and not columns.title:
        return (
            f"the header ({header}) names no column of text; name it: --text-field NAME "
            "(is the first line no header? Write one: id,text)"
        )
    return None


def _dareczech(table: Table, reader: Reader) -> Iterator[Document]:
    """One document per url: the file has a line per query and document."""
    seen: set[str] = set()
    for row in table.rows:
        url = row.cells["url"]
        if url in seen:
            continue
        seen.add(url)
        record = {"id": url, "url": url, "title": row.cells["title"], "text": row.cells["doc"]}
        yield from _checked(record, row.place, reader)


# -- files that are one document -------------------------------------------------------------------


def _text_file(
    raw: IO[bytes], place: str, name: str, kind: str, reader: Reader
) -> Iterator[Document]:
    """The whole file is one document; its id is its path below the folder that was named."""
    limit = _MAX_FILE if kind in (".pdf", ".docx", ".epub") else MAX_CHARACTERS * 4
    data = raw.read(limit + 1)
    if len(data) > limit:
        size = f"{limit // 10**6} MB" if limit == _MAX_FILE else f"{MAX_CHARACTERS:,} characters"
        reader.on_reject(Reject(place, f"the text has more than {size}; split the file"))
        return
    text = ""
    if kind not in _BINARY:
        decoded = decoding.whole(data, place, reader.on_reject, reader.notes.decoding)
        if decoded is None:
            return
        text = decoded.removeprefix("\ufeff")
    try:
        said = _said(kind, data, text)
    except (ValueError, MissingExtra) as error:
        reader.on_reject(Reject(place, str(error), text[:2000]))
        return
    title = "" if _NO_TITLE.match(said.title) else said.title.strip()
    title = title or Path(name).name.partition(".")[0].replace("_", " ").replace("-", " ")
    lang = language_code(said.lang) if said.lang else ""
    fields = own_fields(said.fields)
    document = Document(
        name,
        said.text,
        title,
        lang=lang if lang in languages.NAMES else "",
        fields=fields,
        place=place,
    )
    problem = "the text is empty" if not said.text.strip() else check_document(document)
    if problem is None:
        reader.notes.own.note(fields)
        yield document
    else:
        reader.on_reject(Reject(place, problem, said.text[:2000]))


def _said(kind: str, data: bytes, text: str) -> FileText:
    """What a file of one document says. Raises ValueError or MissingExtra."""
    from indexer.text import front_matter, office_files, web_pages

    match kind:
        case ".html" | ".htm" | ".xhtml":
            return web_pages.read_page(text)
        case ".md" | ".markdown":
            return front_matter.read_note(text)
        case ".pdf":
            return office_files.read_pdf(data)
        case ".docx":
            return office_files.read_docx(data)
        case ".epub":
            return office_files.read_epub(data)
        case ".xml":
            return office_files.read_xml(data)
        case _:
            return FileText(text)
