"""Compact transformers: what a folder holds, three engines, own text only, and bad folders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training_world import sentences, tiny

from configs.errors import BackendError, ConfigError
from indexer.encoders.opening import open_encoder
from indexer.encoders.transformer_encoder import CompactEncoder, batches, read
from indexer.encoders.transformer_engine import Layers, numpy_engine, onnx_engine, torch_engine
from indexer.vectors import unit_rows

pytest.importorskip("torch", reason="extra `train` not installed")
pytest.importorskip("sentence_transformers", reason="extra `train` not installed")
pytest.importorskip("onnx", reason="extra `train` not installed")

TEXTS = [text for pair in sentences(40) for text in pair] + ["red", "house"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny body of random weights, in 8 bits."""
    from training.export.transformer_student import export_compact
    from training.models.students import new_body

    place = tmp_path_factory.mktemp("compact")
    export_compact(new_body(tiny(place), "cpu", 3), place / "student", name="tiny", bits=8)
    return place / "student"


def test_a_layer_by_hand() -> None:
    # no layers at all: the norm of the inputs, (x - mean) / sd, summed over the tokens that are seen
    body = Layers({"norm.weight": np.ones(2, np.float32), "norm.bias": np.zeros(2, np.float32)},
                  layers=0, heads=1, epsilon=0.0, pooling="mean")  # fmt: skip
    inputs = np.array([[[1, 3], [5, 1], [9, 7]]], np.float32)
    found = numpy_engine(body)(inputs, np.array([[1, 1, 0]], np.float32))
    assert found.tolist() == [[0, 0]]  # (-1, 1) + (1, -1); the third is padding
    found = numpy_engine(body)(inputs, np.array([[1, 0, 0]], np.float32))
    assert found.tolist() == [[-1, 1]]


def test_gelu_is_that_of_torch() -> None:
    import torch

    from indexer.encoders.transformer_engine import _gelu

    x = np.linspace(-8, 8, 4001, dtype=np.float32)
    theirs = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
    assert np.abs(_gelu(x.copy()) - theirs).max() < 2e-6


def test_all_engines_give_the_vectors_of_the_student(folder: Path) -> None:
    from training.models.model_parts import restored

    pytest.importorskip("onnxruntime")
    encoder = CompactEncoder.load(folder, device="cpu")
    theirs = unit_rows(np.asarray(restored(folder).encode(TEXTS, show_progress_bar=False)))
    _, stored = read(folder)
    engines = [
        numpy_engine(stored.layers),
        onnx_engine(stored.layers, folder / "body.onnx"),
        torch_engine(stored.layers, "cpu"),
    ]
    for engine in engines:
        encoder._engine = engine
        assert np.abs(encoder.encode(TEXTS) - theirs).max() < 2e-6


def test_a_vector_depends_on_its_own_text_only(folder: Path) -> None:
    encoder = CompactEncoder.load(folder, device="cpu")
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-6
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)


def test_an_empty_text_is_all_zero_and_none_makes_none(folder: Path) -> None:
    encoder = CompactEncoder.load(folder, device="cpu")
    vectors = encoder.encode(["", "red dog", " \n"], kind="query")
    assert vectors.any(axis=1).tolist() == [False, True, False]
    assert encoder.encode([]).shape == (0, 64)
    assert encoder.encode(["half a pair \ud83d"]).any()


def test_tokens_are_counted_with_those_around_and_the_rest_is_cut(folder: Path) -> None:
    encoder = CompactEncoder.load(folder, device="cpu")
    assert encoder.max_tokens == 16
    assert encoder.count_tokens(["red dog", "", "dog " * 40]) == [4, 2, 42]
    cut = encoder.encode(["dog " * 14, "dog " * 40])  # 14 fit beside [CLS] and [SEP]
    assert np.abs(cut[0] - cut[1]).max() < 1e-6


