"""What a file looks like, from its first lines: to choose a reader, and to say what was given instead.

It guesses from shape alone; the readers check every line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from configs.errors import DocumentError
from indexer.text.compression import UNREADABLE, open_file

__all__ = ["LOOKS", "expected", "sniff"]

# format -> how a message names it
LOOKS = {
    "missing": "nothing: no such file or folder",
    "empty": "an empty file",
    "binary": "a binary file",
    "index": "a Tandem index folder",
    "beir": "a BEIR folder (corpus, queries, qrels)",
    "folder": "a folder without queries.jsonl and qrels",
    "dareczech": "a DaReCzech file (tab-separated: ID, query, url, doc, title, label)",
    "qrels": "TREC qrels (query, 0, document, grade)",
    "qrels-tsv": "BEIR qrels (tab-separated: query-id, corpus-id, score)",
    "run": "a TREC run (query, Q0, document, rank, score, tag)",
    "queries": "JSON lines with a query each (_id, text)",
    "documents": "JSON lines with a document each",
    "json": "a JSON file",
    "html": "an HTML page",
    "yaml": "YAML settings",
    "tsv": "a tab-separated table",
    "text": "plain text",
}
PARTS = ("corpus.jsonl", "corpus.jsonl.gz", "queries.jsonl", "queries.jsonl.gz")


def sniff(path: Path) -> str:
    """One of the keys of LOOKS."""
    if not path.exists():
        return "missing"
    if path.is_dir():
        if (path / "manifest.json").exists() or (path / "CURRENT").exists():
            return "index"
        qrels = (path / "qrels").is_dir() or (path / "qrels.tsv").exists()
        queries = any((path / name).exists() for name in PARTS[2:])
        return "beir" if qrels and queries else "folder"
    head = _head(path)
    if not head:
        return "empty"
    if b"\0" in head or head.startswith((b"PK\x03\x04", b"%PDF")):
        return "binary"
    lines = [line for line in head.decode("utf-8-sig", "replace").split("\n") if line.strip()]
    return _sniff_lines([line.rstrip("\r") for line in lines[:20]], path.suffix.lower())


def expected(wanted: str, path: Path) -> DocumentError:
    """The error for a file that is not `wanted`: it says which format the file looks like."""
    if not path.exists():
        return DocumentError(f"{path}: no such file or folder; {wanted} is expected")
    return DocumentError(f"{path}: {wanted} is expected, but this looks like {LOOKS[sniff(path)]}")


def _head(path: Path, size: int = 65536) -> bytes:
    """The first bytes, unpacked; a last half line is cut off."""
    try:
        with open_file(path) as file:
            raw = file.read(size)
    except PermissionError:
        raise
    except UNREADABLE:
        return b"\0"  # compressed by name only, or damaged: shown as binary
    return raw[: raw.rfind(b"\n")] if len(raw) >= size and b"\n" in raw else raw


def _sniff_lines(lines: list[str], suffix: str) -> str:
    if not lines:
        return "empty"
    first = lines[0]
    header = [name.strip().lower() for name in first.split("\t")]
    if {"query", "label"} <= set(header):
        return "dareczech"
    if first.lstrip().lower().startswith(("<!doctype", "<html")):
        return "html"
    if first.lstrip().startswith(("{", "[")):
        return _sniff_json(first)
    tabbed = [line.split("\t") for line in lines]
    if "query" in header[0] and len(header) == 3:
        return "qrels-tsv"
    if _most(len(row) == 3 and _is_integer(row[2]) for row in tabbed):
        return "qrels-tsv"
    rows = [line.split() for line in lines]
    if _most(len(row) == 6 and row[1].upper() in ("Q0", "0") for row in rows):
        return "run"
    if _most(len(row) == 4 and row[1].upper() in ("Q0", "0") for row in rows):
        return "qrels"
    if suffix in (".yaml", ".yml"):
        return "yaml"
    return "tsv" if all("\t" in line for line in lines) else "text"


def _sniff_json(first: str) -> str:
    try:
        value = json.loads(first)
    except json.JSONDecodeError:
        return "json"
    if not isinstance(value, dict):
        return "json"
    ids = {"_id", "id"} & value.keys()
    if "query_id" in value or (ids and not {"title", "url", "doc"} & value.keys()):
        return "queries"
    return "documents" if "text" in value else "json"


def _most(answers: Iterable[bool]) -> bool:
    """More than half: one broken line is for the reader to name, not a reason to see another format."""
    answers = list(answers)
    return sum(answers) * 2 > len(answers)


def _is_integer(text: str) -> bool:
    return text.strip().lstrip("-").isdigit()
