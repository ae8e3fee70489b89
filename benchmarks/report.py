"""What was measured, as JSON and as Markdown tables: growth, side by side, targets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.tables import markdown_table

__all__ = ["Target", "keep", "load", "markdown", "targets"]

Results = dict[str, Any]
_TITLES = {
    "txtai": "txtai (hybrid)",
    "bm25s-faiss": "bm25s + FAISS flat",
    "bm25s": "bm25s (words)",
    "rank-bm25": "rank-bm25 (words)",
    "semantic-search": "semantic_search (meaning)",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A promise of the plan and what was measured; `met` is None where it was not measured."""

    name: str
    wanted: str
    measured: str
    met: bool | None


def load(file: Path) -> Results:
    """The results so far; empty when there are none."""
    if not file.is_file():
        return {"sizes": {}}
    found: Results = json.loads(file.read_text("utf-8"))
    return found


def keep(file: Path, results: Results) -> None:
    """Write the results, and the tables beside them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    file.with_suffix(".md").write_text(markdown(results), "utf-8")


def _at(results: Mapping[str, Any], *path: str) -> Any:
    """The value at a path of keys; None when something on the way is missing."""
    value: Any = results
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def _number(value: Any, digits: int = 0) -> str:
    if value is None:
        return "-"
    return f"{value:,.{digits}f}" if isinstance(value, int | float) else str(value)


# (what, where it stands, digits)
_GROWTH: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("build, language given: passages/s", ("build", "per_second"), 0),
    ("build, language detected: passages/s", ("build_detected", "per_second"), 0),
    ("build: seconds", ("build", "seconds"), 1),
    ("build: peak memory, MB", ("build", "peak_rss_mb"), 0),
    ("build: of which not files, MB", ("build", "peak_private_mb"), 0),
    ("index on disk, MB", ("build", "disk_mb"), 0),
    ("open and first query, ms", ("opening", "open_and_first_ms"), 0),
    ("`tandem search` from cold, s", ("start", "seconds"), 2),
    ("memory when open, MB", ("latency", "memory_mb", "after_queries", "rss"), 0),
    ("of which not files, MB", ("latency", "memory_mb", "after_queries", "private"), 0),
    ("hybrid p50, ms", ("latency", "hybrid", "p50"), 2),
    ("hybrid p95, ms", ("latency", "hybrid", "p95"), 2),
    ("hybrid p99, ms", ("latency", "hybrid", "p99"), 2),
    ("dense p50, ms", ("latency", "dense", "p50"), 2),
    ("dense p99, ms", ("latency", "dense", "p99"), 2),
    ("lexical p50, ms", ("latency", "lexical", "p50"), 2),
    ("lexical p99, ms", ("latency", "lexical", "p99"), 2),
    ("several clients: hybrid queries/s", ("latency", "several_clients", "queries_per_second"), 0),
    ("several clients: hybrid p50, ms", ("latency", "several_clients", "p50"), 2),
    ("several clients: hybrid p99, ms", ("latency", "several_clients", "p99"), 2),
    ("dense recall at 10", ("recall", "at_10"), 4),
    ("dense recall at 100", ("recall", "at_100"), 4),
    ("dense index", ("latency", "factory"), 0),
)  # fmt: skip


def _growth(results: Results) -> str:
    sizes = sorted(
        (size for size in results["sizes"] if "tandem" in results["sizes"][size]), key=int
    )
    rows = []
    for name, path, digits in _GROWTH:
        values = [_at(results["sizes"][size], "tandem", *path) for size in sizes]
        if all(value is None for value in values):
            continue
        first, last = values[0], values[-1]
        grown = "-"
        if len(sizes) > 1 and isinstance(first, int | float) and isinstance(last, int | float):
            grown = f"x {last / first:.2f}" if first else "-"
        rows.append([name, *(_number(value, digits) for value in values), grown])
    return markdown_table(["Tandem", *(f"{int(size):,}" for size in sizes), "growth"], rows)


def _side_by_side(measured: Mapping[str, Any]) -> str:
    rows = []
    if "tandem" in measured:
        ours = measured["tandem"]
        for name, mode in (("Tandem (hybrid)", "hybrid"), ("Tandem (words)", "lexical"), ("Tandem (meaning)", "dense")):  # fmt: skip
            found = _at(ours, "latency", mode) or {}
            if mode == "lexical" and not found:
                found = _at(ours, "lexical_side", "whole") or {}
            first = mode == "hybrid"
            rows.append(
                [
                    f"**{name}**",
                    _number(_at(ours, "build", "per_second")) if first else "",
                    _number(_at(ours, "build", "peak_rss_mb")) if first else "",
                    _number(_at(ours, "build", "disk_mb")) if first else "",
                    *(_number(found.get(key), 2) for key in ("p50", "p95", "p99")),
                ]
            )
        side = _at(ours, "lexical_side") or {}
        rows.append(["Tandem's words, ids only", "", "", "", *(_number(side.get(key), 2) for key in ("p50", "p95", "p99"))])  # fmt: skip
    for name, title in _TITLES.items():
        if name in measured:
            one = measured[name]
            if "error" in one:
                rows.append([title, one["error"], "", "", "", "", ""])
                continue
            rows.append(
                [
                    f"{title} {one['version']}",
                    _number(one["per_second"]),
                    _number(one["peak_rss_mb"]),
                    _number(one["disk_mb"]) if one["disk_mb"] else "in memory",
                    *(_number(one["latency"][key], 2) for key in ("p50", "p95", "p99")),
                ]
            )
    head = ["", "build, passages/s", "peak MB", "disk MB", "p50 ms", "p95 ms", "p99 ms"]
    return markdown_table(head, rows)


def _encoders(found: Mapping[str, Any]) -> str:
    if "error" in found:
        return f"Not measured: {found['error']}"
    rows = [
        [
            name,
            _number(one["parameters_million"], 1),
            _number(one["mb"], 1),
            _number(one["sentences_per_second"], 0),
            _number(one["passages_per_second"], 0),
            _number(one["query"]["p50"], 2),
            _number(one["times_smaller_than_base"], 1),
            _number(one["times_faster_than_base"], 1),
        ]
        for name, one in found.items()
        if isinstance(one, Mapping)
    ]
    head = [
        "", "million parameters", "on the disk, MB", "sentences/s", "passages/s", "query p50 ms",
        "times smaller than Base", "times faster than Base",
    ]  # fmt: skip
    return markdown_table(head, rows)


def targets(results: Results) -> list[Target]:
    """Every target of the plan that has a number."""
    found: list[Target] = []

    def check(
        name: str, wanted: str, value: float | None, good: Callable[[float], bool], digits: int = 0
    ) -> None:
        met = None if value is None else good(value)
        found.append(Target(name, wanted, _number(value, digits), met))

    def ours(size: int, *path: str) -> Any:
        return _at(results, "sizes", str(size), "tandem", *path)

    def ratio(size: int, above: tuple[str, ...], below: tuple[str, ...]) -> float | None:
        top, bottom = (_at(results, "sizes", str(size), *path) for path in (above, below))
        return top / bottom if top and bottom else None

    million = 1_000_000
    check("hybrid p50 at 1,000,000, ms", "< 5", ours(million, "latency", "hybrid", "p50"), lambda v: v < 5, 2)  # fmt: skip
    check("hybrid p99 at 1,000,000, ms", "< 20", ours(million, "latency", "hybrid", "p99"), lambda v: v < 20, 2)  # fmt: skip
    for size in sorted(map(int, results["sizes"])):
        if ours(size, "recall", "at_10") is not None:
            check(f"dense recall at 10, {size:,}", ">= 0.98", ours(size, "recall", "at_10"), lambda v: v >= 0.98, 4)  # fmt: skip
    check("build at 100,000, language given, passages/s", ">= 10,000", ours(100_000, "build", "per_second"), lambda v: v >= 10_000)  # fmt: skip
    check("build at 100,000, language detected, passages/s", ">= 6,000", ours(100_000, "build_detected", "per_second"), lambda v: v >= 6_000)  # fmt: skip
    check("build at 1,000,000, passages/s", ">= 5,000", ours(million, "build", "per_second"), lambda v: v >= 5_000)  # fmt: skip
    check("peak memory of that build, MB", "< 3,000", ours(million, "build", "peak_rss_mb"), lambda v: v < 3_000)  # fmt: skip
    check("open and first query at 1,000,000, ms", "< 1,000", ours(million, "opening", "open_and_first_ms"), lambda v: v < 1_000)  # fmt: skip
    for size in (100_000, million):
        check(f"build, times txtai's throughput, {size:,}", ">= 5", ratio(size, ("tandem", "build", "per_second"), ("txtai", "per_second")), lambda v: v >= 5, 1)  # fmt: skip
    for peer, wanted in (("bm25s", 20), ("rank-bm25", 500)):
        calls = str(_at(results, "sizes", "500000", peer, "latency", "calls"))  # the same queries
        times = ratio(500_000, (peer, "latency", "p50"), ("tandem", "lexical_side", "p50_of_first", calls))  # fmt: skip
        check(f"words, times faster than {peer} at 500,000 (p50)", f">= {wanted}", times, lambda v, wanted=wanted: v >= wanted, 1)  # type: ignore[misc]  # fmt: skip
    return found


def markdown(results: Results) -> str:
    """The whole report."""
    parts = ["# What was measured", ""]
    machine = results.get("machine") or {}
    if machine:
        parts += [
            f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, "
            f"{machine['system']}, Python {machine['python']}; {machine['versions']}.",
            f"Encoder: {machine['encoder']}. Commit {machine['commit']}, {machine['date']}.",
            "",
        ]
    collection = results.get("collection")
    if collection:
        parts += [
            f"Collection: {collection['passages']:,} passages of real text, {collection['words']} words "
            f"each on average, in {len(collection['languages'])} languages; each size is its first "
            "passages in one fixed random order. Queries: real, held out, 2 to 12 words, no two the same.",
            "",
        ]
    if results["sizes"]:
        parts += [
            "## Targets",
            "",
            _targets_table(results),
            "",
            "## Growth",
            "",
            _growth(results),
            "",
        ]
        for size in sorted(results["sizes"], key=int):
            parts += [
                f"## Side by side at {int(size):,}",
                "",
                _side_by_side(results["sizes"][size]),
                "",
            ]
    if results.get("encoders"):
        parts += ["## Encoders", "", _encoders(results["encoders"]), ""]
    return "\n".join(parts)


def _targets_table(results: Results) -> str:
    words = {True: "met", False: "**missed**", None: "not measured"}
    rows = [[t.name, t.wanted, t.measured, words[t.met]] for t in targets(results)]
    return markdown_table(["target", "wanted", "measured", ""], rows)
