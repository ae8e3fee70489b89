"""docs/walk.md names functions that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_function_of_the_walks_exists() -> None:
    named = re.findall(r"`([\w.]+):([\w.]+)`", (ROOT / "docs" / "walk.md").read_text("utf-8"))
    assert len(named) > 20
    for module, path in named:
        file = ROOT / f"{module.replace('.', '/')}.py"
        body = ast.parse(file.read_text("utf-8")).body
        for name in path.split("."):
            found = [
                node
                for node in body
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name
            ]
            assert len(found) == 1, f"{module} has no {path}"
            body = found[0].body