def test_batches_hold_at_most_the_budget_and_the_longest_come_first() -> None:
    assert list(batches([2, 9, 3, 3, 1], 9)) == [[1], [2, 3, 0], [4]]
    assert list(batches([30], 9)) == [[0]]  # longer than the budget: by itself
    assert list(batches([], 9)) == []


def test_the_fingerprint_tells_weights_prompts_and_length_apart(
    folder: Path, tmp_path: Path
) -> None:
    from training.export.transformer_student import export_compact
    from training.models.students import new_body

    encoder = CompactEncoder.load(folder)
    prompted = CompactEncoder.load(folder, prompts={"query": "red "})
    assert encoder.fingerprint == json.loads((folder / "config.json").read_text())["fingerprint"]
    assert prompted.fingerprint != encoder.fingerprint
    assert (prompted.encode(["dog"], "query") == encoder.encode(["red dog"], "query")).all()
    assert (prompted.encode(["dog"]) == encoder.encode(["dog"])).all()
    body = new_body(tiny(tmp_path), "cpu", 3)
    export_compact(body, tmp_path / "same", name="renamed", bits=8)
    export_compact(body, tmp_path / "fewer", name="tiny", bits=4)
    body.max_seq_length = 12
    export_compact(body, tmp_path / "shorter", name="tiny", bits=8)
    marks = [
        CompactEncoder.load(tmp_path / one).fingerprint for one in ("same", "fewer", "shorter")
    ]
    assert marks[0] == encoder.fingerprint  # a name changes no vector
    assert len({*marks, prompted.fingerprint}) == 4


def test_it_opens_by_its_folder_and_without_torch(folder: Path) -> None:
    script = (
        "import sys; from indexer.encoders.opening import open_encoder\n"
        "encoder = open_encoder(sys.argv[1], query_prompt='red ')\n"
        "print(encoder.model, encoder.name, encoder.encode(['dog']).shape)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(folder), "tiny", "(1,", "64)"]


def test_without_onnxruntime_numpy_does_it(folder: Path) -> None:
    script = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "import importlib.util; whole = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'onnxruntime' else whole(name)\n"
        "from indexer.encoders.opening import open_encoder\n"
        "print(open_encoder(sys.argv[1]).encode(['red dog'])[0, :3].round(4).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True
    )
    ours = open_encoder(str(folder)).encode(["red dog"])[0, :3]
    assert json.loads(done.stdout) == pytest.approx(ours.tolist(), abs=1e-4)


def test_a_device_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(BackendError, match=r"encoder\.device cuda:77: torch cannot use it"):
        open_encoder(str(folder), device="cuda:77")


def test_the_one_in_the_package_is_told_when_absent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path
) -> None:
    from indexer.encoders import opening

    monkeypatch.setitem(opening.PACKAGED, "accurate", tmp_path / "none")
    with pytest.raises(ConfigError, match="encoder accurate: this installation carries no"):
        open_encoder("accurate")
    monkeypatch.setitem(opening.PACKAGED, "accurate", folder)
    assert open_encoder("accurate").model == "accurate"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda f: (f / "model.safetensors").write_bytes(b"x"), "model.safetensors has 1 bytes where"),
        (lambda f: (f / "body.onnx").unlink(), "body.onnx has no bytes where"),
        (lambda f: _set(f, format="tandem-transformer-9"), "format is 'tandem-transformer-9'"),
        (lambda f: _set(f, max_tokens=99), "do not fit"),
        (lambda f: _set(f, heads="many"), "cannot be read"),
        (lambda f: _set(f, layers=5), "cannot be read"),
        (lambda f: _set(f, files={}), "config.json is missing or no compact transformer's"),
    ],
)  # fmt: skip
def test_damaged_folders_are_told(folder: Path, tmp_path: Path, harm: object, words: str) -> None:
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert callable(harm)
    harm(copy)
    with pytest.raises(ConfigError, match=words) as caught:
        open_encoder(str(copy))
    assert "\n" not in str(caught.value)


def _set(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | values), "utf-8")
