"""Documents to passages, terms and vectors: the work of a build that other processes can do.

A worker process imports this module and no more than it needs. It loads a static encoder by itself, in a
fifth of a second; what a transformer encodes is encoded by the process that has it.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import IndexFolderError
from configs.settings import PassageSettings
from indexer.schema import Document, Encoder, Matrix
from indexer.storage.journal import passage_key
from indexer.storage.passage_tokens import TokenSets, token_sets
from indexer.text import languages
from indexer.text.analysis import Analysis, analyse_all, analysed
from indexer.text.passages import passage_texts, split

if TYPE_CHECKING:
    from indexer.encoders.static_encoder import StaticEncoder

__all__ = [
    "BATCH",
    "Hashed",
    "Prepared",
    "Task",
    "divided",
    "in_workers",
    "prepare",
    "prepared_batches",
    "task_of",
    "texts_of",
    "vectors_of",
]

BATCH = 1024  # documents prepared, encoded and written at a time
_WORTH_WORKERS = 4 * BATCH  # fewer documents are done before a worker process has started

Spans = list[tuple[int, int]]
Text = tuple[str, str, str]  # title, text, language
Hashed = tuple[Document, bytes]  # with its content hash


@dataclass(frozen=True, slots=True)
class Task:
    """What every batch of a build has in common."""

    size: int
    overlap: int
    model: Path | None = None
    """The folder of the static encoder that workers encode with; None: they do not encode."""
    fingerprint: str = ""
    """Of that encoder: a worker that finds another one in the folder does not encode."""
    aligned: bool = False
    """Whether the tokens of the passages are kept too: that static encoder is the one that aligns words."""
    passages: int = 0
    """A worker encodes a batch of at most so many passages; of a larger one it gives no vectors."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was made of a batch of documents; passages in the order of the documents."""

    langs: list[str]
    """One a document."""
    spans: list[Spans]
    """The passages of each document."""
    analyses: Iterable[Analysis]
    """One a passage."""
    keys: bytes = b""
    """The journal's keys of the passages."""
    vectors: Matrix | None = None
    """(passages, dim) float32, where they were encoded already."""
    left: Sequence[int] = ()
    """The passages, by their place, that were not: their vectors and tokens are undefined."""
    tokens: TokenSets | None = None
    """Of the passages, where they were tokenised already."""


def prepare(
    batch: Sequence[Text],
    task: Task,
    limited: Encoder | None = None,
    encoder: StaticEncoder | None = None,
) -> Prepared:
    """Languages, passages and terms of documents; vectors too with an `encoder`.

    `limited`: an encoder that reads so many tokens only; passages are made to fit it.
    """
    unknown = [i for i, (_, _, lang) in enumerate(batch) if not lang]
    langs = [lang for _, _, lang in batch]
    detected = languages.detect([batch[i][1] or batch[i][0] for i in unknown])
    for i, lang in zip(unknown, detected, strict=True):
        langs[i] = lang
    spans = [_spans(title, text, task, limited) for title, text, _ in batch]
    texts: list[str] = []
    of: list[str] = []
    for (title, text, _), mine, lang in zip(batch, spans, langs, strict=True):
        texts += passage_texts(title, text, mine)
        of += [lang] * len(mine)
    keys = b"".join(map(passage_key, texts))
    if encoder is None or len(texts) > task.passages:
        return Prepared(langs, spans, analyse_all(texts, of), keys)
    vectors, rows, left = encoder.read_most(texts)
    if 8 * len(left) > len(texts):  # it pays to open what they need
        (vectors, rows), left = encoder.read(texts), []
    tokens = None
    if task.aligned:
        from indexer.encoders.token_vectors import known_tokens

        tokens = token_sets(rows.flat, rows.borders, known_tokens(encoder))
    return Prepared(langs, spans, analysed(texts, of), keys, vectors, left, tokens)


def _spans(title: str, text: str, task: Task, limited: Encoder | None) -> Spans:
    if limited is None or limited.max_tokens is None:
        return split(text, task.size, task.overlap)
    # The title stands before each passage.
    room = limited.max_tokens - 2 - (limited.count_tokens([title])[0] if title else 0)
    return split(text, task.size, task.overlap, max(16, room), limited.count_tokens)


# -- in worker processes ----------------------------------------------------------------------------

_mine: StaticEncoder | None = None  # of a worker process


def _begin(model: Path | None, fingerprint: str) -> None:
    """A worker whose parent was killed would wait for work for ever: it ends instead."""
    global _mine
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the parent ends this one
    parent = multiprocessing.parent_process()

    def watch() -> None:
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if model is not None:
        from indexer.encoders.static_encoder import StaticEncoder

        found = StaticEncoder.load(model, whole=False)
        _mine = found if found.fingerprint == fingerprint else None


