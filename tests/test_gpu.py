"""FAISS on graphics cards: which cards a setting names, and the same results as on the CPU where there is one."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from configs.errors import ConfigError
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document
from indexer.search import gpu
from retriever.doctor import FAISS_PACKAGES
from retriever.retriever import Retriever

needs_gpu = pytest.mark.skipif(gpu.gpus() == 0, reason="FAISS sees no GPU")


@pytest.mark.parametrize(
    ("device", "present", "wanted"),
    [
        ("cpu", 2, []),
        ("mps", 0, []),
        ("auto", 0, []),
        ("auto", 2, [0]),
        ("cuda", 2, [0]),
        ("cuda:1", 2, [1]),
        ("cuda:1", 0, []),
        ("all", 3, [0, 1, 2]),
        ("all", 0, []),
    ],
)
def test_a_device_names_cards(device: str, present: int, wanted: list[int]) -> None:
    assert gpu.cards(device, present) == wanted


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("abacus", r"encoder\.device abacus: write auto, cpu, cuda, cuda:N or all"),
        ("cuda:", "write auto"),
        ("cuda:2", r"FAISS sees 2 GPUs here, the last is cuda:1"),
    ],
)
def test_a_device_that_is_none_is_told(device: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        gpu.cards(device, 2)


@pytest.mark.parametrize("factory", ["Flat", "IVF64,Flat", "IVF64,SQ8", "IVF64,PQ16"])
def test_a_card_holds_flat_and_scalar_and_product_codes(factory: str) -> None:
    assert gpu.holds(factory)


@pytest.mark.parametrize("factory", ["HNSW32", "IVF64,PQ128x4fsr"])
def test_a_card_holds_no_graphs_and_no_fast_scan_codes(factory: str) -> None:
    assert not gpu.holds(factory)


def test_one_of_the_two_packages_of_faiss_is_an_extra_and_none_is_in_the_base() -> None:
    import configparser

    setup = configparser.ConfigParser()
    setup.read(Path(__file__).resolve().parent.parent / "setup.cfg")
    assert "faiss" not in setup["options"]["install_requires"]
    extras = setup["options.extras_require"]
    assert "faiss-cpu" in extras["cpu"]
    assert "faiss-gpu" in extras["gpu"]
    assert {"faiss-cpu", "faiss-gpu"} <= set(FAISS_PACKAGES)


@needs_gpu
@pytest.mark.parametrize("factory", ["IVF16,Flat", "IVF16,SQ8", "IVF16,PQ16"])
def test_a_card_finds_what_the_cpu_finds_from_several_threads(tmp_path: Path, factory: str) -> None:
    from configs.settings import DenseSettings

    documents = [
        Document(f"d{n}", f"word{n % 97} word{n % 89} number{n}", "", "", "en") for n in range(3000)
    ]
    dense = DenseSettings(factory=factory, probes=16)
    build_index(tmp_path / "ix", documents, HashEncoder(64), dense=dense, device="cuda")
    card = Retriever.open(tmp_path / "ix", device="cuda")
    cpu = Retriever.open(tmp_path / "ix", device="cpu")
    queries = [f"word{n} number{n}" for n in range(40)]
    wanted = [[(h.document.id, h.score) for h in cpu.search(q, mode="dense")] for q in queries]
    found: dict[int, list[list[tuple[str, float]]]] = {}

    def ask(thread: int) -> None:
        found[thread] = [
            [(h.document.id, h.score) for h in card.search(q, mode="dense")] for q in queries
        ]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answers in found.values():
        same = np.mean([a == b for a, b in zip(answers, wanted, strict=True)])
        assert same >= (1.0 if factory == "IVF16,Flat" else 0.9)
