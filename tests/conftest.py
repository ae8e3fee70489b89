"""What several test files need: the shared data folder, small documents, a real model when installed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from elasticsearch_server import GIVEN, VERSIONS, Server, forget
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


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes run the tests: a file stays together, and so do all tests of Elasticsearch,
    whose servers are started once."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            cluster = Path(file).stem.startswith(
                ("test_cluster", "test_elasticsearch", "test_contract")
            )
            return "elasticsearch" if cluster else file

    return ByFile(config, log)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the repository, or a skip where there is none."""
    folder = Path(os.environ.get("TANDEM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no folder of shared data (set TANDEM_DATA)")
    return folder


@pytest.fixture(scope="session")
def elasticsearch_server() -> Iterator[Server]:
    """A running Elasticsearch for each version asked for: started once, stopped at the end.

    TANDEM_TEST_ELASTICSEARCH names one that runs already.
    """
    with contextlib.ExitStack() as running:
        urls = {"given": GIVEN}

        def server(version: str) -> str:
            if version not in urls:
                if (reason := elasticsearch_node.missing(version)) is not None:
                    pytest.skip(f"{reason}; or set TANDEM_TEST_ELASTICSEARCH to a server's URL")
                node = running.enter_context(elasticsearch_node.running(version, short_lived=True))
                urls[version] = node.url
            return urls[version]

        yield server


@pytest.fixture(scope="session", params=VERSIONS)
def elasticsearch_url(request: pytest.FixtureRequest, elasticsearch_server: Server) -> str:
    """The URL of a running Elasticsearch, of each version."""
    return elasticsearch_server(str(request.param))


@pytest.fixture
def elasticsearch_name(elasticsearch_url: str) -> Iterator[str]:
    """A name no index has yet; what a test made under it is deleted at the end."""
    name = f"tandem-test-{secrets.token_hex(6)}"
    yield name
    forget(elasticsearch_url, name)
