"""The setting `encoder.neutral`: any multilingual encoder in its language-neutral space, and what an index says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from test_neutral_space import PLACES, SIDES, Biased

from configs.errors import IndexFolderError
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.neutral_encoder import NeutralEncoder, neutralised
from indexer.folder import IndexFolder
from indexer.schema import Document, Kind, Matrix
from indexer.storage.manifest import read_manifest
from indexer.vectors import unit_rows


class Reads(Biased):
    """As Biased, and any other text by its letters."""

    asked = 0

    def __init__(self, bias: float) -> None:
        super().__init__(bias)
        self.fingerprint = f"reads-{bias}"

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        self.asked += len(texts)
        if all(text in PLACES for text in texts):
            return super().encode(texts, kind)
        return HashEncoder(self.dim).encode(texts, kind)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TANDEM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_a_multilingual_encoder_is_projected_and_the_directions_are_kept_for_the_next_process() -> (
    None
):
    first, again = Reads(2.0), Reads(2.0)
    neutral = neutralised(first)
    assert isinstance(neutral, NeutralEncoder)
    assert first.asked > 0
    same = neutralised(again)
    assert again.asked == 0  # from the cache
    assert same.fingerprint == neutral.fingerprint != first.fingerprint
    texts = list(SIDES["cs"])
    vectors = neutral.encode(texts, "query")
    assert np.abs(vectors @ neutral.space.directions.T).max() < 1e-5
    assert np.abs(vectors - same.encode(texts, "query")).max() < 1e-6
    assert np.allclose(vectors, unit_rows(vectors))


def test_an_encoder_that_is_not_multilingual_or_has_no_bias_stays_as_it_is() -> None:
    for encoder in (HashEncoder(64), Reads(0.0)):
        assert neutralised(encoder) is encoder
        assert neutralised(encoder) is encoder  # what the cache says


def test_an_index_says_that_its_encoder_is_neutral_and_refuses_the_plain_one(
    tmp_path: Path,
) -> None:
    plain = Reads(2.0)
    neutral = neutralised(plain)
    documents = [Document("d1", "harvest near the river", "", "", "en")]
    build_index(tmp_path / "index", documents, neutral)
    assert read_manifest(tmp_path / "index").encoder.neutral
    assert len(IndexFolder.open(tmp_path / "index", neutral)) == 1
    with pytest.raises(IndexFolderError, match=r"it was written with encoder\.neutral=true"):
        IndexFolder.open(tmp_path / "index", plain)


def test_an_index_written_before_is_searched_without_the_neutral_space(tmp_path: Path) -> None:
    plain = Reads(2.0)
    documents = [Document("d1", "harvest near the river", "", "", "en")]
    build_index(tmp_path / "index", documents, plain)
    assert not read_manifest(tmp_path / "index").encoder.neutral
    opened = IndexFolder.open(tmp_path / "index", neutralised(plain))
    assert opened.encoder.fingerprint == plain.fingerprint
