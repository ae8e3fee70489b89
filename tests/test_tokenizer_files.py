"""The tokenizer of an encoder's folder, packed and plain."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from configs.errors import ConfigError
from indexer.encoders import token_vectors, tokenizer_files
from indexer.encoders.static_encoder import StaticEncoder
from indexer.encoders.transformer_encoder import mark
from training.export.static_student import export_static

TEXTS = ["hospital water", "nemocnice", "water water hospital"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    words = {"[UNK]": 0, "hospital": 1, "nemocnice": 2, "water": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "words.json"))
    table = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
    export_static(table, tmp_path / "words.json", tmp_path / "student", name="student", bits=8)
    return tmp_path / "student"


def plain(folder: Path) -> Path:
    """A copy as earlier versions wrote it: tokenizer.json as it is."""
    copy = folder.with_name("plain")
    shutil.copytree(folder, copy)
    file = copy / tokenizer_files.PACKED
    text = tokenizer_files.read_text(file)
    file.unlink()
    (copy / "tokenizer.json").write_bytes(text.encode("utf-8"))
    config = json.loads((copy / "config.json").read_text("utf-8"))
    facts = config["files"].pop(tokenizer_files.PACKED)
    config["files"]["tokenizer.json"] = {"bytes": len(text.encode()), "sha256": facts["unpacked"]}
    (copy / "config.json").write_text(json.dumps(config), "utf-8")
    return copy


def test_a_packed_tokenizer_makes_the_vectors_of_the_plain_one(folder: Path) -> None:
    packed, unpacked = StaticEncoder.load(folder), StaticEncoder.load(plain(folder))
    assert (packed.encode(TEXTS) == unpacked.encode(TEXTS)).all()
    assert packed.encode(TEXTS).any(axis=1).all()


def test_packing_changes_no_fingerprint(folder: Path) -> None:
    shape = dict.fromkeys(
        ("format", "dim", "max_tokens", "layers", "heads", "epsilon", "pooling", "prompts", "around"), 1
    )  # fmt: skip
    marks = []
    for place in (folder, plain(folder)):
        config = json.loads((place / "config.json").read_text("utf-8"))
        marks.append(mark({**shape, "files": config["files"]}))
    assert marks[0] == marks[1]
    again = folder.with_name("again")
    table = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
    export_static(table, folder.with_name("plain") / "tokenizer.json", again, name="x", bits=8)
    assert StaticEncoder.load(again).fingerprint == StaticEncoder.load(folder).fingerprint


def test_a_packed_file_that_cannot_be_unpacked_is_named(folder: Path) -> None:
    file = folder / tokenizer_files.PACKED
    file.write_bytes(b"x" * file.stat().st_size)
    with pytest.raises(ConfigError, match=r"student: cannot be read \(.*export it again"):
        StaticEncoder.load(folder)


def test_tokens_of_an_earlier_table_with_the_same_tokenizer_are_read(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    facts = token_vectors._facts(folder)
    assert facts is not None
    assert facts.reads(config["fingerprint"])
    assert not facts.reads("earlier")
    (folder / "config.json").write_text(json.dumps({**config, "same_tokens": ["earlier"]}))
    token_vectors._facts.cache_clear()
    found = token_vectors._facts(folder)
    token_vectors._facts.cache_clear()
    assert found is not None
    assert found.reads("earlier")
    assert not found.reads("another")
