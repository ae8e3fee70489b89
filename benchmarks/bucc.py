"""A BUCC-style set from newstest: true English-Czech pairs hidden among sentences without a partner.

    python -m benchmarks.bucc FOLDER        (data: the folder in TANDEM_DATA, or ../shared/data)

Writes cs-en.training.{cs,en,gold} and cs-en.test.{cs,en,gold}, in the shared task's format. The test pairs
come from newstest2018 and 2019; sentences without a partner from every year: where a split has the Czech
side of such a pair, it has not its English side. The same seed gives the same bytes.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from configs.errors import DocumentError, TandemError
from eval.sentences.tables import lines, read_rows

__all__ = ["Sizes", "make"]

SEED = 2018
OTHERS = (
    "de",
    "es",
    "fr",
    "hi",
    "it",
    "ja",
    "pl",
    "ru",
    "tr",
    "zh",
)  # their English has no Czech partner here
HIDING = "newstest2008-2017"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Pairs and, on each side, sentences without a partner, of both splits."""

    test_pairs: int = 1000
    test_others: int = 20_000
    training_pairs: int = 500
    training_others: int = 9_000


def make(data: Path, folder: Path, sizes: Sizes | None = None, seed: int = SEED) -> dict[str, int]:
    """Write the six files; returns lines by file name. Raises DocumentError when data is missing."""
    sizes = sizes or Sizes()
    chance = random.Random(seed)
    recent = _unique(_recent(data))
    old = _unique(_old(data, "cs"), without=recent)
    chance.shuffle(recent)
    chance.shuffle(old)
    cut, end = sizes.test_pairs, sizes.test_pairs + sizes.training_pairs
    gold, rest = recent[:end], recent[end:] + old
    first = rest[
        : sizes.test_others
    ]  # their Czech hides test pairs, and their English training pairs
    second = rest[sizes.test_others : sizes.test_others + sizes.training_others]
    used = {_key(en) for en, _ in gold[:cut] + first}
    english = [en for en in _others(rest[sizes.test_others :], data) if _key(en) not in used]
    chance.shuffle(english)
    hidden = {
        "test": ([cs for _, cs in first], english[: sizes.test_others]),
        "training": ([cs for _, cs in second], [en for en, _ in first[: sizes.training_others]]),
    }
    wanted = {"test": sizes.test_others, "training": sizes.training_others}
    for split, sides in hidden.items():
        if min(map(len, sides)) < wanted[split]:
            raise DocumentError(
                f"{data}: {len(sides[0])} Czech and {len(sides[1])} English sentences without a partner "
                f"for the {split} split, but {wanted[split]} of each are wanted"
            )
    folder.mkdir(parents=True, exist_ok=True)
    return _write(folder, "test", gold[:cut], *hidden["test"], chance) | _write(
        folder, "training", gold[cut:], *hidden["training"], chance
    )


def _write(
    folder: Path,
    split: str,
    gold: list[tuple[str, str]],
    czech: list[str],
    english: list[str],
    chance: random.Random,
) -> dict[str, int]:
    sides = {"en": [en for en, _ in gold] + english, "cs": [cs for _, cs in gold] + czech}
    numbers: dict[str, list[str]] = {}
    written = {}
    for lang, sentences in sides.items():
        order = list(range(len(sentences)))
        chance.shuffle(order)
        ids = {place: f"{lang}-{number:09d}" for number, place in enumerate(order, start=1)}
        numbers[lang] = [ids[place] for place in range(len(gold))]
        text = "".join(f"{ids[place]}\t{sentences[place]}\n" for place in order)
        (folder / f"cs-en.{split}.{lang}").write_bytes(text.encode("utf-8"))
        written[f"cs-en.{split}.{lang}"] = len(sentences)
    answers = sorted(zip(numbers["cs"], numbers["en"], strict=True))
    text = "".join(f"{cs}\t{en}\n" for cs, en in answers)
    (folder / f"cs-en.{split}.gold").write_bytes(text.encode("utf-8"))
    return written | {f"cs-en.{split}.gold": len(answers)}


def _recent(data: Path) -> Iterator[tuple[str, str]]:
    for name in ("newstest2018.cs-en", "newstest2019.en-cs"):
        for row in read_rows(data / "dev" / "newstest" / f"{name}.tsv.gz", ("en", "cs")):
            yield row.values[0], row.values[1]


def _old(data: Path, lang: str) -> Iterator[tuple[str, str]]:
    file = data / "parallel-restricted" / f"en-{lang}.tsv.xz"
    for _, line in lines(file) if file.is_file() else ():
        source, _, pair = line.partition("\t")
        english, tab, other = pair.partition("\t")
        if source == HIDING and tab:
            yield english, other


def _others(left: list[tuple[str, str]], data: Path) -> list[str]:
    """English without a Czech partner: of pairs that are left, and of newstest in other languages."""
    return list({_key(en): en for en in (*(en for en, _ in left), *_other_english(data))}.values())


def _other_english(data: Path) -> Iterator[str]:
    for lang in OTHERS:
        for file in sorted((data / "dev" / "newstest").glob(f"newstest*.{lang}-en.tsv.gz")):
            for row in read_rows(file, ("en", lang)):
                yield row.values[0]
        for english, _ in _old(data, lang):
            yield english


def _unique(
    pairs: Iterator[tuple[str, str]], without: list[tuple[str, str]] | None = None
) -> list[tuple[str, str]]:
    """Pairs of which neither side has stood before."""
    seen = {_key(text) for pair in without or [] for text in pair}
    kept = []
    for pair in pairs:
        keys = {_key(text) for text in pair}
        if not keys & seen and all(keys):
            kept.append(pair)
            seen |= keys
    return kept


def _key(text: str) -> str:
    """A text as far as letters and digits go: two that differ in quotation marks are one."""
    return "".join(c for c in text.casefold() if c.isalnum())


@click.command(
    epilog="Example: python -m benchmarks.bucc bucc && tandem eval bitext bucc bucc/cs-en.test"
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), help="Default: TANDEM_DATA, or ../shared/data."
)
@click.option("--seed", default=SEED, show_default=True)
def main(folder: Path, data: Path | None, seed: int) -> None:
    """Write the set into FOLDER."""
    root = Path(__file__).resolve().parent.parent
    place = data or Path(os.environ.get("TANDEM_DATA", root.parent / "shared" / "data"))
    try:
        for name, count in make(place, folder, seed=seed).items():
            click.echo(f"{name}\t{count}")
    except TandemError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
