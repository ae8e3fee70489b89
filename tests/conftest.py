"""What several test files need: the shared data folder, small documents, a real model when installed."""

from __future__ import annotations

import json
import os
import secrets
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from demo import elasticsearch_node

# One thread each: the models of the tests are tiny, and threads that wait for one another cost more
# than they bring. Set before torch, FAISS or numpy is imported, and inherited by processes.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# How long one example takes says more of the machine than of the code.
settings.register_profile("tandem", deadline=None)
settings.load_profile("tandem")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository, or a skip where there is none."""
    folder = Path(os.environ.get("TANDEM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no folder of shared data (set TANDEM_DATA)")
    return folder


GIVEN = os.environ.get("TANDEM_TEST_ELASTICSEARCH", "")


@pytest.fixture(scope="session", params=[GIVEN] if GIVEN else list(elasticsearch_node.JAVA))
def elasticsearch_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A running Elasticsearch: the one that TANDEM_TEST_ELASTICSEARCH names, or a node of each version fetched."""
    if GIVEN:
        yield GIVEN
        return
    version = str(request.param)
    if (reason := elasticsearch_node.missing(version)) is not None:
        pytest.skip(f"{reason}; or set TANDEM_TEST_ELASTICSEARCH to the URL of a server")
    with elasticsearch_node.running(version) as node:
        yield node.url


@pytest.fixture
def elasticsearch_name(elasticsearch_url: str) -> Iterator[str]:
    """A name no index has yet; what a test made under it is deleted at the end."""
    name = f"tandem-test-{secrets.token_hex(6)}"
    yield name
    listed = f"{elasticsearch_url}/_cat/indices/{name}*?h=index&format=json&expand_wildcards=all"
    with urllib.request.urlopen(listed, timeout=30) as answer:
        found = [entry["index"] for entry in json.load(answer)]
    for index in found:
        request = urllib.request.Request(f"{elasticsearch_url}/{index}", method="DELETE")
        urllib.request.urlopen(request, timeout=30).close()
