"""An index folder: one commit of it opened for reading.

    manifest.json            the commit: what there is, with every file's size and SHA-256
    segment-N/               documents, passages, vectors that commit N added (indexer.storage.store)
    lexical-N/               tantivy's files as of commit N
    dense-N.faiss            the approximate index, when there is one
    deleted-N.npy            a mark on each row that is deleted
    journal/                 what an unfinished build has encoded (indexer.storage.journal)
    rejects.jsonl            input that the last build or add set aside
    lock, lock.json          held by the one writer; who that is

How a commit comes about is in `indexer.storage.commit` and `indexer.commit_writer`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import IndexFolderError
from indexer.encoders.token_vectors import aligner, aligner_facts, aligns, token_table
from indexer.encoders.word_weights import WordWeights
from indexer.schema import (
    Bounds,
    CollectionFacts,
    Document,
    Encoder,
    FieldKind,
    Index,
    Keys,
    Passage,
    Pool,
    Query,
    SignalName,
    Where,
)
from indexer.search.alignment import Alignment
from indexer.search.bm25 import RankBM25Index
from indexer.search.dense import DenseIndex
from indexer.search.filters import RowFilters, check_condition, kinds_of
from indexer.search.lexical import LexicalIndex
from indexer.search.pool import pool_of, pools
from indexer.search.query import prepared
from indexer.storage.arrays import load_array
from indexer.storage.columns import is_hashed
from indexer.storage.commit import file_hash
from indexer.storage.manifest import (
    AlignmentEntry,
    FieldEntry,
    Manifest,
    forbidden,
    read_manifest,
    refuse_links,
)
from indexer.storage.passage_tokens import TokenStore
from indexer.storage.store import Store
from indexer.text import field_values, languages
from indexer.text.analysis import ANALYSIS, analyse
from indexer.text.passages import passage_texts
from indexer.text.wording import needed_terms, words_of
from indexer.threads import faiss
from indexer.written_encoder import mismatch, reopened, same_space

__all__ = ["IndexFolder", "note_on_words", "open_store"]


class IndexFolder:
    """One commit of an index folder, open. Satisfies `indexer.schema.Collection`.

    A passage's key is its row, a document's its number in the store. A later commit does not disturb it;
    `newest` opens that one.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        encoder: Encoder,
        store: Store,
        dense: DenseIndex,
        lexical: Index,
        device: str = "auto",
        kinds: Callable[[], Mapping[str, FieldKind]] = dict,
        tokens: TokenStore | None = None,
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.encoder = encoder
        self.store = store
        self.dense = dense
        self.lexical = lexical
        self.facts = CollectionFacts(
            str(path),
            manifest.generation,
            manifest.documents,
            manifest.passages,
            manifest.encoder.name,
            manifest.languages,
            "; ".join(
                filter(None, [note_on_words(path, manifest), note_on_tokens(path, manifest)])
            ),
            tokens is not None and _is_ours(manifest.alignment),
            manifest.created,
        )
        self.tokens = tokens
        self._alignment: Alignment | None = None
        self._aligning = threading.Lock()
        self._device = device
        self._word_weights = WordWeights(encoder)
        self._kinds = kinds
        self._indexes: Mapping[SignalName, Index] = {"dense": dense, "lexical": lexical}

    @classmethod
    def open(
        cls, path: str | Path, encoder: Encoder | None = None, device: str = "auto"
    ) -> IndexFolder:
        """The newest commit. `encoder` None: the one the index was written with, opened again.

        Raises IndexFolderError when the folder is no index, is damaged, or is of another encoder.
        """
        path = Path(path)
        for attempt in range(8):
            manifest = read_manifest(path)
            try:
                return cls._open(path, manifest, encoder, device)
            except (FileNotFoundError, IndexFolderError) as error:
                # Perhaps a writer committed and removed the old files between our two steps.
                if attempt < 7 and read_manifest(path).generation != manifest.generation:
                    continue
                if isinstance(error, IndexFolderError):
                    raise
                raise IndexFolderError(
                    f"{path}: damaged: {Path(str(error.filename)).name} is missing; "
                    f"see: tandem index verify {path}"
                ) from error
        raise AssertionError

    @classmethod
    def _open(
        cls, path: Path, manifest: Manifest, encoder: Encoder | None, device: str
    ) -> IndexFolder:
        for name, written in manifest.files.items():
            found = (path / name).stat()
            if found.st_size != written.size or not stat.S_ISREG(found.st_mode):
                raise IndexFolderError(
                    f"{path / name}: damaged: {found.st_size:,} bytes, but {written.size:,} were "
                    f"written; see: tandem index verify {path}"
                )
        refuse_links(path, manifest)
        entry = manifest.encoder
        file = manifest.dense_index.file
        with ThreadPoolExecutor(1) as beside:
            intact = beside.submit(_refuse_changed, path, file, manifest) if file else None
            if encoder is None:
                encoder = reopened(entry, device)
            encoder = same_space(encoder, entry)
            if (problem := mismatch(encoder, entry)) is not None:
                raise IndexFolderError(f"{path}: {problem}")
            if intact is not None:
                faiss()  # takes as long to import as the file to be read
                intact.result()
        try:
            store = open_store(path, manifest)
            kinds = functools.cache(lambda: field_kinds(manifest, store))
            filters = RowFilters(
                store,
                kinds,
                lambda wording: lexical.holding(
                    needed_terms(words_of(wording.text), list(manifest.languages))
                ),
            )
            dense = DenseIndex.open(
                store,
                manifest.dense_index.factory,
                path / file if file else None,
                manifest.dense_index.covered,
                manifest.dense.probes,
                entry.background,
                device,
                filters,
            )
            lexical = _open_lexical(path, manifest, store, filters)
            tokens = open_tokens(path, manifest) if manifest.alignment is not None else None
        except FileNotFoundError:
            raise
        except PermissionError as error:
            raise forbidden(path, error) from error
        except (ValueError, OSError, sqlite3.Error) as error:  # numpy, SQLite, tantivy
            raise IndexFolderError(
                f"{path}: damaged: {error}; see: tandem index verify {path}"
            ) from error
        return cls(path, manifest, encoder, store, dense, lexical, device, kinds, tokens)

    @property
    def alignment(self) -> Alignment | None:
        """Scores passages by their words; None where the index holds no tokens of this installation's student."""
        if self.tokens is None or not self.facts.aligned:
            return None
        with self._aligning:
            if self._alignment is None:
                student = aligner(self.encoder)
                assert student is not None
                live = ~self.store.deleted
                self._alignment = Alignment(self.tokens, live, student, token_table())
            return self._alignment

    def about(self) -> dict[str, object]:
        """What a report states of the index; nothing that a copy of the folder would change."""
        manifest = self.manifest
        files = {name: entry.sha256 for name, entry in manifest.files.items()}
        content = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
        return {
            "documents": manifest.documents,
            "passages": manifest.passages,
            "languages": ", ".join(f"{lang or '?'} {n}" for lang, n in manifest.languages.items()),
            "generation": manifest.generation,
            "content": f"sha256 {content[:16]}",
            "encoder": f"{manifest.encoder.name}, {manifest.encoder.dim} dimensions",
            "encoder fingerprint": manifest.encoder.fingerprint,
            "vectors": manifest.dense_index.factory,
            "words": dataclasses.asdict(manifest.lexical),
            "passage settings": dataclasses.asdict(manifest.passage_settings),
        }

    def newest(self) -> IndexFolder | None:
        """The newest commit, open; None where this is it."""
        manifest = read_manifest(self.path)
        if manifest.generation == self.manifest.generation:
            return None
        # another fingerprint: the index was built again, with another encoder
        same = manifest.encoder.fingerprint == self.encoder.fingerprint
        return IndexFolder.open(self.path, self.encoder if same else None, self._device)

    def close(self) -> None:
        self.store.close()

    def __len__(self) -> int:
        return self.manifest.documents

    # -- searching -----------------------------------------------------------------------------

    def queries(self, texts: Sequence[str], literal: bool = False) -> list[Query]:
        """The texts prepared; the first vector that is needed encodes them all at once."""
        langs, weight = list(self.manifest.languages), self.manifest.lexical.word_weight
        held = self.lexical if isinstance(self.lexical, LexicalIndex) and not literal else None
        return [*prepared(texts, self.encoder, langs, weight, self._word_weights, held)]

    def beginning(self, prefix: str) -> list[tuple[str, int]]:
        """Words as indexed that begin so, with the passages that hold each, most first."""
        held = self.lexical
        return held.beginning(prefix) if isinstance(held, LexicalIndex) else []

    def check_where(self, where: Where | None) -> None:
        """Raises ConfigError for a filter on a language nobody knows or a field that no document has."""
        if where is not None:
            languages.check(where.langs)
            for condition in where.conditions():
                check_condition(condition, self.fields)

    # -- the documents' own fields -------------------------------------------------------------

    @property
    def fields(self) -> Mapping[str, FieldKind]:
        """The fields that documents have, with their kinds."""
        return self._kinds()

    def field_counts(self, name: str, most: int = 10_000) -> dict[str, int]:
        """How many live documents have each value of a field, of the `most` frequent ones, most first."""
        column = self.store.column(name)
        live = np.zeros(int(self.store.document_bases[-1]), np.bool_)
        live[self.store.passages["document"][~self.store.deleted]] = True
        counts = np.bincount(column.codes[live[column.documents]], minlength=len(column.values))
        frequent = np.argsort(-counts, kind="stable")
        found: dict[str, int] = {}
        least = 0
        # all that are as frequent as the last one are looked at: ties are settled by value
        for code in frequent.tolist():
            if not counts[code] or (len(found) >= most and counts[code] < least):
                break
            if not is_hashed(column.values[code]):
                found[column.values[code]] = least = int(counts[code])
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:most])

    def pools(
        self,
        queries: Sequence[Query],
        size: int,
        signals: Sequence[SignalName],
        where: Where | None = None,
    ) -> list[Pool]:
        """For each query the `size` best passages of each signal, all of them scored by every signal.

        Alignment finds none; it is left out where this index has none.
        """
        found = pools(self._finders(signals), queries, size, where)
        return [self._aligned(*each, signals) for each in zip(queries, found, strict=True)]

    def scored(self, query: Query, keys: Keys, signals: Sequence[SignalName]) -> Pool:
        """These passages, scored by every signal; they have no ranks."""
        return self._aligned(query, pool_of(self._finders(signals), query, keys), signals)

    def _finders(self, signals: Sequence[SignalName]) -> dict[SignalName, Index]:
        return {name: self._indexes[name] for name in signals if name in self._indexes}

    def _aligned(self, query: Query, pool: Pool, signals: Sequence[SignalName]) -> Pool:
        if "alignment" not in signals or self.alignment is None:
            return pool
        scores = {**pool.scores, "alignment": self.alignment.score(query, pool.keys)}
        unranked = np.full(len(pool.keys), np.inf)
        return Pool(pool.keys, scores, {**pool.ranks, "alignment": unranked})

    def bounds(self, query: Query) -> dict[SignalName, Bounds]:
        """Each signal's scores that mean nothing and everything."""
        return {name: index.bounds(query) for name, index in self._indexes.items()}

    # -- what keys name ------------------------------------------------------------------------

    def documents_of(self, passages: Keys) -> Keys:
        """The number of each row's document."""
        return self.store.documents_of(passages)

    def languages_of(self, passages: Keys) -> NDArray[np.str_]:
        """The language code of each row's document; empty where it is not known."""
        codes = self.store.passages["lang"][passages].tolist()
        # damaged bytes are no language
        known = {code: code.decode("ascii", "replace") for code in set(codes)}
        return np.array([known[code] for code in codes], np.str_)

    def ids(self, documents: Keys) -> list[str]:
        """The document ids of these numbers."""
        numbers = documents.tolist()
        ids = self.store.ids(set(numbers))
        return [ids[number] for number in numbers]

    def fetch(self, passages: Keys) -> list[tuple[Document, Passage]]:
        """Each row's passage with its document."""
        numbers = self.store.documents_of(passages).tolist()
        documents = self.store.documents(set(numbers))
        found = []
        for number, record in zip(numbers, self.store.passages[passages].tolist(), strict=True):
            document = documents[number]
            _, place, start, end, _ = record
            text = document.text[start:end]
            found.append((document, Passage(document.id, place, text, start, end)))
        return found

    # -- by document id ------------------------------------------------------------------------

    def documents(self, ids: Sequence[str]) -> dict[str, Document]:
        """The live documents among these ids."""
        numbers = {entry[0]: id_ for id_, entry in self.store.find(ids).items()}
        return {
            numbers[number]: document for number, document in self.store.documents(numbers).items()
        }

    def document_ids(self) -> Iterator[str]:
        return (document.id for document, *_ in self.store.live())

    def passages(self, ids: Sequence[str]) -> dict[str, Keys]:
        """The rows of each live document, in the order of its text."""
        found = self.store.find(ids)
        return {id_: np.arange(row, row + count) for id_, (_, row, count, _) in found.items()}


