"""The command `tandem eval tune`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from configs.errors import ConfigError
from configs.options import json_option
from configs.progress import progress_bar
from eval.cli import command_line
from eval.cli_options import (
    Asked,
    Bench,
    judgment_options,
    open_bench,
    open_retriever,
    ranked,
    say,
)

if TYPE_CHECKING:
    from configs.settings import FusionSettings, SearchSettings
    from eval.ranking.metrics import Measure
    from eval.ranking.tuning import Candidate, Tuned
    from retriever.retriever import Retriever

__all__ = ["tune"]

GATES = {"current": "the current settings", "lexical": "words alone", "dense": "meaning alone"}


@click.command(
    epilog="Example: tandem eval tune qrels.txt --queries queries.jsonl -i demo.index -o tuned.yaml && "
    "tandem serve -i demo.index --config tuned.yaml"
)
@judgment_options
@click.option("-o", "--out", metavar="FILE", help="Where the YAML profile goes. Default: stdout.")
@click.option(
    "--folds",
    default=5,
    show_default=True,
    type=click.IntRange(2),
    help="Folds of the cross-validation over queries.",
)
@click.option(
    "--seed", default=0, show_default=True, help="Random seed for assigning queries to folds."
)
@click.option(
    "--write-anyway", is_flag=True, help="Write the profile even where it is no win; it says so."
)
@json_option
@click.pass_context
def tune(
    ctx: click.Context,
    asked: Asked,
    out: str | None,
    folds: int,
    seed: int,
    write_anyway: bool,
    as_json: bool,
) -> None:
    """Choose the fusion from judgments: method, weights, and weights for single languages.

    Cross-validated over queries by the first measure. It is a win when, on queries that were held out,
    the whole interval of the gain over the current settings lies above 0 and the result is not below
    what words alone or meaning alone reach. Without a win no profile is written and the exit code is 1.
    """
    from eval.ranking.relevance import measures_for
    from eval.ranking.remembered_pools import RememberedPools
    from eval.ranking.tuning import candidates
    from eval.ranking.tuning import tune as choose
    from retriever.retriever import Retriever

    if asked.index_path is None:
        raise click.UsageError("name the index to tune on with -i INDEX")
    opened = open_retriever(asked.index_path, asked.config, asked.changes)
    retriever = Retriever(RememberedPools(opened.collection), opened.settings)
    bench = open_bench(asked, retriever)
    first = next(iter(measures_for(bench.judgments, asked.task, asked.measures).items()))
    grid = candidates(retriever.settings.fusion, len(retriever.collection.facts.languages) > 1)
    table, gates = _measured(retriever, bench, grid, first, asked)
    tuned = choose(table, gates, bench.languages, folds, seed)
    found = _record(tuned, table, grid[0], first[0])
    found |= {"queries": len(bench.languages), "candidates": len(grid), "folds": folds}
    profile = _profile(tuned, retriever.settings, found)
    win = tuned.is_win
    for note in (*bench.judgments.notes, *(bench.known.notes if bench.known else ())):
        say(f"Note: {note}")
    click.echo(json.dumps(found, indent=1) if as_json else _text(found))
    if not win and not write_anyway:
        say("Error: no win, so no profile was written (--write-anyway writes it)")
        ctx.exit(1)
    if out is None:
        if not as_json:
            click.echo(profile, nl=False)
        return
    try:
        Path(out).write_text(profile, "utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"-o {out}: cannot be written: {error}") from error
    say(
        f"profile written to {out}; use it with: tandem search QUERY -i {asked.index_path} --config {out}"
    )


def _measured(
    retriever: Retriever,
    bench: Bench,
    grid: list[Candidate],
    first: tuple[str, Measure],
    asked: Asked,
) -> tuple[dict[Candidate, dict[str, float]], dict[str, dict[str, float]]]:
    """Every candidate's value on every query, and the gates'."""
    from eval.ranking.relevance import measure_system
    from eval.ranking.tuning import settings_of

    def values(settings: SearchSettings) -> dict[str, float]:
        run = ranked(retriever.with_settings(settings), bench, asked, "")
        system = measure_system("", asked.task, run, bench.judgments, dict([first]))
        return dict(system.values[first[0]])

    base = retriever.settings
    table = {}
    with progress_bar("searching", len(grid) + 2) as step:
        for entry in grid:
            table[entry] = values(
                dataclasses.replace(
                    base, mode="hybrid", fusion=_with(base.fusion.weights, settings_of(entry))
                )
            )
            step(1)
        gates = {"current": values(base)}
        modes: tuple[Any, ...] = ("lexical", "dense")
        for mode in modes:
            gates[mode] = values(dataclasses.replace(base, mode=mode))
            step(1)
    return table, gates


def _with(weights: Mapping[str, float], fusion: FusionSettings) -> FusionSettings:
    """The candidate with the weights of `learned` that the settings name, which are not tuned here."""
    return dataclasses.replace(fusion, weights=weights)


def _record(
    tuned: Tuned, table: dict[Candidate, dict[str, float]], current: Candidate, measure: str
) -> dict[str, Any]:
    """The outcome in figures, for programs and for the two texts."""

    def mean(values: Any) -> float:
        return float(sum(values) / len(values))

    choices = [dataclasses.asdict(choice.settings()) for choice in tuned.folds]
    best = sorted(table, key=lambda entry: -mean(table[entry].values()))
    return {
        "measure": measure,
        "win": tuned.is_win,
        "below": tuned.failed,
        "chosen": dataclasses.asdict(tuned.choice.settings()),
        "held_out": mean(tuned.held_out.values()),
        "against": {name: dataclasses.asdict(pair) for name, pair in tuned.against.items()},
        "chosen_in_folds": choices,
        "best": [
            {**dataclasses.asdict(entry), "mean": mean(table[entry].values())}
            for entry in best[:10]
        ],
    }


def _text(found: dict[str, Any]) -> str:
    from configs.tables import markdown_table
    from eval.ranking.statistics import shown_p

    rows = []
    for name, pair in found["against"].items():
        gain = pair["difference"]
        rows.append(
            [
                GATES[name],
                f"{found['held_out'] - gain['mean']:.4f}",
                f"{gain['mean']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]",
                shown_p(pair["p_randomisation"]),
                f"{pair['wins']}/{pair['ties']}/{pair['losses']}",
            ]
        )
    header = ["held-out queries against", found["measure"], "gain", "p", "win/tie/loss"]
    return "\n".join(
        [
            f"{found['queries']} queries, {found['candidates']} candidates, {found['folds']} folds",
            f"held out: {found['measure']} {found['held_out']:.4f}",
            markdown_table(header, rows),
            f"chosen: {_flat(found['chosen'])}",
            *[f"fold {n}: {_flat(c)}" for n, c in enumerate(found["chosen_in_folds"], start=1)],
            f"verdict: {_verdict(found)}",
        ]
    )


def _flat(settings: dict[str, Any]) -> str:
    kept = {"method": settings["method"]}
    if settings["method"] == "rrf":
        kept["rrf_k"] = settings["rrf_k"]
    else:
        kept["lexical_weight"] = settings["lexical_weight"]
    if settings["language_weights"]:
        kept["language_weights"] = settings["language_weights"]
    return ", ".join(f"{key} {value}" for key, value in kept.items())


def _verdict(found: dict[str, Any]) -> str:
    if found["win"]:
        return "a win over the current settings"
    if found["below"]:
        return f"no win: below {' and '.join(GATES[name] for name in found['below'])}"
    return "no win: the interval of the gain over the current settings reaches 0"


def _profile(tuned: Tuned, base: SearchSettings, found: dict[str, Any]) -> str:
    """The YAML that `--config` takes: the fusion, and what else differs from the defaults."""
    from configs.settings import SearchSettings

    plain = dataclasses.asdict(SearchSettings())
    kept = {
        key: value
        for key, value in dataclasses.asdict(base).items()
        if value != plain[key] and key not in ("mode", "fusion")
    }
    fusion = dataclasses.asdict(_with(base.fusion.weights, tuned.choice.settings()))
    values = {"search": {**kept, "mode": "hybrid", "fusion": fusion}}
    comment = [
        command_line(),
        f"{found['measure']} on held-out queries: {found['held_out']:.4f} ({_verdict(found)})",
    ]
    head = "".join(f"# {line}\n" for line in comment)
    return head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
