"""`tandem train export` of transformers: every format gives the student's vectors, or says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from training_world import sentences, tiny, write_pairs

import tandem
from configs.errors import ConfigError
from indexer.encoders.transformer_encoder import CompactEncoder
from indexer.vectors import unit_rows

pytest.importorskip("torch", reason="extra `train` not installed")
pytest.importorskip("sentence_transformers", reason="extra `train` not installed")
pytest.importorskip("onnx", reason="extra `train` not installed")

from sentence_transformers import SentenceTransformer

from training.export.transformer_student import export_compact
from training.models.opening import open_model
from training.models.pooling import with_pooling
from training.models.students import new_body

TEXTS = [text for pair in sentences(20) for text in pair]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder: two layers of random weights."""
    place = tmp_path_factory.mktemp("student")
    new_body(tiny(place), "cpu", 5).save_pretrained(str(place / "st"), create_model_card=False)
    return place / "st"


def vectors(folder: Path) -> np.ndarray:
    model = SentenceTransformer(str(folder), device="cpu")
    return unit_rows(np.asarray(model.encode(TEXTS, show_progress_bar=False)))


@pytest.mark.parametrize(("bits", "nearest"), [("16", 0.99999), ("8", 0.9995), ("4", 0.97)])
def test_a_compact_student_is_near_and_small(
    student: Path, tmp_path: Path, bits: str, nearest: float, capsys: pytest.CaptureFixture[str]
) -> None:
    tandem.main(["train", "export", str(student), "-o", str(tmp_path / "small"), "--bits", bits])
    printed = capsys.readouterr()
    assert printed.out.strip() == str(tmp_path / "small")
    assert "mean cosine of a few texts' vectors" in printed.err
    encoder = CompactEncoder.load(tmp_path / "small", device="cpu")
    cosines = np.einsum("ij,ij->i", encoder.encode(TEXTS), vectors(student))
    assert cosines.min() > nearest
    assert encoder.name == "small"
    assert sorted(path.name for path in (tmp_path / "small").iterdir()) == [
        "MODEL_CARD.md", "body.onnx", "config.json", "model.safetensors", "tokenizer.json.zst",
    ]  # fmt: skip


@pytest.mark.parametrize("architecture", ["distilbert", "electra"])
def test_other_bodies_are_kept_too(
    tmp_path: Path, architecture: Literal["distilbert", "electra"]
) -> None:
    import dataclasses

    from indexer.encoders.transformer_encoder import read
    from indexer.encoders.transformer_engine import torch_engine
    from training.models.model_parts import restored

    shape = dataclasses.replace(
        tiny(tmp_path, pooling="cls"), architecture=architecture, embedding_width=32
    )
    model = new_body(shape, "cpu", 1)
    export_compact(model, tmp_path / "small", name="other", bits=16)
    encoder = CompactEncoder.load(tmp_path / "small", device="cpu")
    ours = encoder.encode(TEXTS)
    theirs = unit_rows(np.asarray(model.encode(TEXTS, show_progress_bar=False)))
    assert np.abs(ours - theirs).max() < 1e-3
    encoder._engine = torch_engine(read(tmp_path / "small").layers, "cpu")
    assert np.abs(encoder.encode(TEXTS) - ours).max() < 2e-6
    back = np.asarray(restored(tmp_path / "small").encode(TEXTS, show_progress_bar=False))
    assert np.abs(unit_rows(back) - ours).max() < 2e-6


def test_roberta_counts_its_places_from_the_padding(student: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaModel

    tokenizer = AutoTokenizer.from_pretrained(str(student))
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=18, type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id, layer_norm_eps=1e-5,
    )  # fmt: skip
    XLMRobertaModel(config).save_pretrained(str(tmp_path / "body"))
    tokenizer.save_pretrained(str(tmp_path / "body"))
    model = with_pooling(str(tmp_path / "body"), "mean", 16, "cpu")
    export_compact(model, tmp_path / "small", name="roberta", bits=16)
    ours = CompactEncoder.load(tmp_path / "small", device="cpu").encode(TEXTS)
    theirs = unit_rows(np.asarray(model.encode(TEXTS, show_progress_bar=False)))
    assert np.abs(ours - theirs).max() < 1e-3


def test_sentence_transformers_opens_what_is_exported(student: Path, tmp_path: Path) -> None:
    call = ["train", "export", str(student), "--format", "sentence-transformers"]
    tandem.main([*call, "-o", str(tmp_path / "whole")])
    tandem.main([*call, "-o", str(tmp_path / "half"), "--bits", "16"])
    assert np.abs(vectors(tmp_path / "whole") - vectors(student)).max() < 1e-6
    assert np.abs(vectors(tmp_path / "half") - vectors(student)).max() < 1e-3
    sizes = [(tmp_path / one / "model.safetensors").stat().st_size for one in ("whole", "half")]
    assert 1.9 < sizes[0] / sizes[1] < 2.1


def test_a_compact_student_comes_back_as_a_sentence_transformers_one(
    student: Path, tmp_path: Path
) -> None:
    tandem.main(["train", "export", str(student), "-o", str(tmp_path / "small"), "--bits", "4"])
    back = ["train", "export", str(tmp_path / "small"), "-o", str(tmp_path / "st")]
    tandem.main([*back, "--format", "sentence-transformers"])
    ours = CompactEncoder.load(tmp_path / "small", device="cpu").encode(TEXTS)
    cosines = np.einsum("ij,ij->i", vectors(tmp_path / "st"), ours)
    assert cosines.min() > 0.999  # onnxruntime rounds what goes into a product to 8 bits
    assert (tmp_path / "st" / "MODEL_CARD.md").is_file()


