"""`tandem train catalogues`."""

from __future__ import annotations

import json
import lzma
from collections import defaultdict
from pathlib import Path

import click

from configs.options import json_option
from configs.progress import progress_over

__all__ = ["catalogues"]


@click.command(
    epilog="Example: tandem train catalogues /usr/share/locale wesnoth/ freedict/ -o pairs --lang hu --lang fi"
)
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Folder to write to."
)
@click.option(
    "--lang", "langs", multiple=True, metavar="CODE", help="Only this language; may be repeated."
)
@click.option(
    "--most",
    default=8000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Pairs taken at most from each folder in each language, chosen at random.",
)
@json_option
def catalogues(
    folders: tuple[Path, ...], out: Path, langs: tuple[str, ...], most: int, as_json: bool
) -> None:
    """Make parallel corpora of the catalogues in FOLDERS, for `tandem train`.

    Read are compiled gettext messages (XX/LC_MESSAGES/*.mo), messages in JSON (XX.json beside en.json), dictionaries of
    FreeDict (eng-fin.dict.dz) and CLDR's annotations (XX/annotations.json). Written is en-XX.tsv.xz for each language:
    the folder's name, English, the other; and words of the texts as forms of those that a dictionary translates, by simplemma's
    dictionaries, under the name "forms". Read the licences of what you take: they come with what you train.
    """
    import numpy as np

    from indexer.text.languages import check
    from training.data.catalogues import inflected, read_catalogues

    check(langs)
    rng = np.random.default_rng(0)
    rows: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    left_out = 0
    with progress_over(folders, "reading") as steps:
        for folder in steps:
            found = read_catalogues(folder)
            left_out += found.left_out
            for language, pairs in found.pairs.items():
                if langs and language not in langs:
                    continue
                new = [pair for pair in pairs if pair not in rows[language]]
                chosen = np.sort(rng.permutation(len(new))[:most])
                rows[language].update((new[i], folder.resolve().name) for i in chosen)
    with progress_over(list(rows.items()), "inflected words") as steps:
        for language, taken in steps:
            for pair in inflected(list(taken), language):
                taken.setdefault(pair, "forms")
    out.mkdir(parents=True, exist_ok=True)
    counts = {language: len(rows[language]) for language in sorted(rows) if rows[language]}
    for language in counts:
        path = out / f"en-{language}.tsv.xz"
        unfinished = path.with_suffix(".part")  # what a kill leaves is no corpus
        with lzma.open(unfinished, "wt", encoding="utf-8") as file:
            for (english, other), source in rows[language].items():
                file.write(f"{source}\t{english}\t{other}\n")
        unfinished.replace(path)
    if as_json:
        click.echo(json.dumps({"out": str(out), "pairs": counts, "left_out": left_out}))
        return
    listed = ", ".join(
        f"{code} {count:,}" for code, count in sorted(counts.items(), key=lambda item: -item[1])
    )
    click.echo(f"{out}: {sum(counts.values()):,} pairs in {len(counts)} languages ({listed})")
    click.echo(f"{left_out:,} were left out: no texts, or not translated", err=True)