def _work(batch: Sequence[Text], task: Task, encode: bool) -> Prepared:
    return prepare(batch, task, encoder=_mine if encode else None)


def in_workers(
    batches: Iterator[list[Hashed]], task: Task, workers: int, encoding: Callable[[], bool]
) -> Iterator[tuple[list[Hashed], Prepared]]:
    """Each batch with what was made of it, in order, by `workers` processes.

    A worker encodes while `encoding()` says so. At most `workers` + 1 batches are under way at a time, the one
    that is yielded included: what they have encoded is encoded again when this process is killed.
    """
    # A fork would copy the threads of FAISS and tantivy.
    context = multiprocessing.get_context("spawn")
    with (
        _quick_switches(),
        ProcessPoolExecutor(
            workers, mp_context=context, initializer=_begin, initargs=(task.model, task.fingerprint)
        ) as pool,
    ):
        waiting: collections.deque[tuple[list[Hashed], Future[Prepared]]] = collections.deque()
        try:
            for batch in batches:
                texts = [(document.title, document.text, document.lang) for document, _ in batch]
                oldest = waiting.popleft() if len(waiting) == workers else None
                made = oldest[1].result() if oldest is not None else None
                waiting.append((batch, pool.submit(_work, texts, task, encoding())))
                if oldest is not None and made is not None:
                    yield oldest[0], made
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        except BrokenProcessPool as error:
            raise IndexFolderError(
                "a worker process ended before its work was done: it was killed, perhaps because memory ran "
                "out; run this again: what was encoded is kept, and with --set threads=1 there are no workers"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextlib.contextmanager
def _quick_switches() -> Iterator[None]:
    """The threads that carry batches to workers and back wait for this one 0.5 ms at most, not 5 ms each."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, 0.0005))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def divided(batches: Iterator[list[Hashed]], task: Task) -> Iterator[list[Hashed]]:
    """The documents of `batches` in smaller ones, of about `task.passages` passages each."""
    size = max(1, task.size - task.overlap)
    few: list[Hashed] = []
    passages = 0
    for document, digest in itertools.chain.from_iterable(batches):
        more = 1 + max(0, len(document.text) - task.overlap) // size
        if few and passages + more > task.passages:
            yield few
            few, passages = [], 0
        few.append((document, digest))
        passages += more
    if few:
        yield few


def prepared_batches(
    batches: Iterator[list[Hashed]],
    settings: PassageSettings,
    encoder: Encoder,
    workers: int,
    is_fresh: Callable[[], bool] = lambda: True,
    aligned: bool = False,
) -> Iterator[tuple[list[Hashed], Prepared]]:
    """Each batch with what was made of it; by worker processes when there is enough to do.

    Passages that must fit an encoder are made here, where that encoder is. `is_fresh`: whether what comes
    next was not encoded by an interrupted build; workers then encode it.
    """
    task = task_of(settings, encoder, workers, aligned)
    limited = encoder if encoder.max_tokens is not None else None
    enough = 0 if workers < 1 or limited is not None else _WORTH_WORKERS // BATCH
    ahead = list(itertools.islice(batches, enough))
    stream = itertools.chain(ahead, batches)
    if enough and len(ahead) >= enough:
        yield from in_workers(divided(stream, task), task, workers, is_fresh)
        return
    for batch in stream:
        texts = [(document.title, document.text, document.lang) for document, _ in batch]
        yield batch, prepare(texts, task, limited)


def task_of(
    settings: PassageSettings, encoder: Encoder, workers: int, aligned: bool = False
) -> Task:
    """What workers are to do. All that is under way at a time is one batch of the journal: see `in_workers`."""
    from indexer.encoders.static_encoder import StaticEncoder
    from indexer.encoders.token_vectors import aligner

    model = encoder.folder if workers > 0 and isinstance(encoder, StaticEncoder) else None
    share = max(1, BATCH // (workers + 1))
    own = aligned and model is not None and aligner(encoder) is encoder
    return Task(settings.size, settings.overlap, model, encoder.fingerprint, own, share)


def vectors_of(batch: Sequence[Hashed], prepared: Prepared, encoder: Encoder) -> Matrix:
    """The vectors of a batch's passages: those that workers have made, and here the others."""
    texts = texts_of(batch, prepared) if prepared.vectors is None or prepared.left else []
    if prepared.vectors is None:
        return encoder.encode(texts, kind="passage")
    if prepared.left:
        left = list(prepared.left)
        prepared.vectors[left] = encoder.encode([texts[i] for i in left], kind="passage")
    return prepared.vectors


def texts_of(batch: Sequence[Hashed], prepared: Prepared) -> list[str]:
    """The text of each passage of a batch, as it is encoded."""
    return [
        text
        for (document, _), spans in zip(batch, prepared.spans, strict=True)
        for text in passage_texts(document.title, document.text, spans)
    ]
