"""Opening an index by its place, whatever holds it: a folder, or es://NAME in Elasticsearch."""

from __future__ import annotations

from pathlib import Path

from configs.settings import ElasticsearchSettings
from indexer.elastic.address import is_address
from indexer.folder import IndexFolder
from indexer.schema import Collection, Encoder
from indexer.storage.manifest import EncoderEntry, read_manifest

__all__ = ["encoder_of", "open_collection"]


def open_collection(
    place: str | Path,
    encoder: Encoder | None = None,
    device: str = "auto",
    elasticsearch: ElasticsearchSettings | None = None,
) -> Collection:
    """The index at a place, as it is now. `encoder` None: the one it was written with, opened again.

    Raises IndexFolderError for a folder, and BackendError for a cluster, that is not there, not as Tandem
    made it, or of another encoder. `elasticsearch` None: the cluster that the environment names.
    """
    if isinstance(place, str) and is_address(place):
        from indexer.cluster import ClusterIndex

        return ClusterIndex.open(place, encoder, elasticsearch, device)
    return IndexFolder.open(place, encoder, device)


def encoder_of(
    place: str | Path, elasticsearch: ElasticsearchSettings | None = None
) -> EncoderEntry:
    """Which encoder the index at a place was written with; nothing but its note is read."""
    if isinstance(place, str) and is_address(place):
        from indexer.cluster import note_of

        return note_of(place, elasticsearch).encoder
    return read_manifest(Path(place)).encoder