@pytest.mark.parametrize("kind", ["transformer", "static"])
def test_onnx_gives_the_students_vectors(
    student: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from tokenizers import Tokenizer

    source = student
    if kind == "static":
        from training.export.static_student import export_static

        source = tmp_path / "static"
        words = student.parent / "tokenizer.json"
        count = Tokenizer.from_file(str(words)).get_vocab_size()
        table = np.random.default_rng(0).normal(size=(count, 16)).astype(np.float32)
        export_static(table, words, source, name="words", bits=8)
    tandem.main(["train", "export", str(source), "-o", str(tmp_path / "o"), "--format", "onnx"])
    assert "differ from the student's by" in capsys.readouterr().err
    session = onnxruntime.InferenceSession(str(tmp_path / "o" / "model.onnx"))
    tokenizer = Tokenizer.from_file(str(tmp_path / "o" / "tokenizer.json"))
    encodings = tokenizer.encode_batch(TEXTS)
    given = {
        "input_ids": np.array([one.ids for one in encodings], np.int64),
        "attention_mask": np.array([one.attention_mask for one in encodings], np.int64),
    }
    (found,) = session.run(["sentence_embedding"], given)
    if kind == "static":
        from indexer.encoders.static_encoder import StaticEncoder

        expected = StaticEncoder.load(source).encode(TEXTS)
    else:
        expected = vectors(source)
    assert np.abs(found - expected).max() < 1e-4
    facts = json.loads((tmp_path / "o" / "config.json").read_text("utf-8"))
    assert facts["dim"] == expected.shape[1]


def test_a_run_is_exported_with_its_account(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    write_pairs(tmp_path / "en-xx.tsv", sentences(120))
    small = tiny(tmp_path / "t", width=8)
    call = ["train", "mnr", "-o", str(tmp_path / "run")]
    for change in (
        "student.layers=1", "student.width=8", "student.heads=2", "student.max_tokens=16",
        f"student.tokenizer={small.tokenizer}", f'corpora.files=[{{path: "{tmp_path / "en-xx.tsv"}"}}]',
        "run.steps=2", "run.batch_size=16", "run.device=cpu", "held_out.aside=10",
    ):  # fmt: skip
        call += ["--set", change]
    tandem.main(call)
    licences = tmp_path / "README.md"
    licences.write_text(
        "| source | from | licence as found | a | b |\n|---|---|---|---|---|\n"
        "| en-xx | a made-up village | CC0-1.0 | 1 | 2 |\n",
        "utf-8",
    )
    export = ["train", "export", str(tmp_path / "run"), "-o", str(tmp_path / "small")]
    tandem.main([*export, "--licences", str(licences)])
    card = (tmp_path / "small" / "MODEL_CARD.md").read_text("utf-8")
    assert "Made by `tandem train mnr` from" in card
    assert "| run.seed | 1 |" in card and "| student.layers | 1 |" in card
    assert "1 layers, 8 wide" in card
    assert str(tmp_path) not in card  # where it was made
    assert "a made-up village | CC0-1.0 | 120 | 100.00%" in card
    config = json.loads((tmp_path / "small" / "config.json").read_text("utf-8"))
    assert config["facts"] == {"seed": 1, "recipe": "mnr", "teacher": ""}

    whole = ["train", "export", str(tmp_path / "run"), "-o", str(tmp_path / "white")]
    tandem.main([*whole, "--whiten", "1"])
    encoder = CompactEncoder.load(tmp_path / "white", device="cpu")
    plain = CompactEncoder.load(tmp_path / "small", device="cpu")
    texts = [text for pair in sentences(120) for text in pair]

    def unevenness(one: CompactEncoder) -> float:
        spread = np.linalg.svd(one.encode(texts), compute_uv=False)
        return float(spread[0] / spread[-1])

    assert unevenness(encoder) < unevenness(plain) / 2
    assert encoder.fingerprint != plain.fingerprint
    tandem.main(["train", "export", str(tmp_path / "white"), "-o", str(tmp_path / "st"),
                 "--format", "sentence-transformers"])  # fmt: skip
    assert (
        np.abs(vectors(tmp_path / "st") - encoder.encode(TEXTS)).max() < 1e-4
    )  # whitening widens rounding


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (["{there}", "-o", "{new}", "--bits", "32"], "a compact student keeps 4, 8 or 16"),
        (["{there}", "-o", "{new}", "--format", "onnx", "--bits", "4"], "keeps floating-point numbers"),
        (["{there}", "-o", "{new}", "--length-power", "0.5"], "for what tandem train static wrote"),
        (["{there}", "-o", "{new}", "--whiten", "0.5"], "--whiten reads the run's corpora"),
        (["{there}", "-o", "{new}", "--whiten", "0.5", "--format", "onnx"], "and --format compact"),
        (["{away}", "-o", "{new}"], "there is no such folder"),
        (["{empty}", "-o", "{new}"], "holds no finished student"),
        (["{there}", "-o", "{full}"], "holds something that is no student"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_told(
    student: Path, tmp_path: Path, call: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    places = {"there": student, **{one: tmp_path / one for one in ("new", "away", "empty", "full")}}
    with pytest.raises(SystemExit) as ended:
        tandem.main(["train", "export", *(part.format(**places) for part in call)])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"


def test_a_body_of_another_kind_is_refused_with_the_way_out(student: Path, tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense

    model = open_model(str(student))
    model.append(Dense(64, 8))
    with pytest.raises(ConfigError, match=r"Transformer, Pooling, Dense.*--format onnx"):
        export_compact(model, tmp_path / "x", name="x")
    model = open_model(str(student))
    first: Any = model[0]
    first.auto_model.config.hidden_act = "relu"
    with pytest.raises(ConfigError, match="its activation is relu"):
        export_compact(model, tmp_path / "x", name="x")
