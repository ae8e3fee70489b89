"""An index as one object to search and to change: what `tandem.open` and `tandem.build` give."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from configs.errors import ConfigError
from configs.progress import Advance, Bar, no_bar, progress_bar
from configs.settings import Settings, parse
from indexer.encoders.opening import named_encoder
from indexer.schema import Document, Encoder, Fielded, FieldKind, Mode, Where
from indexer.text.conditions import parse_condition
from indexer.threads import limit
from retriever.hits import Hits
from retriever.retriever import Retriever

if TYPE_CHECKING:  # what changes an index is imported when one is changed
    from indexer.build import ChangeReport
    from indexer.changes import Change, Sources
    from indexer.text.sources import ReadOptions

__all__ = ["Filter", "Progress", "SearchIndex", "build_index", "open_index"]

Filter = Where | str | Mapping[str, "str | Iterable[str]"]
"""A `Where`, a condition such as "date>=1880 and newspaper=Zeit", or a mapping of fields to values; `lang`
is one language code or several."""

Progress = bool | Callable[[int, "int | None"], None]
"""True: a bar on a terminal. A function: called with what is done and, where that is known, of how much;
bytes of files, or documents. False: nothing."""

_READ = 1000  # documents read at a time


def open_index(
    place: str | Path,
    encoder: str | Encoder | None = None,
    *,
    settings: Settings | Mapping[str, Any] | None = None,
) -> SearchIndex:
    """Open an index: a folder, or es://NAME in Elasticsearch.

    `encoder` None: the one that the index was built with; another is refused. `settings` are those of
    `configs.settings.Settings`, as an object or as nested mappings.
    Raises IndexFolderError for a folder that is no index or is damaged, ConfigError for a wrong setting.
    """
    chosen = _settings(settings, encoder)
    limit(chosen.threads)
    opened = (
        named_encoder(chosen.encoder) if encoder is None or isinstance(encoder, str) else encoder
    )
    device, cluster = chosen.encoder.device, chosen.elasticsearch
    retriever = Retriever.open(place, opened, chosen.search, device, cluster)
    return SearchIndex(place, retriever, chosen)


def build_index(
    sources: Sources,
    place: str | Path,
    encoder: str | Encoder | None = None,
    *,
    settings: Settings | Mapping[str, Any] | None = None,
    progress: Progress = True,
    overwrite: bool = False,
    restart: bool = False,
    strict: bool = False,
    read: ReadOptions | None = None,
) -> SearchIndex:
    """Build an index of files, folders or documents, and open it.

    `sources` are paths, Documents, or mappings with an id, a text and, where there are any, title, url, lang
    and other fields. `encoder` is a name, a folder or an Encoder; None: what the settings name. A build that
    was interrupted goes on where it stopped (`restart` discards what was encoded). Input that cannot be
    used is set aside in `rejects.jsonl` with a warning, or with `strict` ends the build.
    Raises DocumentError when no document could be used, IndexFolderError when there is an index already
    (unless `overwrite`).
    """
    from indexer import changes

    chosen = _settings(settings, encoder)
    limit(chosen.threads)
    own = encoder if encoder is not None and not isinstance(encoder, str) else None
    change = changes.build(
        place, sources, chosen, own, read=read, overwrite=overwrite, restart=restart,
        strict=strict, bar=_bar(progress),
    )  # fmt: skip
    _warn(change)
    device, cluster = chosen.encoder.device, chosen.elasticsearch
    return SearchIndex(place, Retriever.open(place, own, chosen.search, device, cluster), chosen)


class SearchIndex:
    """An open index. Searches are safe from several threads; one change is made at a time.

    It shows the index as it was when it was opened, last changed through this object, or refreshed.
    """

    def __init__(self, place: str | Path, retriever: Retriever, settings: Settings) -> None:
        """Made by `tandem.open` and `tandem.build`."""
        self.place = str(place)
        self.retriever = retriever
        self.settings = settings

    # -- searching -----------------------------------------------------------------------------

    def search(
        self,
        query: str,
        k: int | None = None,
        mode: Mode | None = None,
        where: Filter | None = None,
        offset: int = 0,
        sort: str | None = None,
        literal: bool = False,
    ) -> Hits:
        """The best `k` documents after the first `offset`; `k` None: the setting, 10.

        `query` may hold phrases, exclusions and fields: `"great fire" -docks lang:cs title:požár`; `literal` takes
        all of it as text, and puts no word right.

        `mode` is "hybrid", "dense" or "lexical"; None: the setting. `where` keeps documents for which a
        condition holds, `"date>=1880 and newspaper=Zeit"`, or of these languages and field values,
        `{"lang": ["cs", "de"], "author": "Čapek"}`. `sort` names a field: the best 100 (the setting
        search.pool) are given in its order, descending after a minus: `"-date"`.
        Raises ConfigError for a query without a word, an unknown mode, language or field.
        """
        parsed = self.retriever.parsed(query, _where(where), literal)
        hits = self.retriever.search(parsed.text, k, mode, parsed.where, offset, sort, literal)
        searched = parsed.text if literal else self.retriever.searched(parsed.text)
        return Hits(query, hits, searched, parsed.text, parsed.syntax, self.retriever.floor(mode))

    def facets(
        self,
        query: str,
        *names: str,
        mode: Mode | None = None,
        where: Filter | None = None,
    ) -> dict[str, dict[str, int]]:
        """For each of these fields how many of the best 100 documents (search.pool) have each value."""
        parsed = self.retriever.parsed(query, _where(where))
        return self.retriever.facets(parsed.text, names, mode, parsed.where)

    @property
    def fields(self) -> dict[str, FieldKind]:
        """The documents' own fields, and whether each holds keywords, numbers or dates."""
        collection = self.retriever.collection
        return dict(collection.fields) if isinstance(collection, Fielded) else {}

    def search_many(
        self,
        queries: Iterable[str],
        k: int | None = None,
        mode: Mode | None = None,
        where: Filter | None = None,
    ) -> list[Hits]:
        """`search` for each query, taken as text; the encoder sees all of them at once."""
        texts = list(queries)
        found = self.retriever.search_many(texts, k, mode, _where(where))
        return [
            Hits(text, hits, self.retriever.searched(text))
            for text, hits in zip(texts, found, strict=True)
        ]

    def similar(self, document_id: str, k: int | None = None, where: Filter | None = None) -> Hits:
        """The `k` documents nearest to one of the index by meaning, in every language; itself is left out.

        Raises ConfigError for an id that is not in the index.
        """
        hits = self.retriever.similar(document_id, k, _where(where))
        document = self.get(document_id)
        return Hits(document.title or document.id if document else document_id, hits)

    def suggest(self, text: str, most: int = 8) -> list[str]:
        """Queries that a text which is being typed may become: titles of documents, and frequent phrases."""
        return self.retriever.suggest(text, most)

    # -- documents -----------------------------------------------------------------------------

    def get(self, document_id: str) -> Document | None:
        """The document of this id; None where there is none."""
        return self.retriever.collection.documents([document_id]).get(document_id)

    def __contains__(self, document_id: object) -> bool:
        return isinstance(document_id, str) and self.get(document_id) is not None

    def __iter__(self) -> Iterator[Document]:
        """Every document, in the order in which they were added."""
        collection = self.retriever.collection
        ids = collection.document_ids()
        while batch := list(itertools.islice(ids, _READ)):
            found = collection.documents(batch)
            yield from (found[id_] for id_ in batch if id_ in found)

    def __len__(self) -> int:
        return len(self.retriever.collection)

    @property
    def languages(self) -> dict[str, int]:
        """Documents of each language code, most first; the empty code where the language is not known."""
        counts = self.retriever.collection.facts.languages
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def encoder(self) -> Encoder:
        """What turns texts into the vectors of this index."""
        return self.retriever.collection.encoder

    # -- changes -------------------------------------------------------------------------------

    def add(
        self,
        sources: Sources,
        *,
        progress: Progress = True,
        strict: bool = False,
        read: ReadOptions | None = None,
    ) -> ChangeReport:
        """Add files, folders or documents; a document of a known id replaces the one there is.

        All of it is one commit. Input that cannot be used is set aside with a warning, as by `tandem.build`.
        """
        from indexer import changes

        change = changes.add(
            self.place, sources, self.settings, self.encoder,
            read=read, strict=strict, bar=_bar(progress),
        )  # fmt: skip
        self.refresh()
        _warn(change)
        return change.report

    def delete(self, ids: str | Iterable[str]) -> ChangeReport:
        """Delete documents. DocumentError, and nothing done, when one of the ids is not in the index."""
        from indexer import changes

        wanted = [ids] if isinstance(ids, str) else list(ids)
        report = changes.delete(self.place, wanted, self.settings)
        self.refresh()
        return report

    def refresh(self) -> bool:
        """Move to the newest commit, perhaps of another process; True when there was one."""
        return self.retriever.refresh()

    def close(self) -> None:
        """Close the index's files. Not needed where the process ends."""
        self.retriever.collection.close()

    def __enter__(self) -> SearchIndex:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        facts = self.retriever.collection.facts
        return (
            f"<SearchIndex {self.place}: {facts.documents:,} documents in "
            f"{len(facts.languages):,} languages, encoder {facts.encoder}>"
        )


