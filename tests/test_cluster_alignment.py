"""Word alignment over a cluster: the tokens that were written come back, and score as in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from configs.settings import ElasticsearchSettings
from indexer.build import build_index
from indexer.cluster import ClusterIndex
from indexer.cluster_build import build_in_cluster
from indexer.elastic.requests import packed_tokens, tokens_in
from indexer.encoders.opening import open_encoder
from indexer.folder import IndexFolder
from indexer.schema import Document, SignalName

DOCUMENTS = [
    Document("en", "The hospital stands near the river.", "", "", "en"),
    Document("cs", "Nemocnice stojí u řeky.", "", "", "cs"),
    Document("de", "Brot wird am Morgen gebacken.", "", "", "de"),
]


def test_tokens_come_back_as_they_were_packed() -> None:
    tokens = np.array([0, 1, 255, 65_536, 499_999], np.int32)
    hit = {"fields": {"key": ["k"], "tokens": [packed_tokens(tokens)]}}
    found = tokens_in({"hits": {"hits": [hit, {"fields": {"key": ["none"]}}]}})
    assert found["k"].tolist() == tokens.tolist()
    assert found["none"].tolist() == []


def test_words_are_aligned_as_in_a_folder(
    elasticsearch_name: str, elasticsearch_url: str, tmp_path: Path
) -> None:
    encoder = open_encoder("fast")
    settings = ElasticsearchSettings(hosts=(elasticsearch_url,), replicas=0)
    address = f"es://{elasticsearch_name}"
    build_in_cluster(address, DOCUMENTS, encoder, settings=settings, model="fast")
    build_index(tmp_path / "index", DOCUMENTS, encoder, model="fast")
    cluster = ClusterIndex.open(address, encoder, settings)
    folder = IndexFolder.open(tmp_path / "index", encoder)
    if not folder.facts.aligned:
        pytest.skip("this installation has no student that aligns words")
    assert cluster.facts.aligned
    signals: tuple[SignalName, ...] = ("dense", "lexical", "alignment")
    for text in ("hospital", "nemocnice u řeky", "bread"):
        scores = []
        for index in (cluster, folder):
            query = index.queries([text])[0]
            (pool,) = index.pools([query], 10, signals)
            assert np.isinf(pool.ranks["alignment"]).all()
            ids = index.ids(index.documents_of(pool.keys))
            scores.append(dict(zip(ids, pool.scores["alignment"].tolist(), strict=True)))
            again = index.scored(query, pool.keys, signals).scores["alignment"]
            assert again.tolist() == pool.scores["alignment"].tolist()
        assert scores[0] == pytest.approx(scores[1], abs=1e-6), text
    cluster.close()
