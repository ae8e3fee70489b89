"""docs/tree.md names every file with what the file says of itself."""

from __future__ import annotations

from pathlib import Path

from docs.make_tree import ROOT, tree


def test_the_tree_in_docs_is_the_tree_of_the_code() -> None:
    written = (ROOT / "docs" / "tree.md").read_text("utf-8")
    assert written == tree(), "run `make docs`"


def test_every_file_has_a_sentence() -> None:
    lines = tree().partition("```\n")[2].partition("```")[0].splitlines()
    assert len(lines) > 150
    assert [line for line in lines if len(line.split()) < 2 and not line.startswith("demo/")] == []


def test_a_sentence_is_the_first_of_the_docstring_or_of_the_comment(tmp_path: Path) -> None:
    (tmp_path / "tandem.py").write_text('"""The command.\n\nMore."""\n', "utf-8")
    for folder in ("configs", "indexer", "retriever", "eval", "training", "webui", "benchmarks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "demo").mkdir()
    (tmp_path / "configs" / "__init__.py").write_text('"""Settings."""\n', "utf-8")
    (tmp_path / "configs" / "a.yaml").write_text("# For one\n# thing. Or two.\nk: 1\n", "utf-8")
    room = tmp_path / "indexer" / "text"
    room.mkdir()
    (room / "__init__.py").write_text('"""Words."""\n', "utf-8")
    (room / "b.py").write_text('"""`Cuts` texts: well. And more."""\n', "utf-8")
    lines = [" ".join(line.split()) for line in tree(tmp_path).splitlines()]
    assert lines[5:] == [
        "tandem.py The command",
        "configs/ Settings",
        "a.yaml For one thing",
        "indexer/",
        "text/ Words",
        "b.py Cuts texts: well",
        *["retriever/", "eval/", "training/", "webui/", "benchmarks/", "demo/"],
        "```",
    ]
