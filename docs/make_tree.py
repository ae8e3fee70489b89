"""Writes docs/tree.md, a line for each file of the code: `python docs/make_tree.py` or `make docs`.

The line is the first sentence of the module's docstring, or of the comment that begins a YAML file.
"""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("configs", "indexer", "retriever", "eval", "training", "webui", "benchmarks", "demo")
SHOWN = (".py", ".yaml")
WIDTH = 170
HEAD = "# The tree\n\nMade by `make docs` from the first sentence of each file.\n\n"


def tree(root: Path = ROOT) -> str:
    """The whole of docs/tree.md."""
    lines = [_line(0, "tandem.py", _sentence(root / "tandem.py"))]
    for folder in FOLDERS:
        lines += _folder(root / folder, 0)
    return HEAD + "```\n" + "\n".join(lines) + "\n```\n"


def _folder(folder: Path, depth: int) -> list[str]:
    package = folder / "__init__.py"
    lines = [_line(depth, f"{folder.name}/", _sentence(package) if package.is_file() else "")]
    entries = sorted(folder.iterdir(), key=lambda entry: (entry.is_dir(), entry.name))
    for entry in entries:
        if entry.is_dir() and (entry / "__init__.py").is_file():
            lines += _folder(entry, depth + 1)
        elif entry.suffix in SHOWN and entry.name != "__init__.py":
            lines.append(_line(depth + 1, entry.name, _sentence(entry)))
    return lines


def _line(depth: int, name: str, sentence: str) -> str:
    start = "    " * depth + name
    room = WIDTH - 38  # characters
    return f"{start:<36}  {textwrap.shorten(sentence, room, placeholder=' ...')}".rstrip()


def _sentence(file: Path) -> str:
    """The first sentence of what a file says of itself, on one line."""
    text = file.read_text("utf-8")
    if file.suffix == ".py":
        said = ast.get_docstring(ast.parse(text)) or ""
    else:
        comments = [line for line in text.splitlines() if line.startswith("#")]
        said = "\n".join(line.removeprefix("#").strip() for line in comments)
    paragraph = " ".join(said.partition("\n\n")[0].replace("`", "").split())
    return re.split(r"(?<!et al)\. ", paragraph)[0].removesuffix(".")


if __name__ == "__main__":
    (ROOT / "docs" / "tree.md").write_text(tree(), "utf-8", newline="\n")
