"""Arrays worked out of a file: made once, mapped from then on, made again when anything is wrong."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

import indexer.disk_cache
from indexer.disk_cache import derived, folder, tensors
from indexer.encoders.local_models import FAST
from indexer.encoders.static_encoder import StaticEncoder

ARRAYS = {
    "counts": np.arange(6, dtype=np.int32).reshape(2, 3),
    "marks": np.array([True, False, True]),
    "halves": np.array([0.5, -2.0], np.float16),
    "none": np.zeros((0, 4), np.uint64),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> dict[str, np.ndarray]:
        self.asked += 1
        return ARRAYS


def same(found: dict[str, np.ndarray]) -> bool:
    return found.keys() == ARRAYS.keys() and all(
        found[name].dtype == array.dtype and np.array_equal(found[name], array)
        for name, array in ARRAYS.items()
    )


def test_arrays_are_made_once_for_a_source(home: Path) -> None:
    maker = Maker()
    assert same(derived("counts", b"one", maker)) and same(derived("counts", b"one", maker))
    assert maker.asked == 1
    assert same(derived("counts", b"two", maker))
    assert maker.asked == 2 and len(list(home.iterdir())) == 2
    mapped = derived("counts", b"one", maker)["counts"]
    with pytest.raises(ValueError, match="read-only"):
        mapped[0, 0] = 7


def test_a_damaged_file_is_made_again(home: Path) -> None:
    maker = Maker()
    derived("counts", b"one", maker)
    (file,) = home.iterdir()
    whole = file.read_bytes()
    rng = random.Random(0)
    for asked, place in enumerate([0, 33, *rng.sample(range(len(whole)), 10)], 2):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert same(derived("counts", b"one", maker))
        assert maker.asked == asked and file.read_bytes() == whole
    for size in (0, 5, 32, 40, len(whole) - 1):
        file.write_bytes(whole[:size])
        assert same(derived("counts", b"one", maker)) and file.read_bytes() == whole


def test_where_nothing_can_be_written_what_was_made_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "file" / "cache"))
    assert same(derived("counts", b"one", Maker()))
    monkeypatch.setattr(indexer.disk_cache, "folder", lambda: None)
    assert same(derived("counts", b"one", Maker()))


def test_old_files_go_and_what_a_killed_writer_left(home: Path) -> None:
    home.mkdir()
    left, fresh = home / "counts-0.abc.new", home / "counts-0.def.new"
    for path in (left, fresh):
        path.write_bytes(b"half")
    os.utime(left, (time.time() - 86_400,) * 2)
    derived("others", b"one", Maker())
    for number in range(12):
        derived("counts", bytes([number]), Maker())
    names = sorted(path.name for path in home.iterdir())
    assert len(names) == 8 + 1 + 1 and fresh.name in names and left.name not in names


def test_the_cache_stands_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", "elsewhere")
    assert folder() == Path("elsewhere")


def test_tensors_are_those_that_were_saved() -> None:
    data = np.frombuffer(save(ARRAYS), np.uint8)
    assert same(tensors(data))
    assert np.shares_memory(tensors(data)["counts"], data)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b'{"a": 3}',
        b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 9]}}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}',
        b'{"a": {"dtype": "F32", "shape": [99], "data_offsets": [0, 396]}}',
        b'{"a": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [-400, -396]}}',
    ],
)
def test_a_table_that_lies_is_refused(header: bytes) -> None:
    data = len(header).to_bytes(8, "little") + header + bytes(8)
    with pytest.raises(ValueError, match=r"."):
        tensors(np.frombuffer(data, np.uint8))
    with pytest.raises(ValueError, match="header"):
        tensors(np.frombuffer((2**63).to_bytes(8, "little") + header, np.uint8))


@pytest.mark.skipif(not FAST.is_dir(), reason="no student in this checkout")
def test_a_student_opened_again_gives_the_same_vectors(home: Path) -> None:
    texts = ["Where is the hospital?", "Kde je nemocnice", "病院はどこですか", "\ud83d x[UNK]y"]
    first = StaticEncoder.load(FAST)
    again = StaticEncoder.load(FAST)
    assert [path.name.partition("-")[0] for path in home.iterdir()] == ["unigram"]
    assert (first.encode(texts) == again.encode(texts)).all()
    many = again.encode(texts * 200)  # with a table that is unpacked
    assert (many == np.tile(first.encode(texts), (200, 1))).all()
