"""Tables as text: for a terminal, and as Markdown that reads well as plain text too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["in_cell", "markdown_table", "plain_table"]


def plain_table(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Columns two blanks apart: the first `left` of them to the left, the others to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns that line up; a column of figures to the right. Line ends and pipes in cells are taken care of."""
    header = [in_cell(cell) for cell in header]
    body = [[in_cell(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [header, *body]) for i in range(len(header))]
    right = [bool(body) and all(_is_figure(row[i]) for row in body) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [
            c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)
        ]
        return f"| {' | '.join(cells)} |"

    rule = [("-" * (w - 1) + ":") if r else "-" * w for w, r in zip(widths, right, strict=True)]
    return "\n".join([line(header), f"|{'|'.join(f' {r} ' for r in rule)}|", *map(line, body)])


def in_cell(text: str) -> str:
    """A text as a cell of Markdown: one line, and no pipe that would end it."""
    return " ".join(text.split()).replace("|", "\\|")


def _is_figure(text: str) -> bool:
    return not text or text[0] in "+-<0123456789"
