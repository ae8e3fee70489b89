"""How things are measured: each in a process of its own, so that memory and caches are its own.

    isolated("benchmarks.ours:build", {...})  ->  what the function returned, its seconds, its memory

Seconds are wall-clock seconds. Memory is sampled every 20 ms over the process and its children, from
/proc; where there is none, only the peak that the operating system kept is known.
"""

from __future__ import annotations

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import DocumentError

__all__ = ["Percentiles", "isolated", "median", "memory", "percentiles", "repeated", "timed"]

ROOT = Path(__file__).resolve().parent.parent
_EVERY = 0.02  # seconds between two looks at the memory


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds of single calls."""

    calls: int
    mean: float
    p50: float
    p95: float
    p99: float
    slowest: float


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Nearest-rank percentiles: each is a call that was made."""
    ordered = sorted(1000 * value for value in seconds)

    def at(share: float) -> float:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 4)

    return Percentiles(
        len(ordered),
        round(statistics.fmean(ordered), 4),
        at(0.50),
        at(0.95),
        at(0.99),
        round(ordered[-1], 4),
    )


def timed(call: Callable[[str], object], texts: Sequence[str], warm: int = 20) -> list[float]:
    """Seconds of one call each, after `warm` calls that are not counted."""
    for text in texts[:warm]:
        call(text)
    seconds = []
    for text in texts:
        start = time.perf_counter()
        call(text)
        seconds.append(time.perf_counter() - start)
    return seconds


def median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def repeated(once: Callable[[], Mapping[str, Any]], times: int, key: str) -> dict[str, Any]:
    """The run whose `key` is the median of `times` runs, with every run's value beside it."""
    runs = sorted((once() for _ in range(times)), key=lambda run: float(run[key]))
    return {**runs[(len(runs) - 1) // 2], f"{key}_of_runs": [run[key] for run in runs]}


def isolated(task: str, arguments: Mapping[str, Any], limit: float = 7200.0) -> dict[str, Any]:
    """What `module:function` returns for these keyword arguments, in a fresh process.

    Adds seconds_process, peak_rss_mb (with files that are mapped) and peak_private_mb (without).
    Raises DocumentError with the last line of its stderr when the process fails or takes too long.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-bench-", ignore_cleanup_errors=True) as folder:
        answer, talk = Path(folder) / "answer.json", Path(folder) / "stderr"
        start = time.perf_counter()
        with talk.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.measure", task, str(answer)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=ROOT,
            )
            watch = _Watch(process.pid)
            assert process.stdin is not None
            process.stdin.write(json.dumps(dict(arguments)).encode())
            process.stdin.close()
            try:
                code = process.wait(timeout=limit)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise DocumentError(f"{task}: stopped after {limit:.0f} s") from None
            finally:
                watch.stop()
        if code:
            lines = talk.read_text("utf-8", "replace").strip().splitlines() or [f"exit code {code}"]
            raise DocumentError(f"{task}: {lines[-1]}")
        result: dict[str, Any] = json.loads(answer.read_text("utf-8"))
    result["seconds_process"] = round(time.perf_counter() - start, 3)
    result["peak_rss_mb"] = round(max(watch.rss, result.pop("_own_peak_mb")), 1)
    result["peak_private_mb"] = round(watch.private, 1) if watch.private else None
    return result


class _Watch:
    """The most memory that a process and its children held together, in MB."""

    def __init__(self, pid: int) -> None:
        self.rss = 0.0
        self.private = 0.0
        self._pid = pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        if Path("/proc/self/status").exists():
            self._thread.start()

    def _look(self) -> None:
        while not self._end.wait(_EVERY):
            figures = [memory(pid) for pid in _family(self._pid)]
            self.rss = max(self.rss, sum(rss for rss, _ in figures))
            self.private = max(self.private, sum(private for _, private in figures))

    def stop(self) -> None:
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join()


def memory(pid: int | None = None) -> tuple[float, float]:
    """(resident, resident without mapped files) of one process now, in MB; zeros where /proc is not."""
    try:
        text = Path(f"/proc/{pid or 'self'}/status").read_text()
    except OSError:
        return 0.0, 0.0
    sizes = {
        name: int(value.split()[0]) / 1024
        for name, _, value in (line.partition(":") for line in text.splitlines())
        if name in ("VmRSS", "RssAnon")
    }
    return sizes.get("VmRSS", 0.0), sizes.get("RssAnon", 0.0)


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:  # it has ended
                continue
    return found


def _main() -> None:
    task, answer = sys.argv[1:]
    module, _, function = task.partition(":")
    arguments = json.loads(sys.stdin.buffer.read())
    import importlib

    result = dict(getattr(importlib.import_module(module), function)(**arguments))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result["_own_peak_mb"] = peak / (2**20 if sys.platform == "darwin" else 1024)
    Path(answer).write_text(json.dumps(result), "utf-8")
    sys.stdout.flush()
    os._exit(0)  # large indexes take seconds to tear down, and nothing is left to write


if __name__ == "__main__":
    _main()
