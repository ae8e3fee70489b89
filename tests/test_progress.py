"""Progress bars are seen on a terminal only, and say how far the work is; tables line up."""

from __future__ import annotations

import io

import pytest

from configs.progress import no_bar, progress_bar, progress_over, progress_to
from configs.tables import in_cell, markdown_table, plain_table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def opened(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal for stderr. Opened in the test: pytest takes stderr back after a fixture."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    return stream


def last(terminal: Terminal) -> str:
    """The last state of the bar."""
    return terminal.getvalue().split("\r")[-1]


def test_a_bar_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = opened(monkeypatch)
    with progress_bar("indexing", 4, counted=True) as advance:
        advance(3)
        advance(1, "loss 0.5")
    assert "indexing" in last(terminal) and "4/4" in last(terminal)
    assert "loss 0.5" in terminal.getvalue()


def test_a_bar_of_unknown_length_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = opened(monkeypatch)
    with progress_bar("reading", None, counted=True) as advance:
        advance(7)
    assert "reading" in last(terminal) and "%" not in last(terminal)


def test_items_are_counted_as_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = opened(monkeypatch)
    with progress_over(["a", "b"], "texts") as items:
        assert list(items) == ["a", "b"]
    assert "100%" in last(terminal)


def test_work_that_is_resumed_begins_its_bar_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = opened(monkeypatch)
    with progress_to("training") as tell:
        tell(50, 60)
        tell(50, 60)
        tell(55, 60, "loss 0.1")
    assert "50%" in last(terminal) and "loss 0.1" in last(terminal)


def test_nothing_is_shown_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        progress_bar("a", 2) as advance,
        progress_to("b") as tell,
        progress_over([1], "c") as items,
    ):
        advance(2)
        tell(1, 2)
        assert list(items) == [1]
    with no_bar("d", 2) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_a_plain_table_has_its_figures_to_the_right() -> None:
    table = plain_table(["name", "score"], [["words", "12.5"], ["meaning", "4.1"]])
    assert table.splitlines() == ["name     score", "words     12.5", "meaning    4.1"]
    assert plain_table(["a", "b"], [["one", "x"]], left=2).splitlines() == ["a    b", "one  x"]


def test_a_markdown_table_lines_up_and_keeps_its_cells_apart() -> None:
    table = markdown_table(["query", "nDCG"], [["a|b\nc", "0.5"], ["d", "-"]])
    assert table.splitlines() == [
        "| query  | nDCG |",
        "| ------ | ---: |",
        "| a\\|b c |  0.5 |",
        "| d      |    - |",
    ]
    assert in_cell(" one\ntwo | three ") == "one two \\| three"