def field_kinds(manifest: Manifest, store: Store) -> dict[str, FieldKind]:
    """The kinds of the fields that documents have: as declared, else as their values are."""
    entries = dict(manifest.fields)
    names = [name for spellings in store.spellings().values() for name in spellings]
    for name in names:
        if name not in entries:  # of an older version
            entries[name] = FieldEntry(field_values.seen_in(store.column(name).values))
    return kinds_of({name: entries[name] for name in names})


def open_store(path: Path, manifest: Manifest) -> Store:
    """The segments of a commit, as one store. ValueError or IndexFolderError when they do not agree."""
    rows = sum(segment.passages for segment in manifest.segments)
    deleted = np.array(load_array(path / manifest.deletions, np.dtype(np.bool_), rows))
    folders = [path / segment.folder for segment in manifest.segments]
    counts = [(segment.documents, segment.passages) for segment in manifest.segments]
    return Store.open(folders, counts, manifest.encoder.dim, deleted)


def open_tokens(path: Path, manifest: Manifest) -> TokenStore:
    """The tokens of a commit that has them. ValueError when its files do not agree."""
    folders = [path / segment.folder for segment in manifest.segments]
    return TokenStore(folders, [segment.passages for segment in manifest.segments])


def _is_ours(entry: AlignmentEntry | None) -> bool:
    """Whether an index holds tokens of the student that aligns words in this installation."""
    return entry is not None and aligns(entry.fingerprint)


