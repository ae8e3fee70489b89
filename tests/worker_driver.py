"""A build with worker processes that kills itself, or one of them.

    python worker_driver.py FOLDER WHOM POINT AT

WHOM ("parent", "worker" or "nobody") is killed by SIGKILL when indexer.storage.commit.reached is called for the AT-th
time with POINT. The first line of output is the processes of the workers.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

from test_workers import BATCH, documents

import indexer.prepare
import indexer.storage.commit
import indexer.storage.journal
from configs.errors import TandemError
from indexer.build import build_index
from indexer.encoders.local_models import FAST
from indexer.encoders.static_encoder import StaticEncoder


def main(folder: str, whom: str, wanted: str, at: str) -> None:
    calls = 0

    def reached(point: str) -> None:
        nonlocal calls
        calls += point == wanted
        if point != wanted or calls != int(at) or whom == "nobody":
            return
        workers = [process.pid for process in multiprocessing.active_children()]
        print(json.dumps(workers), flush=True)
        os.kill(os.getpid() if whom == "parent" else workers[-1] or 0, signal.SIGKILL)

    indexer.prepare.BATCH = indexer.storage.journal.BATCH = BATCH
    indexer.prepare._WORTH_WORKERS = 4 * BATCH
    setattr(indexer.storage.commit, "reached", reached)  # noqa: B010
    try:
        build_index(Path(folder), documents(300), StaticEncoder.load(FAST), workers=2)
    except TandemError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
