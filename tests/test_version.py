"""The version stands in setup.cfg; the list of changes begins with it, and no other file repeats it."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_version_stands_in_one_place() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    version = setup["metadata"]["version"]
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## (\S+)", changes, re.MULTILINE)
    assert newest is not None
    assert newest[1] == version
    code = [*ROOT.glob("*.py"), ROOT / "pyproject.toml"]
    for folder in ("configs", "indexer", "retriever", "eval", "training", "webui"):
        code += (ROOT / folder).rglob("*.py")
    assigned = re.compile(
        rf"""version\w*["']?\s*[:=]\s*["']{re.escape(version)}["']""", re.IGNORECASE
    )
    assert [file.name for file in code if assigned.search(file.read_text("utf-8"))] == []
