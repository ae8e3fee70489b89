"""The search by meaning, with FAISS over the vectors of a store.

Up to `FLAT_LIMIT` passages the vectors themselves are searched, memory-mapped, and the answer is exact.
Beyond, a FAISS file finds candidates and their exact scores are computed from the vectors, so that a
score never depends on the kind of index. Rows added since the file was written are searched exactly.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError, IndexFolderError
from indexer.schema import Bounds, Candidates, Keys, Matrix, Query, Scores, Where
from indexer.search import gpu
from indexer.search.filters import RowFilters
from indexer.storage.store import Store
from indexer.threads import faiss

__all__ = [
    "DenseIndex",
    "choose_factory",
    "default_probes",
    "read_ann",
    "write_ann",
]

FLAT_LIMIT = 20_000
_CHUNK = 65_536  # rows read, trained on or added at a time
_RESCORED = 4  # candidates taken from an approximate index for each one wanted
_RESCORED_CODES = 6  # of product codes, which are coarser
# Lists are read whose centre's cosine to the query is within this of the best one's, and 1 in 16 in any case.
# Recall at 10, and the share of the passages that stand in the lists read, median and 95th percentile, with
# six candidates re-scored for each one wanted (four: 0.003 less at 10, 0.022 less at 100):
#   1,000,000: within 0.28 0.982, 14%, 50%; 0.30 0.985, 19%, 50%
#     100,000: within 0.28 0.983, 36%, 50%; 0.30 0.987, 47%, 50%
# An encoder whose cosines lie closer together reads more lists, never too few.
_GAP = 0.30
_DIGITS = 6
_reading = threading.Lock()  # FAISS's limit on sizes is one for the process


def choose_factory(passages: int, dim: int = 256, gpu: bool = False) -> str:
    """The FAISS factory for a number of passages; measured by `python -m benchmarks.factories`.

    Flat up to 20,000: exact, nothing to train, about a millisecond a query. Beyond, sqrt(n) lists of
    4-bit product codes, two dimensions a code, read with SIMD. At 256 dimensions on two cores, on 2026-11-20
    with the student before the one that ships and the codes of the vectors themselves (what is chosen now has
    its recall, by the codes of differences, in benchmarks/results):

                  100,000: ms, recall at 10, MB      1,000,000
        Flat               5.7   1       98
        HNSW32             1.0   0.991  124
        IVF512,SQ8         2.9   0.986   26          (128 lists read; 16 of them: 0.863)
        IVF256,PQ128x4fs   0.2   0.982    7          IVF1024: 1.3 ms, 0.983, 71 MB
        IVF512,PQ64x4fs    0.4   0.955    5          IVF1024: 0.8 ms, 0.890, 40 MB

    so 4-bit codes win at every size where an exact search is too slow: the exact re-scoring of six
    candidates for each one wanted mends what they lose. What is coded is the difference to the list's
    centre (the "r"): as many bytes, as fast, and at 1,000,000 with 320 lists a recall at 10 of 0.993 where
    the vectors' own codes give 0.985 (at 100: 0.953, 0.911). No GPU can hold them: where there is one,
    or where the dimensions are odd, IVF with 8-bit scalars.
    """
    if passages <= FLAT_LIMIT:
        return "Flat"
    lists = 2 ** round(math.log2(math.sqrt(passages)))
    return f"IVF{lists},SQ8" if gpu or dim % 2 else f"IVF{lists},PQ{dim // 2}x4fsr"


def default_probes(factory: str) -> int:
    """IVF lists read at most (half of them, at least 16), or HNSW's efSearch.

    Of these lists a query reads those whose centre is nearly as close as the closest: see `_GAP`.
    """
    if factory.startswith("HNSW"):
        return 128
    lists = _lists(factory)
    return min(lists, max(16, lists // 2)) if lists else 0


def _lists(factory: str) -> int:
    for part in factory.split(","):
        if part.startswith("IVF") and part[3:].split("_")[0].isdigit():
            return int(part[3:].split("_")[0])
    return 0


def write_ann(
    path: Path,
    store: Store,
    factory: str,
    base: Path | None = None,
    covered: int = 0,
    device: str = "auto",
) -> None:
    """A FAISS file over every row of `store`: trained anew, or `base` with the rows from `covered` on added.

    Training sees up to 64 rows a list, in a fixed random order, so the same rows give the same file.
    Raises ConfigError for a factory FAISS does not know or that needs more passages than there are.
    """
    if base is not None:
        index = faiss().read_index(str(base))
    else:
        try:
            index = faiss().index_factory(store.dim, factory, faiss().METRIC_INNER_PRODUCT)
        except RuntimeError as error:
            raise ConfigError(f"dense.factory {factory}: FAISS does not know it") from error
        covered = 0
    copy = gpu.to_gpu(index, device, factory)
    filled = index if copy is None else copy
    if not filled.is_trained:
        lists = _lists(factory)
        wanted = max(64 * lists, 20_000)
        picked = np.arange(len(store))
        if len(store) > wanted:
            picked = np.sort(np.random.default_rng(0).choice(len(store), wanted, replace=False))
        if lists:
            _quicker(index)
        try:
            _train(filled, store.take(picked))
        except RuntimeError as error:
            raise ConfigError(
                f"dense.factory {factory}: it cannot be trained on {len(store):,} passages; "
                "use Flat, or fewer lists"
            ) from error
    for start in range(covered, len(store), _CHUNK):
        filled.add(store.take(np.arange(start, min(start + _CHUNK, len(store)))))
    if copy is not None:
        index = gpu.on_cpu(copy)
    faiss().write_index(index, str(path))


def _train(index: Any, vectors: Matrix) -> None:
    """Train on `vectors`: an IVF's lists with every thread, its codes of 4 bits with one.

    A product quantizer of 4 bits is thousands of parallel loops of microseconds each: with two threads on a
    busy machine of two cores they waited 50 seconds for each other, alone one of them needs half a
    second. One of 8 bits has 256 centres to find, not 16, and two threads halve its time.
    """
    codes = getattr(index, "pq", None)
    if not isinstance(index, faiss().IndexIVF) or codes is None or codes.nbits > 4:
        index.train(vectors)
        return
    index.train_q1(len(vectors), faiss().swig_ptr(vectors), False, index.metric_type)
    threads = faiss().omp_get_max_threads()
    faiss().omp_set_num_threads(1)
    try:
        index.train(vectors)
    finally:
        faiss().omp_set_num_threads(threads)


def _quicker(index: Any) -> None:
    ivf = faiss().try_extract_index_ivf(index)
    if ivf is not None:
        ivf.cp.niter = 6  # measured: recall at 10 is within 0.002 of 25 iterations
        ivf.cp.max_points_per_centroid = 64
        ivf.cp.min_points_per_centroid = 1
        quantizer = getattr(faiss().downcast_index(ivf), "pq", None)
        if quantizer is not None:  # few rows are said by recall, not by a warning a block on stdout
            quantizer.cp.min_points_per_centroid = 1
            if quantizer.nbits <= 4:
                quantizer.cp.niter = 10  # recall at 10 is within 0.001 of 25, in half the time


class DenseIndex:
    """Cosine over passages; keys are row numbers. Satisfies `indexer.schema.Index`."""

    def __init__(
        self,
        store: Store,
        filters: RowFilters,
        background: float,
        factory: str,
        probes: int,
        ann: Any = None,
        covered: int = 0,
        centres: Matrix | None = None,
        copy: gpu.GpuCopy | None = None,
    ) -> None:
        """`ann`: a FAISS index of the first `covered` rows, with its lists' `centres` where a query chooses
        its lists by them, and its `copy` on GPUs."""
        self.factory = factory
        self.probes = probes
        self._store = store
        self._filters = filters
        self._background = background
        self._ann = ann
        self._covered = covered
        self._centres = centres
        self._gpu = copy

    @classmethod
    def open(
        cls,
        store: Store,
        factory: str = "Flat",
        file: Path | None = None,
        covered: int = 0,
        probes: int = 0,
        background: float = 0.0,
        device: str = "auto",
        filters: RowFilters | None = None,
    ) -> DenseIndex:
        """Open the FAISS `file` of the first `covered` rows; None: every row is searched exactly.

        `probes` 0: the default of the factory. Raises IndexFolderError as `read_ann`.
        """
        filters = filters or RowFilters(store)
        read = probes or default_probes(factory)
        if file is None:
            return cls(store, filters, background, factory, read)
        ann = read_ann(file, store.dim, covered, factory)
        centres = _centres(ann) if not probes else None
        copy = gpu.on_gpu(ann, factory, read, _lists(factory), device)
        return cls(store, filters, background, factory, read, ann, covered, centres, copy)

    # -- queries -------------------------------------------------------------------------------

    def search(self, query: Query, k: int, where: Where | None = None) -> Candidates:
        return self.search_many([query], k, where)[0]

    def search_many(
        self, queries: Sequence[Query], k: int, where: Where | None = None
    ) -> list[Candidates]:
        vectors = self._vectors([query.vector for query in queries])
        scores, rows = self.neighbours(vectors, k, where)
        found = []
        for vector, mine, near in zip(vectors, scores, rows, strict=True):
            known = near >= 0 if vector.any() else np.zeros(len(near), np.bool_)
            found.append(Candidates(near[known], mine[known]))
        return found

    def score(self, query: Query, keys: Keys) -> Scores:
        return self._exact_scores(query.vector, keys)

    def bounds(self, query: Query) -> Bounds:
        """(the mean cosine of a query and passages unrelated to it, 1)."""
        return self._background, 1.0

    def vectors(self, keys: Keys) -> Matrix:
        """The vectors of these passages, as stored."""
        return self._store.take(keys)

    def _vectors(self, vectors: Sequence[NDArray[np.float32]]) -> Matrix:
        return np.stack(vectors) if vectors else np.zeros((0, self._store.dim), np.float32)

    # -- rows ----------------------------------------------------------------------------------

    def _exact_scores(
        self, vector: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        # One dot product a row: a matrix product would round differently for different numbers of rows.
        found: NDArray[np.float64] = np.einsum(
            "ij,j->i", self._store.take(rows), vector, dtype=np.float64
        )
        return np.round(found, _DIGITS)

    def neighbours(
        self, vectors: Matrix, k: int, where: Where | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The k nearest live rows of each vector: cosines (n, k), best first, and rows (n, k), -1 where none.

        Cosines are exact whatever the index; which rows are found is as good as the factory.
        """
        if k < 1:
            raise ConfigError(f"k must be at least 1, not {k}")
        k = min(k, max(len(self._store), 1))
        allowed = self._filters.allowed(where)
        mask = None if allowed is None else allowed.marks
        scores = np.full((len(vectors), k), -np.inf)
        rows = np.full((len(vectors), k), -1, np.int64)
        candidates = self._candidates(vectors, k, mask)
        for i, vector in enumerate(vectors):
            mine = np.sort(candidates[i][candidates[i] >= 0])  # ties go to the lower row
            exact = self._exact_scores(vector, mine)
            order = np.argsort(-exact, kind="stable")[:k]
            scores[i, : len(order)] = exact[order]
            rows[i, : len(order)] = mine[order]
        return scores, rows

    def _candidates(
        self, vectors: Matrix, k: int, mask: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """At least the k best rows of each vector and some more; -1 where there are none. (n, some)"""
        parts = []
        if self._ann is not None:
            more = _RESCORED_CODES if "PQ" in self.factory else _RESCORED
            parts.append(self._approximate(vectors, k * more, mask))
        for segment, block in enumerate(self._store.vectors):
            base, end = (int(b) for b in self._store.row_bases[segment : segment + 2])
            first = max(base, self._covered)
            if first < end:
                part = None if mask is None else mask[first:end]
                parts.append(_nearest(vectors, block[first - base :], k + 16, part, first))
        return np.hstack(parts) if parts else np.full((len(vectors), 1), -1, np.int64)

    def _approximate(
        self, vectors: Matrix, wanted: int, mask: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        assert self._ann is not None
        selector = None
        if mask is not None:
            bits = np.packbits(mask[: self._covered], bitorder="little")
            selector = faiss().IDSelectorBitmap(self._covered, faiss().swig_ptr(bits))
            rows = np.flatnonzero(mask[: self._covered])
            if len(rows) <= max(FLAT_LIMIT, 8 * wanted):  # the lists read may hold none of them
                return np.broadcast_to(rows, (len(vectors), len(rows)))
        wanted = min(wanted, self._covered)
        if self._gpu is not None and selector is None and wanted <= gpu.MOST:
            return self._gpu.search(vectors, wanted)
        parameters = None
        if "HNSW" in self.factory:
            parameters = faiss().SearchParametersHNSW(
                efSearch=max(self.probes, wanted), sel=selector
            )
        elif self._centres is not None:
            few = mask is not None and 2 * int(mask.sum()) < len(mask)  # they may stand anywhere
            lists, products = self._near_lists(vectors, self._centres, few)
            return _search_lists(self._ann, vectors, wanted, lists, products, selector)
        elif _lists(self.factory):
            parameters = faiss().SearchParametersIVF(nprobe=self.probes, sel=selector)
        elif selector is not None:
            parameters = faiss().SearchParameters(sel=selector)
        _, rows = self._ann.search(np.ascontiguousarray(vectors), wanted, params=parameters)
        return np.asarray(rows, np.int64)

    def _near_lists(
        self, vectors: Matrix, centres: Matrix, most: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The lists that each vector reads, and their centres' products with it; -1 where it reads no more.

        One product a vector, not one of matrices: what a query reads must not depend on its neighbours.
        """
        products = np.stack([centres @ vector for vector in vectors])  # (n, all lists)
        least = self.probes if most else max(16, len(centres) // 16)
        picked = [_near(mine, least, self.probes) for mine in products]
        lists = np.full((len(vectors), max(map(len, picked))), -1, np.int64)
        closeness = np.empty(lists.shape, np.float32)
        for i, near in enumerate(picked):
            lists[i, : len(near)] = near
            closeness[i, : len(near)] = products[i, near]
            # FAISS scales its tables by all of these, those of no list as well
            closeness[i, len(near) :] = products[i, near[0]]
        return lists, closeness


def _near(products: NDArray[np.float32], least: int, most: int) -> NDArray[np.int64]:
    """The places of the products within `_GAP` of the largest: at least so many, at most so many."""
    near = np.flatnonzero(products >= products.max() - _GAP)
    count = min(max(len(near), least), most)
    if count != len(near):
        near = np.argpartition(-products, count - 1)[:count]
    return near


def _search_lists(
    index: Any,
    vectors: Matrix,
    wanted: int,
    lists: NDArray[np.int64],
    products: NDArray[np.float32],
    selector: Any,
) -> NDArray[np.int64]:
    """The best `wanted` rows in these lists of each vector. FAISS's own wrapper of this takes no selector."""
    pointer = faiss().swig_ptr
    vectors = np.ascontiguousarray(vectors, np.float32)
    scores = np.empty((len(vectors), wanted), np.float32)
    rows = np.full((len(vectors), wanted), -1, np.int64)
    parameters = faiss().SearchParametersIVF(nprobe=lists.shape[1], sel=selector)
    index.search_preassigned_c(
        len(vectors),
        pointer(vectors),
        wanted,
        pointer(lists),
        pointer(products),
        pointer(scores),
        pointer(rows),
        False,
        parameters,
    )
    return rows


def _centres(index: Any) -> Matrix | None:
    """The centres of an index of lists, (lists, dim); None when it has none or compares transformed vectors."""
    if index is None or not isinstance(index, faiss().IndexIVF):
        return None
    quantizer = faiss().downcast_index(index.quantizer)
    whole = isinstance(quantizer, faiss().IndexFlat) and quantizer.d == index.d
    if not whole or quantizer.ntotal != index.nlist:
        return None
    return np.asarray(quantizer.reconstruct_n(0, index.nlist), np.float32)


def _nearest(
    vectors: Matrix, block: Matrix, k: int, mask: NDArray[np.bool_] | None, base: int
) -> NDArray[np.int64]:
    """Rows of the k largest products with `block`, counted from `base`; (n, min(k, rows))."""
    k = min(k, len(block))
    found = np.full((len(vectors), k), -1, np.int64)
    step = max(1, 2**24 // max(len(block), 1))  # 64 MB of products at a time
    for start in range(0, len(vectors), step):
        products = vectors[start : start + step] @ block.T
        if mask is not None:
            products[:, ~mask] = -np.inf
        best = np.argpartition(-products, k - 1, axis=1)[:, :k]
        allowed = np.take_along_axis(products, best, 1) > -np.inf
        found[start : start + step] = np.where(allowed, best + base, -1)
    return found


def read_ann(file: Path, dim: int, covered: int, factory: str = "") -> Any:
    """The FAISS index in `file`, memory-mapped where FAISS can.

    IndexFolderError when it is none, or not of `covered` vectors of `dim` dimensions. No array in it
    may be larger than the file: a damaged size must not make FAISS ask for memory. The table of IVF-PQ
    is not in the file; its size follows from the `factory`.
    """
    module = faiss()
    table = 4 * 256 * dim * _lists(factory) if "PQ" in factory else 0  # bytes, at most
    limited = hasattr(module, "set_deserialization_vector_byte_limit")
    with _reading:
        before = module.get_deserialization_vector_byte_limit() if limited else 0
        try:
            if limited:
                module.set_deserialization_vector_byte_limit(file.stat().st_size + table + 1)
            index = module.read_index(str(file), module.IO_FLAG_MMAP | module.IO_FLAG_READ_ONLY)
        except (RuntimeError, MemoryError) as error:
            raise IndexFolderError(
                f"{file}: FAISS cannot read it: {str(error).splitlines()[0]}"
            ) from error
        finally:
            if limited:
                module.set_deserialization_vector_byte_limit(before)
    if index.d != dim or index.ntotal != covered:
        raise IndexFolderError(
            f"{file}: holds {index.ntotal:,} vectors of {index.d} dimensions; "
            f"{covered:,} of {dim} are expected"
        )
    return index
