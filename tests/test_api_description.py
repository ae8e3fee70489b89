"""The API against its own description: schemathesis makes requests up, of every address, sound and unsound."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from served import served

from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document

pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(
        importlib.util.find_spec("schemathesis") is None, reason="pip install schemathesis"
    ),
]

# What a description cannot say: which fields, languages and ids this index has (positive_data_acceptance), and
# that of a batch the documents that cannot be used are set aside (negative_data_rejection of addDocuments).
CONFIG = """
[[operations]]
include-operation-id = "addDocuments"
[operations.checks.negative_data_rejection]
enabled = false
"""
RUN = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"


@pytest.mark.parametrize("seed", [1, 2])
def test_no_answer_is_a_500_or_differs_from_the_description(tmp_path: Path, seed: int) -> None:
    documents = [
        Document(f"d{n}", f"walnut number {n}", f"Walnut {n}", "", "en", {"year": str(1900 + n)})
        for n in range(50)
    ]
    build_index(tmp_path / "ix", documents, HashEncoder(), model="hash")
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    with served(tmp_path / "ix") as server:
        done = subprocess.run(
            [
                sys.executable, "-c", RUN, "--config-file", str(config),
                "run", f"{server.url}/api/v1/openapi.json",
                "-H", f"Authorization: Bearer {server.token}",
                "--exclude-checks", "positive_data_acceptance", "-n", os.environ.get("TANDEM_API_EXAMPLES", "50"), "--seed", str(seed), "--request-timeout", "30",
            ],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-8_000:]
        assert "Traceback" not in server.said.read_text()
