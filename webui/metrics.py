"""Counters and a latency histogram in Prometheus's text format (version 0.0.4).

https://prometheus.io/docs/instrumenting/exposition_formats/ has the form. A few lines of our own: the
client library brings a registry, a process collector and a server that one page has no use for.
"""

from __future__ import annotations

import bisect
import threading
from collections import defaultdict
from collections.abc import Mapping

__all__ = ["BUCKETS", "Metrics"]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds

HELP = {
    "tandem_requests_total": "Requests answered, by endpoint and HTTP status.",
    "tandem_searches_total": "Searches answered, by mode.",
    "tandem_searches_without_hits_total": "Searches that found nothing, by mode.",
    "tandem_refresh_failures_total": "Times the newest commit of the index could not be opened.",
    "tandem_writes_total": "Requests to add or delete documents that were taken.",
    "tandem_judgments_total": "Grades written in judge mode.",
}
SECONDS = "tandem_request_seconds"
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """What was counted since the start; safe to call from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[tuple[str, Labels], int] = defaultdict(int)
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter of `HELP`."""
        assert name in HELP, name
        with self._lock:
            self._counts[name, tuple(sorted(labels.items()))] += 1

    def time(self, endpoint: str, seconds: float) -> None:
        """Put one request's duration into the histogram."""
        with self._lock:
            self._buckets[endpoint][bisect.bisect_left(BUCKETS, seconds)] += 1
            self._seconds[endpoint] += seconds

    def text(self, gauges: Mapping[str, tuple[str, int]]) -> str:
        """Everything, with `gauges` (name -> help, value) as they are now."""
        lines: list[str] = []
        with self._lock:
            for name, meaning in HELP.items():
                lines += [f"# HELP {name} {meaning}", f"# TYPE {name} counter"]
                found = sorted((key[1], n) for key, n in self._counts.items() if key[0] == name)
                lines += [f"{name}{_labels(labels)} {n}" for labels, n in found]
            lines += [
                f"# HELP {SECONDS} Time to answer, in seconds.",
                f"# TYPE {SECONDS} histogram",
            ]
            for endpoint in sorted(self._buckets):
                lines += self._histogram(endpoint)
        for name, (meaning, value) in gauges.items():
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge", f"{name} {value}"]
        return "\n".join(lines) + "\n"

    def _histogram(self, endpoint: str) -> list[str]:
        lines, total = [], 0
        for bound, n in zip((*map(str, BUCKETS), "+Inf"), self._buckets[endpoint], strict=True):
            total += n  # a bucket holds all that are faster, too
            labels = _labels((("endpoint", endpoint), ("le", bound)))
            lines.append(f"{SECONDS}_bucket{labels} {total}")
        labels = _labels((("endpoint", endpoint),))
        lines.append(f"{SECONDS}_sum{labels} {self._seconds[endpoint]:.6f}")
        lines.append(f"{SECONDS}_count{labels} {total}")
        return lines


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = (
        (name, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
        for name, value in labels
    )
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"
