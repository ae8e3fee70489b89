"""A record (of JSON, of a table) to a document: which field is its id, title and text, and which are its own.

Names are compared without case, and without spaces around them: `Title`, ` text` and `Doc-ID` are known.
"""

from __future__ import annotations

import datetime
import difflib
import functools
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from configs.errors import DocumentError
from indexer.schema import Document
from indexer.text import languages

__all__ = [
    "ID_NAMES",
    "MAX_CHARACTERS",
    "TEXT_NAMES",
    "TITLE_NAMES",
    "Columns",
    "OwnFields",
    "check_document",
    "document_of",
    "language_code",
    "own_fields",
    "plain",
]

MAX_CHARACTERS = 10_000_000
"""A longer document is set aside: it is a dump or a mistake, and no passage of it would be found."""
MAX_ID = 512  # characters

ID_NAMES = ("id", "_id", "doc_id", "docid", "docno", "document_id", "identifier", "uuid")
TEXT_NAMES = (
    "text", "body", "content", "contents", "passage", "abstract", "page_content", "full_text",
    "fulltext", "passage_text", "document_text", "plain_text", "article", "segment", "chunk", "summary",
    "description", "doc", "document", "texte", "texto", "testo", "tekst",
)  # fmt: skip
TITLE_NAMES = (
    "title",
    "headline",
    "heading",
    "titel",
    "titre",
    "título",
    "titulo",
    "titolo",
    "name",
)
URL_NAMES = ("url", "link")
LANG_NAMES = ("lang", "language")
NESTED = ("fields", "metadata", "meta")
"""Objects whose members are fields of the document."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_RUNNING = 6  # words from which a value of a field counts as running text
_EMPTY: tuple[Any, ...] = (None, "", [], {})


@dataclass(frozen=True, slots=True)
class Columns:
    """Fields that a user named; empty: the usual names. Several texts are put together in this order."""

    texts: tuple[str, ...] = ()
    title: str = ""
    id: str = ""

    def named(self) -> set[str]:
        return {name for name in (*self.texts, self.title, self.id) if name}


@dataclass(slots=True)
class OwnFields:
    """Which fields were kept beside the text, so that nobody takes them for searched."""

    documents: dict[str, int] = field(default_factory=dict)
    """Field -> documents that have it."""
    running: dict[str, int] = field(default_factory=dict)
    """Field -> documents where it holds running text."""
    seen: set[str] = field(default_factory=set)
    """Every name of a record, as it stood there."""

    def note(self, fields: Mapping[str, str]) -> None:
        for name, value in fields.items():
            self.documents[name] = self.documents.get(name, 0) + 1
            if is_running(value):
                self.running[name] = self.running.get(name, 0) + 1

    def check(self, columns: Columns) -> None:
        """Raises DocumentError when a field that the user named stood in no record."""
        known = {plain(name) for name in self.seen}
        missing = sorted(name for name in columns.named() if plain(name) not in known)
        if not missing or not self.seen:
            return
        near = difflib.get_close_matches(missing[0], self.seen, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DocumentError(
            f"no record has the field {missing[0]!r}{hint}; they have: {', '.join(sorted(self.seen)[:20])}"
        )


def is_running(value: str) -> bool:
    """Whether a value is running text: several words, or many letters of a script without spaces."""
    if len(value) < 2 * _RUNNING or value.startswith(("http://", "https://")):
        return False
    if len(value.split(None, _RUNNING)) >= _RUNNING:
        return True
    return (
        not value.isascii()
        and sum(c.isalpha() and c > "\u0e00" for c in value[:200]) >= 3 * _RUNNING
    )


@functools.lru_cache(4096)
def plain(name: str) -> str:
    """A name of a field as names are compared."""
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the names of a record are for: each a tuple of names as written, the first with a value is taken."""

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    """One a text that is put together."""
    urls: tuple[str, ...]
    langs: tuple[str, ...]


@functools.lru_cache(256)  # the records of a file have few different sets of names
def _layout(written: tuple[str, ...], columns: Columns) -> _Layout:
    names: dict[str, str] = {}  # as compared -> as written
    for name in written:
        names.setdefault(plain(name), name)

    def among(wanted: Sequence[str]) -> tuple[str, ...]:
        return tuple(names[name] for name in wanted if name in names)

    return _Layout(
        among((plain(columns.id),) if columns.id else ID_NAMES),
        among((plain(columns.title),) if columns.title else TITLE_NAMES),
        tuple(among((plain(name),)) for name in columns.texts) or (among(TEXT_NAMES),),
        among(URL_NAMES),
        among(LANG_NAMES),
    )


