"""`python -m benchmarks.papers`: the papers' methods trained on real text, and their tables beside the papers'.

Each row is a model that `tandem train` makes with a recipe that ships, at the scale of SCALES; each figure is what
`tandem eval` prints of it. A step that is done is not done again: stopped, the same command goes on. Finished rows are
kept in benchmarks/results/papers.json, and benchmarks/results/papers.md is made from them.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from benchmarks.collection import data_folder
from benchmarks.papers_bangla import Bangla
from benchmarks.papers_czech import Czech
from benchmarks.papers_multilingual import Multilingual
from benchmarks.papers_running import SCALES
from benchmarks.papers_sizes import Sizes
from configs.errors import TandemError

__all__ = ["PAPERS", "main"]

RESULTS = Path(__file__).parent / "results"
PAPERS: dict[str, type[Bangla] | type[Czech] | type[Multilingual] | type[Sizes]] = {
    "bangla": Bangla,
    "czech": Czech,
    "multilingual": Multilingual,
    "sizes": Sizes,
}


@click.command(epilog="Example: python -m benchmarks.papers czech --only RetroMAE --only distilled")
@click.argument("name", type=click.Choice(list(PAPERS)))
@click.option(
    "--only", multiple=True, metavar="ROW", help="Make these rows, and what they start from."
)
@click.option(
    "--scale",
    type=click.Choice(list(SCALES)),
    default="small",
    show_default=True,
    help="How much each row reads.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path("runs/papers"),
    show_default=True,
    help="Folder of models and texts.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Shared data.  [default: TANDEM_DATA, or ../shared/data]",
)
@click.option("--show", is_flag=True, help="Print the table of what is there, and make nothing.")
def main(
    name: str, only: tuple[str, ...], scale: str, work: Path, data: Path | None, show: bool
) -> None:
    """The table of a paper, made here: `czech` is Bednář et al. 2023, `multilingual` Reimers and Gurevych 2020,
    `bangla` BanglaEmbed 2024, `sizes` Small beside Base."""
    file = RESULTS / "papers.json"
    kept = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    paper = PAPERS[name]
    if not show:
        if unknown := set(only) - set(paper.rows):
            rows = ", ".join(paper.rows)
            raise click.UsageError(f"no row {sorted(unknown)[0]!r}; there are: {rows}")
        maker = paper(SCALES[scale], work / f"{name}-{scale}", data_folder(data))
        for row in paper.rows:
            if only and row not in only:
                continue
            figures = maker.measured(row)
            kept.setdefault(name, {}).setdefault(scale, {})[row] = figures
            file.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", "utf-8")
            click.echo(f"{row}: {json.dumps(figures)}", err=True)
    click.echo(paper.table(kept.get(name, {}).get(scale, {})))
    if not show:
        parts = [
            f"## {name}, scale {size}\n\n{PAPERS[name].table(found)}\n"
            for name, sizes in kept.items()
            for size, found in sizes.items()
        ]
        (RESULTS / "papers.md").write_text("\n".join(parts), "utf-8")


if __name__ == "__main__":
    try:
        main()
    except TandemError as error:
        raise SystemExit(f"Error: {error}") from None
