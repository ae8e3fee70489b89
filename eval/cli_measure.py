"""What the commands that measure an encoder share: choosing it, saying what was measured, printing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from configs.errors import ConfigError
from configs.load import load
from configs.options import config_options, json_option
from configs.settings import Settings

if TYPE_CHECKING:
    from eval.sentences.tables import DataFile
    from indexer.schema import Encoder

__all__ = [
    "columns_option",
    "emit",
    "encoder_options",
    "model_name",
    "percent",
    "split_columns",
    "the_encoder",
]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def encoder_options(command: F) -> F:
    """`--encoder`, `-i`, `--device`, `--config`, `--set`, `--json`: arguments of those names."""
    command = json_option(config_options(command))
    command = click.option(
        "--device",
        help="auto, cpu, cuda or cuda:N. Default: the settings' encoder.device (auto).",
    )(command)
    command = click.option(
        "-i",
        "--index",
        "index_path",
        metavar="INDEX",
        help="Measure the encoder that this index folder was written with.",
    )(command)
    return click.option(
        "--encoder",
        "model",
        metavar="MODEL",
        help="fast or accurate (in the package), hash, a folder, or a sentence-transformers name. "
        "Default: the settings' encoder.model (auto: accurate).",
    )(command)


def columns_option(names: str) -> Callable[[F], F]:
    """`--columns A,B,C` for a command that reads these columns."""
    return click.option(
        "--columns",
        metavar="A,B,...",
        help=f"Which columns hold {names}: numbers from 1, or names in a TSV's first line or of JSON keys. "
        f"Default: a TSV's first ones, without a header; the JSON keys {names}.",
    )


def split_columns(columns: str | None) -> list[str] | None:
    """The value of `--columns` as a list."""
    return None if columns is None else [column.strip() for column in columns.split(",")]


def the_encoder(
    model: str | None,
    index_path: str | None,
    device: str | None,
    config: str | None,
    changes: Sequence[str],
) -> Encoder:
    """The encoder that the options name, opened. Raises ConfigError when both MODEL and INDEX are given."""
    from indexer.collections import encoder_of
    from indexer.encoders.opening import open_encoder
    from indexer.written_encoder import reopened

    every = load(Settings, config, changes)
    settings = every.encoder
    place = device or settings.device
    if index_path is None:
        return open_encoder(
            model or settings.model,
            device=place,
            batch_size=settings.batch_size,
            query_prompt=settings.query_prompt,
            passage_prompt=settings.passage_prompt,
            neutral=settings.neutral,
        )
    if model is not None:
        raise ConfigError(
            f"--encoder {model} and -i {index_path} both name an encoder; give one of them"
        )
    entry = encoder_of(index_path, every.elasticsearch)
    encoder = reopened(entry, place, settings.batch_size)
    if encoder.fingerprint != entry.fingerprint:
        raise ConfigError(
            f"-i {index_path}: written with {entry.name} of fingerprint {entry.fingerprint}, but that model "
            f"now has {encoder.fingerprint}; build the index again, or name the old model with --encoder"
        )
    return encoder


def model_name(
    model: str | None, index_path: str | None, config: str | None, changes: Sequence[str]
) -> str:
    """What `open_encoder` takes to open that encoder again: an index that is written keeps it."""
    from indexer.collections import encoder_of

    settings = load(Settings, config, changes)
    if index_path is not None:
        return encoder_of(index_path, settings.elasticsearch).model
    return model or settings.encoder.model


def emit(
    as_json: bool,
    measure: str,
    encoder: Encoder | None,
    data: Iterable[DataFile],
    result: Any,
    text: str,
    **settings: Any,
) -> None:
    """Print what was found: for programs with everything that was measured, for people `text`."""
    if not as_json:
        click.echo(text)
        return
    report: dict[str, Any] = {"measure": measure}
    if encoder is not None:
        report["encoder"] = {
            "name": encoder.name,
            "fingerprint": encoder.fingerprint,
            "dim": encoder.dim,
        }
    report["data"] = [dataclasses.asdict(file) for file in data]
    report["settings"] = settings
    report["result"] = _plain(result)
    click.echo(json.dumps(report, ensure_ascii=False, indent=1))


def percent(value: float | None, digits: int = 2) -> str:
    """A share as per cent; `-` for none."""
    return "-" if value is None else f"{100 * value:.{digits}f}"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value