def note_on_tokens(path: Path, manifest: Manifest) -> str:
    """What to say of an index with tokens of another student; empty for others, also for an older one without any."""
    entry = manifest.alignment
    if entry is None or _is_ours(entry):
        return ""
    facts = aligner_facts()
    here = "none" if facts is None else f"{facts.name} (fingerprint {facts.fingerprint})"
    return (
        f"{path}: words are not aligned: its tokens are those of {entry.name} (fingerprint "
        f"{entry.fingerprint}), and this installation has {here}; bring them up to date, nothing is encoded "
        f"again: tandem index compact {path}"
    )


def _refuse_changed(path: Path, name: str, manifest: Manifest) -> None:
    """IndexFolderError for a file that is not as it was written.

    Only FAISS's file is read whole to be opened: it trusts every number in it, and a wrong one ends the
    process or takes all memory, where the others raise an error. 74 MB take 0.04 s.
    """
    if file_hash(path / name) != manifest.files[name].sha256:
        raise IndexFolderError(
            f"{path / name}: damaged: not as it was written; see: tandem index verify {path}"
        )


def note_on_words(path: Path, manifest: Manifest) -> str:
    """What to say of an index whose words were made by another version's rules; empty where they are today's."""
    if manifest.analysis < ANALYSIS and manifest.lexical.backend == "tantivy":
        return (
            f"{path}: its words were indexed by an older Tandem, so some other spellings and forms of them are not "
            f"found; bring them up to date, nothing is encoded again: tandem index compact {path}"
        )
    if manifest.analysis > ANALYSIS:
        return f"{path}: its words were indexed by a newer Tandem; update this one, or some are not found"
    return ""


def _open_lexical(
    path: Path, manifest: Manifest, store: Store, filters: RowFilters
) -> LexicalIndex | RankBM25Index:
    if manifest.lexical.backend == "tantivy":
        return LexicalIndex.open(path / manifest.lexical_folder, filters)

    def analysed() -> Iterator[tuple[int, Any]]:
        for document, _, row, count in store.live():
            spans = [(int(p["start"]), int(p["end"])) for p in store.passages[row : row + count]]
            for i, text in enumerate(passage_texts(document.title, document.text, spans)):
                yield row + i, analyse(text, document.lang)

    return RankBM25Index.build(analysed(), filters)
