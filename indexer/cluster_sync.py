"""An index in Elasticsearch that follows a folder of files (`indexer.sync`).

What is remembered of the folder stands on the machine that reads it, in the user's state folder: TANDEM_STATE,
or where this system keeps such things. Documents are written while more are read, so each is remembered before
it is written: after a kill, the next run finds what to remove.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from configs.errors import IndexLocked
from configs.settings import ElasticsearchSettings
from indexer.build import ChangeReport
from indexer.cluster import resolved
from indexer.cluster_build import add_to_cluster, held_documents
from indexer.elastic.address import name_in
from indexer.elastic.connection import Cluster, connect, explained
from indexer.elastic.mapping import note_in
from indexer.schema import Document, Encoder, FieldKind
from indexer.text.rejects import OnReject

__all__ = ["ClusterTarget", "state_folder"]


def state_folder() -> Path:
    """Where this user's programs remember things that are no cache."""
    if named := os.environ.get("TANDEM_STATE"):
        return Path(named)
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "tandem"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "tandem"


@dataclass(frozen=True, slots=True)
class ClusterTarget:
    """es://NAME, as `indexer.sync.Target`."""

    address: str
    cluster: Cluster
    encoder: Encoder | None = None
    kinds: Mapping[str, FieldKind] = field(default_factory=dict)
    workers: int = 0
    device: str = "auto"
    gradual: bool = True

    @classmethod
    def open(
        cls,
        address: str,
        settings: ElasticsearchSettings,
        encoder: Encoder | None,
        kinds: Mapping[str, FieldKind],
        workers: int,
        device: str,
    ) -> ClusterTarget:
        """Raises BackendError when no node answers."""
        return cls(address, connect(settings), encoder, kinds, workers, device)

    @property
    def memory(self) -> Path:
        """One for each name and set of nodes."""
        hosts = ",".join(sorted(self.cluster.hosts.split(", ")))
        digest = hashlib.sha256(f"{self.address} {hosts}".encode()).hexdigest()[:12]
        return state_folder() / f"sync-{name_in(self.address)}-{digest}.sqlite"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """One run at a time on this machine: Elasticsearch itself lets any number write."""
        self.memory.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.memory.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise IndexLocked(
                f"{self.address}: another `index sync` is running; wait for it"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def exists(self) -> bool:
        cluster, name = self.cluster, name_in(self.address)
        with explained(cluster, name):
            return bool(cluster.client.indices.exists(index=name))

    def generation(self) -> str:
        index, found = resolved(self.cluster, name_in(self.address))
        return f"{index} {note_in(found['mappings'], self.address).generation}"

    def missing(self, ids: Sequence[str]) -> set[str]:
        cluster, name = self.cluster, name_in(self.address)
        index, _ = resolved(cluster, name)
        return set(ids) - held_documents(cluster, name, index, ids)

    def add(
        self,
        documents: Iterable[Document],
        gone: Callable[[], Collection[str]],
        on_reject: OnReject,
    ) -> ChangeReport:
        return add_to_cluster(
            self.address, documents, self.encoder, gone=gone, settings=self.cluster.settings,
            kinds=self.kinds, on_reject=on_reject, workers=self.workers, device=self.device,
        )  # fmt: skip
