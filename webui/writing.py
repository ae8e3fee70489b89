"""Writing to the served index: jobs that one thread does in order, so that no two commits overlap.

Each job is one commit, which the server then moves to. It knows nothing of HTTP. Jobs live in memory: after a
restart the server has forgotten them, and what is sent again is passed over where it had been written.
"""

from __future__ import annotations

import dataclasses
import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, Literal

from configs.errors import TandemError
from configs.settings import Settings
from indexer import changes
from indexer.build import ChangeReport
from indexer.text.rejects import Reject
from webui.live_index import Live

__all__ = ["Job", "Overloaded", "WriteTarget", "Writer"]

log = logging.getLogger(__name__)

PURPOSE = "tandem serve"
KEPT = 1_000  # finished jobs that can be asked for
NAMED = 100  # set-aside documents that an answer names
WAITING = 64 << 20  # bytes of bodies whose documents wait to be written
STOP = 30.0  # seconds that the end of the server waits for the job under way


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """The index that is written to, and the settings it is written with."""

    place: str
    settings: Settings


@dataclass(slots=True)
class Job:
    """Documents to add or ids to delete. Changed by the writing thread alone once it is submitted."""

    records: Sequence[Any] = ()
    deleted: Sequence[str] = ()
    rejects: list[Reject] = field(default_factory=list)
    """Of the body already, before the documents are looked at; at most `NAMED`."""
    rejected: int = 0
    size: int = 0  # bytes of the body
    id: str = field(default_factory=lambda: token_hex(8))
    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    total: int = 0
    done: int = 0
    missing: Sequence[str] = ()
    """Ids to delete that the index had not."""
    report: ChangeReport | None = None
    error: Exception | None = None
    finished: threading.Event = field(default_factory=threading.Event)

    def reject(self, reject: Reject) -> None:
        self.rejected += 1
        if len(self.rejects) < NAMED:
            self.rejects.append(reject)


class Overloaded(TandemError):
    """More documents wait to be written than the server keeps in memory."""


class Writer:
    """Writes jobs one after another. Its thread starts with the first job."""

    def __init__(self, target: WriteTarget, live: Live) -> None:
        self._target = target
        self._live = live
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting = 0  # bytes
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, job: Job) -> Job:
        """Queue a job. Raises Overloaded when too much waits already."""
        job.total = len(job.records) + len(job.deleted)
        with self._lock:
            if self._closed or (self._waiting and self._waiting + job.size > WAITING):
                raise Overloaded("too many documents wait to be written; send this again later")
            self._waiting += job.size
            self._jobs[job.id] = job
            self._forget()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
                self._thread.start()
        self._queue.put(job)
        return job

    def job(self, job_id: str) -> Job | None:
        with self._lock:
            return self._jobs.get(job_id)

    def waiting(self) -> int:
        """Jobs that are not finished."""
        with self._lock:
            return sum(not job.finished.is_set() for job in self._jobs.values())

    def close(self) -> None:
        """Let the job under way finish; those that wait are dropped."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join(STOP)
            if dropped := self.waiting():
                log.warning("%d batches of documents were not written; send them again", dropped)

    def _forget(self) -> None:
        """Drop the oldest finished jobs beyond `KEPT`."""
        finished = [key for key, job in self._jobs.items() if job.finished.is_set()]
        for key in finished[: max(0, len(finished) - KEPT)]:
            del self._jobs[key]

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            if self._closed:
                return
            job.state = "running"
            try:
                job.report = self._write(job)
                job.state = "done"
            except Exception as error:  # told to whoever asks for the job; the next one is written
                job.error, job.state = error, "failed"
                if not isinstance(error, TandemError):
                    log.exception("defect while documents were written, job %s", job.id)
            finally:
                job.records = job.deleted = ()
                with self._lock:
                    self._waiting -= job.size
                job.finished.set()

    def _write(self, job: Job) -> ChangeReport:
        place, settings = self._target.place, self._target.settings
        if job.deleted:
            self._live.follow()
            job.missing = self._live.missing(job.deleted)
            encoder = self._live.encoder()
            report = changes.delete_known(place, job.deleted, settings, encoder, PURPOSE)
        else:
            report = changes.add_records(
                place, job.records, settings, self._live.encoder(), purpose=PURPOSE,
                on_reject=job.reject, progress=lambda n: self._advance(job, n),
            )  # fmt: skip
        job.done = job.total
        self._live.follow()
        return dataclasses.replace(report, rejected=job.rejected)

    def _advance(self, job: Job, documents: int) -> None:
        job.done = min(job.total, job.done + documents)