def _settings(
    settings: Settings | Mapping[str, Any] | None, encoder: str | Encoder | None
) -> Settings:
    """The settings as an object, with the encoder's name where one is given."""
    if settings is None:
        settings = Settings()
    if not isinstance(settings, Settings):
        settings = parse(Settings, settings, "settings")
    if isinstance(encoder, str):
        named = dataclasses.replace(settings.encoder, model=encoder)
        settings = dataclasses.replace(settings, encoder=named)
    return settings


def _where(given: Filter | None) -> Where | None:
    if given is None or isinstance(given, Where):
        return given
    if isinstance(given, str):
        return Where(condition=parse_condition(given, "where"))
    langs: frozenset[str] = frozenset()
    fields = {}
    for name, value in given.items():
        if name == "lang":
            langs = frozenset([value] if isinstance(value, str) else value)
        elif isinstance(value, str):
            fields[name] = value
        else:
            raise ConfigError(f"where {name}: one text is expected as its value, not {value!r}")
    return Where(langs, fields)


def _bar(progress: Progress) -> Bar:
    """What a change shows or tells as it goes on."""
    if progress is True:
        return progress_bar
    if progress is False:
        return no_bar
    told = progress

    @contextlib.contextmanager
    def telling(label: str, total: int | None, counted: bool = False) -> Iterator[Advance]:
        so_far = 0

        def advance(done: int, shown: str | None = None) -> None:
            nonlocal so_far
            so_far += done
            told(so_far, total)

        yield advance

    return telling


def _warn(change: Change) -> None:
    """A warning where something was set aside, and where text will not be found: nobody asked for that."""
    if change.unsearched:
        names = ", ".join(map(repr, change.unsearched))
        warnings.warn(
            f"text that is not searched stands in the fields {names}; search it with "
            f"read=ReadOptions(columns=Columns(texts=(...,)))",
            stacklevel=3,
        )
    if change.report.rejected:
        shown = "; ".join(change.rejects[:3])
        warnings.warn(
            f"{change.report.rejected:,} set aside in {change.rejects_file}, the rest is indexed: {shown}",
            stacklevel=3,
        )
