"""A report says what was measured, the same in three formats, and the same bytes each time."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import webui
from configs.errors import ConfigError
from configs.tables import markdown_table
from eval.formats.judgments import Judgments
from eval.formats.topics import Topic
from eval.ranking import report_plots
from eval.ranking.metrics import parse_measures
from eval.ranking.relevance import System, measure_system
from eval.ranking.report import Measured, Report, as_json, make_report
from eval.ranking.report_files import write_report
from eval.ranking.report_html import as_html
from eval.ranking.report_markdown import as_markdown
from indexer.schema import Document

QRELS = {"q1": {"d1": 2, "d2": 0}, "q2": {"d3": 1}}
QUERIES = {"q1": Topic("q1", "first <b>query</b> & more", "en"), "q2": Topic("q2", "سؤال", "ar")}
DOCUMENTS = {
    "d1": Document("d1", "text", "A <script>title</script>", "", "en"),
    "d3": Document("d3", "long text " * 30, "", "", "cs"),
}
JUDGMENTS = Judgments("qrels.txt", "trec", QRELS, QUERIES, notes=("a note",))
RUNS = {
    "one": {"q1": [("d1", 2.0), ("d9", 1.0)], "q2": [("d9", 2.0), ("d3", 1.0)]},
    "two|three": {"q1": [("d2", 2.0), ("d1", 1.0)], "q2": [("d3", 2.0)]},
    "dense": {"q1": [("d1", 2.0)], "q2": [("d9", 2.0)]},
}


def system(name: str) -> System:
    measures = parse_measures(["RR", "P@1", "Judged@10"])
    return measure_system(name, "retrieve", RUNS[name], JUDGMENTS, measures, {"mode": "hybrid"})


def made(*names: str) -> Report:
    title = "A title <of> its own" if len(names) > 2 else ""
    measured = Measured("tandem eval <x>", {"source": "qrels.txt"}, {}, {}, {"python": "3"})
    languages = {"q1": "en", "q2": "ar"}
    systems = [system(name) for name in names]
    notes = ("a note", "another")
    return make_report(systems, JUDGMENTS, DOCUMENTS, languages, measured, notes, title=title)


class Page(HTMLParser):
    """Tags that were opened, addresses they name, and the text a reader sees."""

    VOID = frozenset({"meta", "br", "path", "use", "rect", "line", "circle"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.seen = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src", "xlink:href", "action"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.seen += data


@pytest.mark.parametrize("names", [("one",), ("one", "two|three")])
def test_the_page_is_whole_and_links_to_nothing_outside(names: tuple[str, ...]) -> None:
    text = as_html(made(*names))
    page = Page(text)
    assert page.open == []
    assert all(link.startswith("#") for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    assert "script" not in page.tags
    assert re.findall(r"url\((?!#)", text) == []
    addresses = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_the_page_shows_texts_as_they_are() -> None:
    seen = Page(as_html(made("one"))).seen
    assert "first <b>query</b> & more" in seen
    assert "A <script>title</script>" in seen
    assert "tandem eval <x>" in seen


def test_the_same_measurement_gives_the_same_bytes() -> None:
    for render in (as_html, as_json, as_markdown):
        assert render(made("one", "two|three")) == render(made("one", "two|three"))


def test_figures_agree_in_all_three() -> None:
    report = made("one", "two|three")
    values = json.loads(as_json(report))
    assert values["rows"][0]["means"]["RR"] == {"mean": 0.75, "low": 0.5, "high": 1.0}
    assert values["per_query"]["RR"] == {
        "one": {"q1": 1.0, "q2": 0.5},
        "two|three": {"q1": 0.5, "q2": 1.0},
    }
    assert values["measured"]["command"] == "tandem eval <x>"
    assert "0.7500 [0.500, 1.000]" in as_markdown(report)
    assert "0.500 to 1.000" in as_html(report)


def test_the_worst_query_has_both_lists_side_by_side() -> None:
    (worst,) = made("one", "two|three").worst
    assert (worst.system, worst.query_id) == ("two|three", "q1")
    assert worst.values == {"one": 1.0, "two|three": 0.5}
    first, second = worst.lists.values()
    assert [(e.document_id, e.rank, e.grade) for e in first] == [("d1", 1, 2), ("d9", 2, None)]
    assert [(e.document_id, e.grade) for e in second] == [("d2", 0), ("d1", 2)]


def test_a_single_system_stands_beside_what_it_should_have_found() -> None:
    worst = made("one").worst[0]
    assert worst.query_id == "q2"
    wanted = worst.lists["judged relevant"]
    assert [(e.document_id, e.rank, e.grade) for e in wanted] == [("d3", 2, 1)]
    assert len(wanted[0].title) <= 100


def test_every_pair_of_systems_is_tested() -> None:
    report = made("one", "two|three", "dense")
    pairs = [(c.base, c.other) for c in report.comparisons if c.measure == "RR"]
    assert pairs == [("one", "two|three"), ("one", "dense"), ("two|three", "dense")]
    assert report.title == "A title <of> its own"
    assert "A title <of> its own" in Page(as_html(report)).seen
    assert made("one", "dense").title == "one and dense on qrels.txt"


def test_contents_lead_to_what_is_there() -> None:
    for report in (made("one"), made("one", "two|three")):
        page = Page(as_html(report))
        goals = {link[1:] for link in page.links if link.startswith("#")}
        assert {"figures", "languages", "worst", "measured"} <= goals <= set(page.ids)
    assert "differences" not in Page(as_html(made("one"))).ids


def test_the_map_of_languages_has_a_cell_for_each_pair() -> None:
    text = as_html(made("one", "two|three"))
    assert text.count('<table class="heat">') == 2
    assert 'title="ar to cs: 1 relevant">100<' in text
    assert text.count('<td class="none">·</td>') == 4  # en to cs and ar to en, in both


def test_dense_and_lexical_have_the_search_pages_colours() -> None:
    css = Path(webui.__file__).with_name("static").joinpath("tandem.css").read_text("utf-8")
    template = Path(report_plots.__file__).with_name("report.html").read_text("utf-8")
    for name in ("dense", "lexical", "alignment"):
        page, report = (re.findall(rf"--{name}: (#\w+)", text) for text in (css, template))
        assert page == report and len(page) == 2  # light and dark
        assert report_plots.SIGNALS[name] == page[0]
    colours = report_plots.system_colours(["hybrid", "a", "dense", "b"])
    assert colours["dense"] == report_plots.SIGNALS["dense"] and len(set(colours.values())) == 4
    assert "var(--dense)" in as_html(made("dense", "one"))


def test_what_to_judge_next_and_notes_are_told_once() -> None:
    report = made("one")
    assert [(u.query_id, u.document_id) for u in report.judge_next] == [("q2", "d9"), ("q1", "d9")]
    assert report.notes == ("a note", "another")


def test_markdown_tables_are_not_broken_by_what_stands_in_them() -> None:
    text = markdown_table(["a|b", "n"], [["x|y\nz", "1.0"]])
    assert text.splitlines() == ["| a\\|b   |   n |", "| ------ | --: |", "| x\\|y z | 1.0 |"]


def test_the_name_of_the_file_says_the_format(tmp_path: Path) -> None:
    report = made("one")
    for name in ("r.html", "r.json", "new/r.md"):
        write_report(report, tmp_path / name)
    assert (tmp_path / "r.html").read_text("utf-8").startswith("<!doctype html>")
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["task"] == "retrieve"
    assert (tmp_path / "new" / "r.md").read_text("utf-8").startswith("# one on qrels.txt")
    with pytest.raises(ConfigError, match=r"end the name in .html, .json or .md"):
        write_report(report, tmp_path / "r.pdf")
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_report(report, tmp_path / "file" / "r.md")
