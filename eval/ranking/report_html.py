"""A report as one HTML file: plots inlined, no script, no address outside the page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from importlib import resources

from eval.ranking import report_plots
from eval.ranking.report import TASKS, Report
from eval.ranking.slices import ANY, Reach
from eval.ranking.statistics import shown_p, signed

__all__ = ["as_html"]


def as_html(report: Report) -> str:
    """The page, in the reader's light or dark; every text in it is escaped by the template engine."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"compact": _compact, "p": shown_p, "signed": signed}
    template = environment.from_string(
        resources.files("eval.ranking").joinpath("report.html").read_text("utf-8")
    )
    values = report.per_query[report.measure]
    base, *others = [row.system for row in report.rows]
    pictures = {
        "bars": report_plots.bars(report.rows),
        "scatters": [
            report_plots.scatter(values[base], values[other], base, other) for other in others[:4]
        ],
        "ordered": "" if others else report_plots.ordered(values[base], report.measure),
    }
    marked = {
        key: Markup(value) if isinstance(value, str) else [Markup(entry) for entry in value]
        for key, value in pictures.items()
    }
    names = list(report.rows[0].means)
    page = template.render(
        report=report,
        pictures=marked,
        names=names,
        base=base,
        others=others,
        task=TASKS[report.task],
        totals=[row for row in report.reach if row.query_language == ANY],
        heat=_heat_map(report.reach),
    )
    return page.rstrip() + "\n"


def _heat_map(
    reach: Sequence[Reach],
) -> tuple[list[str], list[tuple[str, list[Reach | None]]]]:
    """Document languages, and for each query language its row of cells; most documents first."""
    cells = {
        (row.query_language, row.document_language): row
        for row in reach
        if row.query_language != ANY
    }
    asked: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for (ours, theirs), row in cells.items():
        asked[ours] += row.relevant
        found[theirs] += row.relevant
    columns = [theirs for theirs, _ in found.most_common()]
    rows = [
        (ours, [cells.get((ours, theirs)) for theirs in columns]) for ours, _ in asked.most_common()
    ]
    return columns, rows


def _compact(value: object) -> str:
    """Settings on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
