"""Compact transformers: what a folder holds, three engines, own text only, and bad folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training_world import sentences, tiny

from configs.errors import BackendError, ConfigError
from indexer.encoders.opening import open_encoder
from indexer.encoders.transformer_encoder import CompactEncoder, read
from indexer.encoders.transformer_engine import Layers, onnx_engine, torch_engine
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
    # no layers at all: the norm of the inputs, (x - mean) / sd, averaged over the tokens of each text
    body = Layers({"norm.weight": np.ones(2, np.float32), "norm.bias": np.zeros(2, np.float32)},
                  layers=0, heads=1, epsilon=1e-12, pooling="mean")  # fmt: skip
    both, one = np.array([[1, 3], [5, 1]], np.float32), np.array([[1, 3]], np.float32)
    found = torch_engine(body, "cpu")([one, both])
    assert found == pytest.approx(np.array([[-1, 1], [0, 0]]))  # of both: (-1, 1) and (1, -1)


def test_8_bit_blocks_are_what_they_stand_for() -> None:
    from training.export.transformer_student import in_4_bits, in_8_bits

    matrix = np.array([[127.0, -64, *[0] * 14], [1, *[0] * 15]], np.float32)
    blocks, scale = in_8_bits(matrix)
    assert scale.tolist() == [[1.0], [pytest.approx(1 / 127)]]
    assert blocks[0, 0, :3].tolist() == [255, 64, 128]
    layers = Layers({"a.blocks": blocks, "a.scale": scale}, 0, 1, 0.0, "mean")
    assert np.abs(layers.weight("a").T - matrix).max() < 1e-6
    row = np.array([[8.0, -1, *[0] * 30, *[0] * 32]], np.float32)
    pairs, steps = in_4_bits(row)
    assert steps.tolist() == [[-1.0, 0.0]]  # the farthest number becomes -8
    assert (pairs[0, 0] & 15, pairs[0, 0] >> 4) == (0, 9)


def test_all_engines_give_the_vectors_of_the_student(folder: Path) -> None:
    from training.models.model_parts import restored

    encoder = CompactEncoder.load(folder, device="cpu")
    theirs = unit_rows(np.asarray(restored(folder).encode(TEXTS, show_progress_bar=False)))
    layers = read(folder).layers
    encoder._engine = torch_engine(layers, "cpu")
    assert np.abs(encoder.encode(TEXTS) - theirs).max() < 2e-6
    encoder._engine = onnx_engine(layers, folder / "body.onnx")  # rounds its inputs to 8 bits
    cosines = np.einsum("ij,ij->i", encoder.encode(TEXTS), theirs)
    assert cosines.min() > 0.999


def test_a_vector_depends_on_its_own_text_only(folder: Path) -> None:
    encoder = CompactEncoder.load(folder, device="cpu")
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert (together == alone).all()
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


def test_the_runtime_keeps_no_device_id_and_reports_nothing(tmp_path: Path) -> None:
    program = (
        "from indexer.encoders.opening import open_encoder; open_encoder('accurate').encode(['a'])"
    )
    place = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    clean = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", program], check=True, env=clean | place)
    written = {
        path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()
    }
    assert written <= {"tandem", ".cache"}
    assert not [path for path in tmp_path.rglob("*") if "onnx" in path.name.lower()]
