"""A list of hits as a file: CSV for spreadsheets, JSON lines for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from indexer.schema import Hit
from retriever.hits import record

__all__ = ["FORMATS", "exported"]

FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson; charset=utf-8"}
COLUMNS = ("rank", "id", "score", "close", "lang", "title", "url", "passage")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def exported(query: str, hits: Sequence[Hit], floor: float, kind: str) -> str:
    """The hits of a search as a text of this kind, one of FORMATS; fields of the documents' own are columns too.

    Those that score below `floor` are not close.
    """
    rows = [record(hit, query, close=hit.score >= floor) for hit in hits]
    if kind == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    names = list(dict.fromkeys(name for hit in hits for name in hit.document.fields))
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    # a field of the documents that is called as a column of ours: programs read columns by name
    own = [f"{name} (field)" if name in COLUMNS else name for name in names]
    writer.writerow([_cell(name) for name in (*COLUMNS, *own)])
    for row, hit in zip(rows, hits, strict=True):
        writer.writerow([_cell(row[name]) for name in COLUMNS] + _fields(hit, names))
    return (
        "\ufeff" + out.getvalue()
    )  # without the mark, spreadsheets take UTF-8 for an older encoding


def _fields(hit: Hit, names: list[str]) -> list[str]:
    return [_cell(hit.document.fields.get(name, "")) for name in names]


def _cell(value: object) -> str:
    """A value as text; one that a spreadsheet would compute begins with an apostrophe."""
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