def document_of(
    record: Mapping[str, Any], columns: Columns, own: OwnFields, id_: str = "", place: str = ""
) -> Document:
    """A record of BEIR (`_id`, `title`, `text`) or of the usual names; other fields are kept as `fields`.

    `id_` is used where the record has none. Raises ValueError with what is wrong and the cure.
    """
    own.seen.update(record)
    layout = _layout(tuple(record), columns)
    taken: set[str] = set()
    key = _chosen(record, layout.ids, taken, objects=True)
    if key is None and not id_:
        raise ValueError(f"no id; one of {', '.join(ID_NAMES)} is expected")
    if key is not None:
        value = record[key]
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(f"{key} must be a string or a whole number, not {value!r:.40}")
        id_ = str(value).strip()
    title = _text_of(record, _chosen(record, layout.titles, taken))
    texts = [_text_of(record, _chosen(record, names, taken)) for names in layout.texts]
    text = "\n\n".join(filter(None, texts)) if len(texts) > 1 else texts[0]
    url = _text_of(record, _chosen(record, layout.urls, taken))
    lang, key = "", _chosen(record, layout.langs, taken)
    if key is not None:
        lang = language_code(_text_of(record, key))
        if lang not in languages.NAMES and key.lower() != "lang":
            taken.discard(key)  # "language: Middle High German" is kept as a field
            lang = ""
    fields = {}
    if len(taken) < len(record):
        fields = own_fields({name: v for name, v in record.items() if name not in taken})
    empty = not title.strip() and not text.strip()
    for name in itertools.chain(*layout.texts) if empty else ():
        if isinstance(record[name], Mapping):
            raise ValueError(
                f"{name} is an object ({', '.join(map(str, list(record[name])[:5]))}), and text is a string; write it as "
                "one first, with jq for example"
            )
    if empty and fields and not columns.texts:
        raise ValueError(
            "title and text are empty; name the field that holds the text: --text-field NAME, "
            f"of {', '.join(list(fields)[:10])}"
        )
    if fields:
        own.note(fields)
    return Document(id_, text, title, url, lang, fields, place)


@functools.lru_cache(1024)
def language_code(tag: str) -> str:
    """The code of a language that is given as a tag or by its English name."""
    by_name = {name.casefold(): code for code, name in languages.NAMES.items()}
    return by_name.get(tag.strip().casefold()) or languages.normal(tag)


def _chosen(
    record: Mapping[str, Any], names: Sequence[str], taken: set[str], objects: bool = False
) -> str | None:
    """The first of these fields that has a value; it is then taken.

    One that is an object is no text, and passed over unless `objects` says otherwise.
    """
    for name in names:
        value = record[name]
        if isinstance(value, str):
            if value and not value.isspace() and name not in taken:
                taken.add(name)
                return name
        elif value is not None and value != [] and (objects or not isinstance(value, dict)):
            taken.add(name)
            return name
    return None


def _text_of(record: Mapping[str, Any], name: str | None) -> str:
    if name is None:
        return ""
    value = record[name]
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n\n".join(value)  # paragraphs
    raise ValueError(f"{name} must be a string, not {type(value).__name__}")


def own_fields(values: Mapping[str, Any]) -> dict[str, str]:
    """A document's own fields as text: objects and lists as JSON; those without a value are left out."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if plain(name) in NESTED:
            if value in _EMPTY:
                continue
            if isinstance(value, dict):
                flat.update({k: v for k, v in value.items() if k not in values})
                continue
            if plain(name) == "fields":
                raise ValueError(f"{name} must be an object, not {type(value).__name__}")
        flat[name] = value
    fields = {}
    for name, value in flat.items():
        if value in _EMPTY:
            continue
        if isinstance(value, datetime.date | datetime.time):  # TOML has them
            value = value.isoformat()
        if not isinstance(value, str):
            value = json.dumps(value, ensure_ascii=False, default=str)
        if value := value.strip():
            fields[str(name).strip()] = value
    return fields


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
