"""Bounded load on loopback while documents are written: no error, bounded memory, latencies told.

A minute by default; TANDEM_LOAD_SECONDS=600 is the run whose figures stand in docs/page.md.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
from served import Served, served

from demo.searches import documents
from indexer.build import build_index
from indexer.encoders.opening import open_encoder

pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
]

SECONDS = float(os.environ.get("TANDEM_LOAD_SECONDS", "60"))
READERS, PAUSE = 3, 0.1  # threads, and seconds between two searches of one
WRITTEN, EVERY = (
    200,
    1.0,
)  # different documents that are written again and again, and seconds between two
GROWTH = 1.05  # memory at the end by that after three quarters
MOST = (
    1 << 30
)  # bytes: caches and the allocator's arenas fill in two steps of 245 MB, after some 100 and 190 writes


class Load:
    """Requests of several threads to one server."""

    def __init__(self, server: Served, seconds: float) -> None:
        self.server = server
        self.until = time.monotonic() + seconds
        self.wrong: list[str] = []
        self.times: dict[str, list[float]] = {"search": [], "page": [], "write": []}

    def ask(self, kind: str, method: str, path: str, body: object = None) -> None:
        address = urlsplit(self.server.url)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.server.token}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body)
        start = time.perf_counter()
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status not in (200, 202, 404 if method == "DELETE" else 200):
                self.wrong.append(f"{method} {path}: {answer.status} {text[:200]!r}")
        except OSError as error:
            self.wrong.append(f"{method} {path}: {error!r}")
        finally:
            connection.close()
        self.times[kind].append(time.perf_counter() - start)

    def read(self, seed: int) -> None:
        chance = random.Random(seed)
        queries = ["nemocnice", "when were books first printed", "কেন আকাশ নীল", "radiator", "robot"]
        while time.monotonic() < self.until:
            query = quote(f"{chance.choice(queries)} {chance.randrange(1000)}")
            if chance.random() < 0.2:
                self.ask("page", "GET", f"/?q={query}")
            else:
                self.ask("search", "GET", f"/api/v1/search?q={query}&explain=true")
            time.sleep(PAUSE)

    def write(self) -> None:
        chance = random.Random(0)
        while time.monotonic() < self.until:
            ids = [f"load-{chance.randrange(WRITTEN)}" for _ in range(chance.randrange(1, 4))]
            if chance.random() < 0.2:
                self.ask("write", "DELETE", f"/api/v1/documents/{ids[0]}")
            else:
                batch = [
                    {"id": id_, "text": f"Report {chance.random()} of the hospital at the river."}
                    for id_ in dict.fromkeys(ids)
                ]
                self.ask("write", "POST", "/api/v1/documents", batch)
            time.sleep(EVERY)


def memory(pid: int) -> int:
    """Resident bytes that are the process's own: mapped files of the index come and go."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


def test_load_with_writes_going_on(tmp_path: Path) -> None:
    build_index(
        tmp_path / "ix", documents(tmp_path / "rejects.jsonl"), open_encoder("fast"), model="fast"
    )
    with served(tmp_path / "ix") as server:
        load = Load(server, SECONDS)
        threads = [threading.Thread(target=load.read, args=(n,)) for n in range(READERS)]
        threads.append(threading.Thread(target=load.write))
        for thread in threads:
            thread.start()
        used = []
        while time.monotonic() < load.until:
            time.sleep(SECONDS / 60)
            used.append(memory(server.process.pid))
        for thread in threads:
            thread.join()
        for kind, times in load.times.items():
            p50, p99 = np.percentile(times, [50, 99]) * 1000
            print(f"{kind}: {len(times):,}, p50 {p50:.0f} ms, p99 {p99:.0f} ms")
        print("MiB:", *(n >> 20 for n in used[::6]), used[-1] >> 20)
        assert load.wrong == []
        assert "Traceback" not in server.said.read_text()
        assert max(used) < MOST
        if SECONDS >= 300:  # less is not enough to have filled what fills
            assert used[-1] < GROWTH * used[len(used) * 3 // 4]
