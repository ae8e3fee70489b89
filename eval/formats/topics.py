"""Queries of judgments: files that `indexer.text.topics` reads, and nothing that only looks like them."""

from __future__ import annotations

from pathlib import Path

from eval.formats.file_kinds import expected, sniff
from eval.formats.text_lines import refuse
from indexer.text.topics import Topic, read_topics

__all__ = ["Topic", "read_queries"]


def read_queries(path: Path, allow_missing: bool = False) -> dict[str, Topic]:
    """Queries by id. Raises DocumentError for another format (saying which it looks like), a query
    without text (unless `allow_missing`) or without id, and an id used twice.
    """
    if sniff(path) not in ("queries", "documents", "tsv", "text"):
        raise expected("a file of queries (JSON lines, or id, tab and text)", path)
    found = read_topics(path)
    refuse(
        [
            f"{path}:{topic.line}: query {topic.id!r} has no text"
            for topic in found.values()
            if not allow_missing and not any(map(str.isalnum, topic.text))  # as the retriever asks
        ]
    )
    return found
