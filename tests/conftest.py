"""What several test files need: the shared data folder, small documents, a real model when installed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

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
