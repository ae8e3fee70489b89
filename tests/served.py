"""A real `tandem serve` in a process of its own, for the suites that try to break it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from webui.tokens import TokenFile, made

__all__ = ["Served", "served"]


@dataclass(frozen=True, slots=True)
class Served:
    url: str
    process: subprocess.Popen[bytes]
    token: str
    """May read and write."""
    said: Path
    """What the server wrote to stderr."""


@contextlib.contextmanager
def served(index: Path, *options: str) -> Iterator[Served]:
    """The index, writable, on a free port of loopback; ended with SIGTERM."""
    secret, kept = made("test", write=True)
    file = TokenFile(index.parent / "tokens.json")
    file.path.unlink(missing_ok=True)
    file.add(kept)
    said = index.parent / "serve.log"
    command = [sys.executable, "-m", "tandem", "serve", "-i", str(index), "--port", "0"]
    command += ["--tokens", str(file.path), "--writable", *options]
    with said.open("w") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        until = time.monotonic() + 120
        while (found := re.search(r"http://127\.0\.0\.1:\d+", said.read_text())) is None:
            assert process.poll() is None and time.monotonic() < until, said.read_text()
            time.sleep(0.05)
        yield Served(found.group(), process, secret, said)
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
