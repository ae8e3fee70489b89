"""A report as Markdown: tables that read well as plain text too."""

from __future__ import annotations

import json
from collections.abc import Sequence

from configs.tables import in_cell, markdown_table
from eval.ranking.comparison import Comparison
from eval.ranking.report import TASKS, Listed, Report
from eval.ranking.statistics import Interval, shown_p, signed

SHOWN_PAIRS = 26  # two totals and the commonest pairs of languages; the JSON has all

__all__ = ["as_markdown", "comparison_table", "figures"]


def as_markdown(report: Report) -> str:
    """The whole report but its plots and the values of single queries."""
    parts = [
        f"# {report.title}",
        f"{TASKS[report.task]}; {len(report.texts)} queries; intervals at {report.level:.0%} by bootstrap over queries.",
        *[f"> {note}" for note in report.notes],
        "## Figures",
        figures(report),
    ]
    if report.comparisons:
        parts += [
            "## Differences",
            "p values are corrected for the number of comparisons (Holm); d is Cohen's, paired.",
            comparison_table(report.comparisons),
        ]
    if report.slices:
        names = [row.system for row in report.rows]
        parts += [f"## {report.measure} by part"]
        parts.append(
            markdown_table(
                ["by", "value", "queries", *names],
                [
                    [s.by, s.value, str(s.queries), *(f"{s.means[n]:.3f}" for n in names)]
                    for s in report.slices
                ],
            )
        )
    parts += [*_reach(report), *_coverage(report), *_worst(report), *_measured(report)]
    return "\n\n".join(parts) + "\n"


def _interval(value: Interval) -> str:
    return f"{value.mean:.4f} [{value.low:.3f}, {value.high:.3f}]"


def figures(report: Report) -> str:
    """Each system's means with intervals; judged@k without, being no matter of chance."""
    names = list(report.rows[0].means)
    rows = [
        [
            row.system,
            *(
                f"{row.means[n].mean:.3f}" if n.startswith("Judged") else _interval(row.means[n])
                for n in names
            ),
        ]
        for row in report.rows
    ]
    return markdown_table(["system", *names], rows)


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """Every difference with its tests; a star where it is significant."""
    rows = [
        [
            c.measure,
            f"{c.other} - {c.base}",
            f"{signed(c.difference.mean)} [{c.difference.low:+.3f}, {c.difference.high:+.3f}]",
            shown_p(c.p_randomisation) + (" *" if c.significant else ""),
            shown_p(c.p_t),
            f"{c.effect:+.2f}",
            f"{c.wins}/{c.ties}/{c.losses}",
        ]
        for c in comparisons
    ]
    header = ["measure", "difference of", "mean", "p randomised", "p t-test", "d", "win/tie/loss"]
    return markdown_table(header, rows)


def _reach(report: Report) -> list[str]:
    if not report.reach:
        return []
    names = [row.system for row in report.rows]
    rows = [
        [
            r.query_language,
            r.document_language,
            str(r.relevant),
            *(f"{r.found[n]:.3f}" for n in names),
        ]
        for r in report.reach[:SHOWN_PAIRS]
    ]
    header = ["query in", "document in", "relevant", *names]
    return [
        f"## Relevant documents among the first {report.reach[0].k}, by language",
        markdown_table(header, rows),
    ]


def _coverage(report: Report) -> list[str]:
    rows = [
        [
            c.system,
            str(c.shown),
            f"{c.judged / max(c.shown, 1):.3f}",
            str(c.judged),
            str(c.relevant),
        ]
        for c in report.coverage
    ]
    header = [
        "system",
        f"shown in the first {report.coverage[0].k}",
        "share judged",
        "judged",
        "relevant",
    ]
    parts = ["## Judgments", markdown_table(header, rows)]
    if report.judge_next:
        parts.append(f"{report.unjudged} shown documents were never judged. To judge next:")
        next_rows = [
            [f"{u.weight:.2f}", u.query_id, report.texts.get(u.query_id, "")[:60], u.document_id]
            for u in report.judge_next[:20]
        ]
        parts.append(markdown_table(["weight", "query", "text", "document"], next_rows))
    return parts


def _worst(report: Report) -> list[str]:
    if not report.worst:
        return []
    parts = ["## Worst queries"]
    for worst in report.worst:
        values = ", ".join(f"{name} {value:.3f}" for name, value in worst.values.items())
        parts.append(
            f"**{in_cell(worst.query_id)}** {in_cell(worst.text)} ({report.measure}: {values})"
        )
        names = list(worst.lists)
        depth = max(map(len, worst.lists.values()), default=0)
        rows = []
        for place in range(depth):
            cells = []
            for name in names:
                entries = worst.lists[name]
                cells.append(_entry(entries[place]) if place < len(entries) else "")
            rows.append([str(place + 1), *cells])
        parts.append(markdown_table(["", *names], rows))
    return parts


def _entry(entry: Listed) -> str:

    grade = "not judged" if entry.grade is None else f"grade {entry.grade}"
    rank = "not found" if entry.rank is None else f"rank {entry.rank}"
    return f"{entry.document_id} {entry.title} ({grade}, {rank})"


def _measured(report: Report) -> list[str]:

    measured = report.measured
    parts = ["## What was measured", f"```\n{measured.command}\n```"]
    rows = [["judgments", key, str(value)] for key, value in measured.judgments.items()]
    rows += [["index", key, str(value)] for key, value in measured.index.items()]
    for name, about in measured.systems.items():
        rows.append(["system", name, json.dumps(about, ensure_ascii=False)])
    rows += [["version", key, value] for key, value in measured.versions.items()]
    return [*parts, markdown_table(["of", "what", "value"], rows)]
