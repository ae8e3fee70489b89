"""`python -m benchmarks`: measures Tandem and its peers on this machine, one process at a time."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks import report
from benchmarks.collection import Collection, data_folder, prepare, subset
from benchmarks.measure import ROOT, isolated, repeated
from configs.errors import TandemError

__all__ = ["main"]

PEERS = ("txtai", "bm25s-faiss", "bm25s", "rank-bm25", "semantic-search")
STEPS = (
    "build", "build_detected", "opening", "start", "latency", "lexical_side", "recall",
    *PEERS, "encoders",
)  # fmt: skip
# Peers that look at every passage in Python or copy every vector answer fewer queries, or it takes hours.
_SLOW = {"rank-bm25": 20_000_000, "bm25s": 100_000_000, "bm25s-faiss": 100_000_000}


@click.command(
    epilog="Example: python -m benchmarks --sizes 10000,100000 --only build,latency,txtai"
)
@click.option(
    "--sizes",
    default="10000,100000,1000000",
    show_default=True,
    metavar="N,N,...",
    help="Passages.",
)
@click.option("--peers/--no-peers", default=True, show_default=True, help="Measure peers as well.")
@click.option(
    "--only", metavar="STEP,...", help=f"Only these of: {', '.join(STEPS)}.  [default: all]"
)
@click.option(
    "--out",
    default="benchmarks/results",
    show_default=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Where results.json and results.md are; what is there is kept and brought up to date.",
)
@click.option(
    "--encoder",
    default="fast",
    show_default=True,
    metavar="MODEL",
    help="The encoder of all systems, as `tandem index build --encoder` takes it.",
)
@click.option(
    "--repeat",
    default=3,
    show_default=True,
    type=click.IntRange(min=1),
    help="Runs of what is measured once; the median counts. At a million passages a build runs once.",
)
@click.option(
    "--queries", "count", default=1000, show_default=True, type=click.IntRange(min=10, max=1000)
)
@click.option("--clients", default=4, show_default=True, type=click.IntRange(min=2))
@click.option(
    "--data",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Shared data.  [default: TANDEM_DATA, or ../shared/data]",
)
@click.option(
    "--work",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Where the collection and the indexes are made (5 GB); kept.  [default: in the temporary folder]",
)
def main(
    sizes: str,
    peers: bool,
    only: str | None,
    out: Path,
    encoder: str,
    repeat: int,
    count: int,
    clients: int,
    data: Path | None,
    work: Path | None,
) -> None:
    """Measure build, opening, queries, memory and recall, beside txtai, bm25s, rank-bm25 and others.

    Each measurement runs in a process of its own. Without the shared data there is nothing to measure,
    and the command says so and ends well.
    """
    wanted = [step for step in STEPS if (peers or step not in PEERS)]
    if only is not None:
        asked = only.split(",")
        if unknown := sorted(set(asked) - set(STEPS)):
            raise click.UsageError(f"--only {','.join(unknown)}: known are {', '.join(STEPS)}")
        wanted = [step for step in wanted if step in asked]
    try:
        numbers = [int(size.replace("_", "")) for size in sizes.split(",")]
    except ValueError:
        raise click.UsageError(
            f"--sizes {sizes}: write numbers, for example 10000,100000"
        ) from None
    try:
        folder = data_folder(data)
    except TandemError as error:
        click.echo(f"Skipped: {error}", err=True)
        return
    place = work or Path(tempfile.gettempdir()) / "tandem-benchmarks"
    try:
        _all(wanted, numbers, folder, place, out / "results.json", encoder, repeat, count, clients)
    except TandemError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    click.echo((out / "results.md").read_text("utf-8"))


def _all(
    wanted: Sequence[str],
    sizes: Sequence[int],
    data: Path,
    work: Path,
    file: Path,
    encoder: str,
    repeat: int,
    count: int,
    clients: int,
) -> None:
    results = report.load(file)
    results["machine"] = _machine(encoder)
    if "encoders" in wanted:
        _say("encoders")
        results["encoders"] = _tried(
            lambda: isolated("benchmarks.encoders:compare", {"data": str(data), "rounds": repeat})
        )
        report.keep(file, results)
    if set(wanted) <= {"encoders"}:
        return
    _say("the collection")
    collection = prepare(data, work)
    files = {size: subset(collection, size) for size in sizes}
    results["collection"] = asdict(collection)
    for private in ("documents", "queries"):
        results["collection"].pop(private)  # where they lie on this machine
    for size in sizes:
        measured = results["sizes"].setdefault(str(size), {})
        for step in wanted:
            if step == "encoders":
                continue
            _say(f"{size:,}: {step}")
            run = _step(step, files[size], collection, size, work, encoder, repeat, count, clients)
            target = measured if step in PEERS else measured.setdefault("tandem", {})
            target[step] = _tried(run)
            report.keep(file, results)
    report.keep(file, results)


def _say(line: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')}  {line}", err=True)


def _tried(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `run` returns, or its error: one peer that fails does not end the others."""
    try:
        return run()
    except TandemError as error:
        click.echo(f"  {error}", err=True)
        return {"error": str(error)}


def _step(
    step: str,
    file: Path,
    collection: Collection,
    size: int,
    work: Path,
    encoder: str,
    repeat: int,
    count: int,
    clients: int,
) -> Callable[[], dict[str, Any]]:
    """One measurement, not begun yet."""
    index = str(work / f"tandem-{size}")
    asked = collection.queries
    if step in PEERS:
        calls = _calls(step, size, count)
        given = {"peer": step, "file": str(file), "folder": str(work / "peer"), "encoder": encoder}
        given |= {"query_file": asked, "count": calls}  # type: ignore[dict-item]
        return lambda: isolated("benchmarks.peers:run", given)
    rounds = repeat if size < 500_000 else 1
    if step.startswith("build"):
        detect = step == "build_detected"
        place = f"{index}-detected" if detect else index
        built = {"file": str(file), "folder": place, "encoder": encoder, "detect": detect}
        return lambda: repeated(
            lambda: isolated("benchmarks.ours:build", built), rounds, "per_second"
        )
    given = {"folder": index, "query_file": asked}
    if step == "opening":
        return lambda: repeated(
            lambda: isolated("benchmarks.ours:opening", given), max(repeat, 3), "open_and_first_ms"
        )
    if step == "start":
        return lambda: repeated(
            lambda: isolated("benchmarks.ours:start", given), max(repeat, 3), "seconds"
        )
    more: dict[str, Any] = {**given, "count": count}
    if step == "latency":
        more["clients"] = clients
    if step == "lexical_side":
        more |= {"file": str(file), "encoder": encoder}
        more["firsts"] = sorted({_calls(peer, size, count) for peer in ("bm25s", "rank-bm25")})
    return lambda: isolated(f"benchmarks.ours:{step}", more)


def _calls(peer: str, size: int, count: int) -> int:
    """Queries that a peer is asked."""
    return min(count, max(20, _SLOW.get(peer, 10**12) // size))


def _machine(encoder: str) -> dict[str, Any]:
    from eval.speed import machine

    found = asdict(machine())
    memory = 0.0
    info = Path("/proc/meminfo")
    if info.is_file():
        memory = int(info.read_text().split()[1]) / 2**20
    versions = []
    for name in ("numpy", "faiss-cpu", "tantivy", "tokenizers", "torch", "PyStemmer", "py3langid"):
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    return {
        **found,
        "memory_gb": round(memory),
        "versions": ", ".join(versions),
        "encoder": encoder,
        "commit": commit or "unknown",
        "date": time.strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    main()
