"""How each kind of parallel file is read: TSV (compressed or not), OPUS Moses pairs, Hugging Face sets."""

from __future__ import annotations

import glob
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from configs.errors import BackendError, ConfigError, DocumentError, MissingExtra
from configs.training_corpora import CorpusSettings
from indexer.text.compression import SUFFIXES, UNREADABLE, open_text

__all__ = ["BitextFile", "expand", "read_rows"]

LANGUAGES_IN_NAME = re.compile(r"(?<![a-z])([a-z]{2,3})[-_]([a-z]{2,3})(?![a-z])")


@dataclass(frozen=True, slots=True)
class BitextFile:
    """One file to read. `place` is what messages call it."""

    place: str
    kind: Literal["tsv", "moses", "hf"]
    target: str
    source: str
    columns: tuple[str, ...] = ()
    split: str = "train"

    @property
    def name(self) -> str:
        """What its pairs are called when no column names their source."""
        return self.place if self.kind == "hf" else Path(self.place).name.split(".")[0]


def expand(corpus: CorpusSettings, source: str) -> list[BitextFile]:
    """The files that `corpus.path` stands for, with their languages.

    Raises ConfigError when there is none, or when a language is neither given nor in the name.
    """
    path = corpus.path
    if path.startswith("hf:"):
        target = corpus.target or _language(path, source)
        return [BitextFile(path, "hf", target, source, corpus.columns, corpus.split)]
    matches = sorted(glob.glob(path))  # noqa: PTH207 - the pattern may be absolute
    if path.endswith(".zip") and matches:
        return [
            BitextFile(m, "moses", corpus.target or _language(m, source), source) for m in matches
        ]
    if matches:
        return [
            BitextFile(m, "tsv", corpus.target or _language(m, source), source) for m in matches
        ]
    target = corpus.target or _language(path, source)
    if _moses_side(path, source) and _moses_side(path, target):
        return [BitextFile(path, "moses", target, source)]
    raise ConfigError(
        f"corpora.files: {path}: no such file, and no pair {path}.{source} and {path}.{target}"
    )


def _language(path: str, source: str) -> str:
    """The other language in a name such as en-cs.tsv.xz or Tatoeba.cs-en."""
    for first, second in LANGUAGES_IN_NAME.findall(path.rsplit("/", 1)[-1]):
        if source in (first, second):
            return str(second if first == source else first)
    raise ConfigError(
        f"corpora.files: {path}: the name does not tell the language beside {source}; set target"
    )


def read_rows(file: BitextFile) -> Iterator[tuple[str, list[str]]]:
    """(place, columns) of each row, as they stand. Raises DocumentError for a file that is no text."""
    try:
        if file.kind == "tsv":
            yield from _tsv(file.place)
        elif file.kind == "moses":
            yield from _moses(file)
        else:
            yield from _hugging_face(file)
    except (UnicodeDecodeError, zipfile.BadZipFile, *UNREADABLE) as error:
        raise DocumentError(
            f"{file.place}: cannot be read ({error}); is the file whole?"
        ) from error


def _tsv(path: str) -> Iterator[tuple[str, list[str]]]:
    with open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            yield f"line {number}", line.rstrip("\r\n").split("\t")


def _moses_side(path: str, language: str) -> str:
    for name in (f"{path}.{language}{suffix}" for suffix in ("", *SUFFIXES)):
        if Path(name).is_file():
            return name
    return ""


def _moses(file: BitextFile) -> Iterator[tuple[str, list[str]]]:
    with _moses_files(file) as (first, second):
        number = 0
        while True:
            number += 1
            left, right = first.readline(), second.readline()
            if not left and not right:
                return
            if not left or not right:
                side = file.source if not left else file.target
                raise DocumentError(
                    f"{file.place}: the {side} side ends at line {number - 1} before the other; "
                    "Moses files go line by line"
                )
            yield f"line {number}", [left.rstrip("\r\n"), right.rstrip("\r\n")]


class _moses_files:  # noqa: N801 - reads as a function in `with`
    """Both sides of a Moses pair, opened, from files or from OPUS's zip."""

    def __init__(self, file: BitextFile) -> None:
        self._file = file
        self._open: list[IO[str] | zipfile.ZipFile] = []

    def __enter__(self) -> tuple[IO[str], IO[str]]:
        sides: list[IO[str]] = []
        if not self._file.place.endswith(".zip"):
            for language in (self._file.source, self._file.target):
                sides.append(open_text(_moses_side(self._file.place, language)))
        else:
            archive = zipfile.ZipFile(self._file.place)
            self._open.append(archive)
            for language in (self._file.source, self._file.target):
                inside = [name for name in archive.namelist() if name.endswith(f".{language}")]
                if len(inside) != 1:
                    raise DocumentError(
                        f"{self._file.place}: one file ending .{language} is expected, not {len(inside)}"
                    )
                sides.append(io.TextIOWrapper(archive.open(inside[0]), "utf-8", newline="\n"))
        self._open.extend(sides)
        return sides[0], sides[1]

    def __exit__(self, *_: object) -> None:
        for opened in reversed(self._open):
            opened.close()


def _hugging_face(file: BitextFile) -> Iterator[tuple[str, list[str]]]:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra("datasets", "train", f"the data set {file.place}") from error
    _, name, *config = file.place.split(":")
    try:
        rows = datasets.load_dataset(name, *config, split=file.split)
    except Exception as error:  # the library raises dozens of kinds, all of them "not available"
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BackendError(f"{file.place}: the data set cannot be loaded ({first})") from error
    for number, row in enumerate(rows, start=1):
        yield f"row {number}", _sides(row, file)


def _sides(row: dict[str, object], file: BitextFile) -> list[str]:
    """Both texts of a row: given columns, `translation: {en, cs}`, en/cs, or english/non_english."""
    inner = row.get("translation")
    fields = {**row, **inner} if isinstance(inner, dict) else row
    for names in _column_names(file):
        if all(name in fields for name in names):
            return [str(fields[name] or "") for name in names]
    raise DocumentError(
        f"{file.place}: no columns for {file.source} and {file.target} among {', '.join(sorted(fields))}; set columns"
    )


def _column_names(file: BitextFile) -> Sequence[tuple[str, ...]]:
    if file.columns:
        return [file.columns]
    return [
        (file.source, file.target),
        (f"sentence_{file.source}", f"sentence_{file.target}"),
        ("english", "non_english"),
    ]
