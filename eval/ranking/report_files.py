"""A report as a file, in the form that its name ends in: .html, .json or .md."""

from __future__ import annotations

from pathlib import Path

from configs.errors import ConfigError
from eval.ranking.report import Report, as_json
from eval.ranking.report_html import as_html
from eval.ranking.report_markdown import as_markdown

__all__ = ["write_report"]


def write_report(report: Report, path: Path) -> None:
    """Write the report as what the file's name ends in: .html, .json or .md."""
    if path.suffix == ".json":
        text = as_json(report)
    elif path.suffix == ".md":
        text = as_markdown(report)
    elif path.suffix in (".html", ".htm"):
        text = as_html(report)
    else:
        raise ConfigError(f"--report {path}: end the name in .html, .json or .md")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"--report {path}: cannot be written: {error}") from error
