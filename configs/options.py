"""Command-line options that several commands share, written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["config_options", "index_option", "json_option"]

F = TypeVar("F", bound=Callable[..., Any])


def config_options(command: F) -> F:
    """`--config NAME|FILE` and `--set key=value`, as arguments `config` and `changes`."""
    command = click.option(
        "--set",
        "changes",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change one setting, for example search.pool=200; may be repeated.",
    )(command)
    return click.option(
        "--config",
        metavar="NAME|FILE",
        help="Settings from a YAML file, or one that ships with Tandem. Default: built-in settings.",
    )(command)


def index_option(command: F) -> F:
    """`-i/--index INDEX`, as argument `index_path`."""
    return click.option(
        "-i",
        "--index",
        "index_path",
        required=True,
        metavar="INDEX",
        help="The index to use: a folder, or es://NAME in Elasticsearch.",
    )(command)


def json_option(command: F) -> F:
    """`--json`, as argument `as_json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON for programs instead of text."
    )(command)
