"""The report's plots, as SVG text to put into an HTML page: the same bytes for the same figures.

matplotlib's own objects are used, not its global state, so that nothing here disturbs a caller's plots.
"""

from __future__ import annotations

import html
import io
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from configs.errors import MissingExtra
from eval.ranking.comparison import Row

__all__ = ["bars", "ordered", "scatter", "system_colours"]

# Told apart by colour-blind readers and, by lightness, on grey paper (after Okabe and Ito 2008).
COLOURS = ("#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8b8f94", "#f0e442")
# The colours that the search page gives these three and, of the text, to all of them together.
SIGNALS = {"dense": "#14708f", "lexical": "#b24c12", "alignment": "#6b5ca5", "hybrid": "#010204"}
INK, GRID = "#010203", "#010205"
# Drawn in the first, written as the second: the page's style sheet has them twice, for light and dark.
PAGE_COLOURS = {
    INK: "currentColor",
    GRID: "var(--line)",
    SIGNALS["hybrid"]: "var(--soft)",
    SIGNALS["dense"]: "var(--dense)",
    SIGNALS["lexical"]: "var(--lexical)",
    SIGNALS["alignment"]: "var(--alignment)",
}
STYLE: Any = {
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
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
    colours = system_colours([row.system for row in rows])
    for number, row in enumerate(rows):
        places = [place + (number - (len(rows) - 1) / 2) * width for place in range(len(names))]
        means = [row.means[name] for name in names]
        axes.bar(
            places,
            [m.mean for m in means],
            width * 0.92,
            color=colours[row.system],
            yerr=[[m.mean - m.low for m in means], [m.high - m.mean for m in means]],
            error_kw={"elinewidth": 1, "capsize": 2, "ecolor": INK},
            label=row.system,
        )
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(0, min(1.0, 1.15 * max([m.high for r in rows for m in r.means.values()] + [0.1])))
    axes.yaxis.grid(True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    if len(rows) > 1:
        figure.legend(
            loc="outside upper center", ncols=min(4, len(rows)), frameon=False, fontsize=9
        )
    return _svg(figure, "bars", "Bars: the mean of each system, by measure")


def system_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each system: the search page's for dense, lexical and alignment, and others."""
    others = itertools.cycle(COLOURS)
    return {name: SIGNALS.get(name) or next(others) for name in names}


def scatter(
    base: Mapping[str, float], other: Mapping[str, float], base_name: str, other_name: str
) -> str:
    """A point for each query; above the line `other` is better. Points that coincide darken."""
    figure, axes = _figure(3.6, 3.6)
    axes.plot([0, 1], [0, 1], color=GRID, linewidth=0.8, zorder=1)
    queries = list(base)
    axes.scatter(
        [base[query] for query in queries],
        [other[query] for query in queries],
        s=18,
        color=SIGNALS["dense"],
        alpha=0.45,
        linewidths=0,
        zorder=2,
        clip_on=False,
    )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel(base_name)
    axes.set_ylabel(other_name)
    label = f"Points: each query by {base_name} and by {other_name}"
    return _svg(figure, f"scatter {base_name} {other_name}", label)


def ordered(values: Mapping[str, float], measure: str) -> str:
    """Every query's value, best first: how many go well, and how many fail."""
    figure, axes = _figure(5.5, 2.2)
    heights = sorted(values.values(), reverse=True)
    axes.fill_between(
        range(len(heights) + 1), [*heights, 0], step="post", color=SIGNALS["dense"], alpha=0.8
    )
    axes.set(xlim=(0, len(heights)), ylim=(0, 1.02))
    axes.set_xlabel("queries, best first")
    axes.set_ylabel(measure)
    return _svg(figure, "ordered", f"{measure} of every query, best first")


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


def _svg(figure: Any, salt: str, label: str) -> str:
    """The picture alone, named `label`: no XML head, no date, no licence; ids of its own in the page."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    name = re.sub(r"\W+", "-", salt)
    # several pictures stand in one page: what each calls by name gets the picture's own
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for drawn, written in PAGE_COLOURS.items():
        text = text.replace(drawn, written)
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1)
