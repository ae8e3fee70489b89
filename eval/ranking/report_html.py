"""A report as one HTML file: plots inlined, no script, no address outside the page."""

from __future__ import annotations

import json
from importlib import resources

from eval.ranking import report_plots
from eval.ranking.report import Report
from eval.ranking.report_markdown import SHOWN_PAIRS
from eval.ranking.statistics import shown_p

__all__ = ["as_html"]


def as_html(report: Report) -> str:
    """The page; every text in it is escaped by the template engine."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {"compact": _compact, "p": shown_p}
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
        pairs=report.reach[:SHOWN_PAIRS],
    )
    return page.rstrip() + "\n"


def _compact(value: object) -> str:
    """Settings on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
