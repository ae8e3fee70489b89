"""The report's plots, as SVG text to put into an HTML page: the same bytes for the same figures.

matplotlib's own objects are used, not its global state, so that nothing here disturbs a caller's plots.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from configs.errors import MissingExtra
from eval.ranking.comparison import Row

__all__ = ["bars", "ordered", "scatter"]

# told apart by colour-blind readers and, by lightness, on grey paper (Okabe and Ito 2008)
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#F0E442")
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: small, sharp, and found by a reader's search
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
}


def bars(rows: Sequence[Row]) -> str:
    """Means with their intervals: a group for each measure, a bar for each system."""
    names = [name for name in rows[0].means if not name.startswith("Judged")]
    width = 0.8 / len(rows)
    figure, axes = _figure(max(4.5, 1.2 + 0.35 * len(names) * (len(rows) + 1)), 3.0)
    for number, row in enumerate(rows):
        places = [place + (number - (len(rows) - 1) / 2) * width for place in range(len(names))]
        means = [row.means[name] for name in names]
        axes.bar(
            places,
            [m.mean for m in means],
            width * 0.92,
            color=COLOURS[number % len(COLOURS)],
            yerr=[[m.mean - m.low for m in means], [m.high - m.mean for m in means]],
            error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "#333333"},
            label=row.system,
        )
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(0, min(1.0, 1.15 * max([m.high for r in rows for m in r.means.values()] + [0.1])))
    axes.yaxis.grid(True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    if len(rows) > 1:
        figure.legend(
            loc="outside upper center", ncols=min(4, len(rows)), frameon=False, fontsize=9
        )
    return _svg(figure, "bars")


def scatter(
    base: Mapping[str, float], other: Mapping[str, float], base_name: str, other_name: str
) -> str:
    """A point for each query; above the line `other` is better. Points that coincide darken."""
    figure, axes = _figure(3.6, 3.6)
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=0.8, zorder=1)
    queries = list(base)
    axes.scatter(
        [base[query] for query in queries],
        [other[query] for query in queries],
        s=18,
        color=COLOURS[0],
        alpha=0.45,
        linewidths=0,
        zorder=2,
        clip_on=False,
    )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel(base_name)
    axes.set_ylabel(other_name)
    return _svg(figure, f"scatter {base_name} {other_name}")


def ordered(values: Mapping[str, float], measure: str) -> str:
    """Every query's value, best first: how many go well, and how many fail."""
    figure, axes = _figure(5.5, 2.2)
    heights = sorted(values.values(), reverse=True)
    axes.fill_between(
        range(len(heights) + 1), [*heights, 0], step="post", color=COLOURS[0], alpha=0.8
    )
    axes.set(xlim=(0, len(heights)), ylim=(0, 1.02))
    axes.set_xlabel("queries, best first")
    axes.set_ylabel(measure)
    return _svg(figure, "ordered")


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """Sizes in inches."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "eval", "drawing the report's plots") from error
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots()


def _svg(figure: Any, salt: str) -> str:
    """The picture alone: no XML head, no date, no address of a licence; ids of its own in the page."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    name = re.sub(r"\W+", "-", salt)
    # several pictures stand in one page: what each calls by name gets the picture's own
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    return text.replace("<svg ", '<svg role="img" ', 1)
