"""The command `tandem eval fit`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
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
    from eval.ranking.fusion_fit import JudgedPool
    from eval.ranking.metrics import Measure
    from retriever.learned_fusion import Weights
    from retriever.retriever import Retriever

__all__ = ["fit"]

MODES: Mapping[str, Any] = {"words alone": "lexical", "meaning alone": "dense"}


@click.command(
    epilog="Example: tandem eval fit qrels.txt --queries queries.jsonl -i notes.index -o fusion.yaml && "
    "tandem serve -i notes.index --config fusion.yaml"
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
def fit(
    ctx: click.Context,
    asked: Asked,
    out: str | None,
    folds: int,
    seed: int,
    write_anyway: bool,
    as_json: bool,
) -> None:
    """Fit the learned fusion to an index: what each signal says of the probability that a passage answers.

    For an index whose encoder is not one of the package, which has no fitted fusion, or to adapt one that has. A fifth of the
    queries at a time is held out, and the profile is written when the interval of the gain over the current
    settings lies above 0 on those, and the result is not below words alone or meaning alone. Otherwise the exit
    code is 1.
    """
    from eval.ranking.fusion_fit import Part, judged_pools
    from eval.ranking.fusion_fit import fit as fitted
    from eval.ranking.relevance import measures_for
    from eval.ranking.remembered_pools import RememberedPools
    from retriever.learned_fusion import named_weights
    from retriever.retriever import Retriever

    if asked.index_path is None:
        raise click.UsageError("name the index to fit on with -i INDEX")
    opened = open_retriever(asked.index_path, asked.config, asked.changes)
    retriever = Retriever(RememberedPools(opened.collection), opened.settings)
    bench = open_bench(asked, retriever)
    name, measure = next(iter(measures_for(bench.judgments, asked.task, asked.measures).items()))
    texts = {query: entry.text for query, entry in bench.judgments.queries.items()}
    pools = judged_pools(retriever, texts, bench.judgments.qrels, retriever.settings.pool)
    values = _values(retriever, bench, asked, pools, (name, measure), folds, seed)
    found = {"measure": name, "queries": len(texts), "folds": folds} | _compared(values)
    weights = named_weights(fitted([Part(pools)]))
    found["weights"] = weights
    for note in bench.judgments.notes:
        say(f"Note: {note}")
    click.echo(json.dumps(found, indent=1) if as_json else _text(found))
    if not found["win"] and not write_anyway:
        say("Error: no win, so no profile was written (--write-anyway writes it)")
        ctx.exit(1)
    profile = _profile(found, weights)
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


def _values(
    retriever: Retriever,
    bench: Bench,
    asked: Asked,
    pools: Sequence[JudgedPool],
    measure: tuple[str, Measure],
    folds: int,
    seed: int,
) -> dict[str, dict[str, float]]:
    """System -> query -> value: the fit on queries that it did not see, and what it is compared with."""
    from eval.ranking.fusion_fit import Part
    from eval.ranking.fusion_fit import fit as fitted
    from eval.ranking.relevance import measure_system
    from eval.ranking.tuning import folds_of

    def values(searching: Retriever) -> dict[str, float]:
        run = ranked(searching, bench, asked, "")
        system = measure_system("", asked.task, run, bench.judgments, dict([measure]))
        return dict(system.values[measure[0]])

    base = retriever.settings
    found: dict[str, dict[str, float]] = {"fitted": {}}
    parts = folds_of(bench.languages, folds, seed)
    with progress_bar("searching", len(parts) + 1 + len(MODES)) as step:
        for held_out in parts:
            rest = [pool for pool in pools if pool.query not in set(held_out)]
            mine = values(with_weights(retriever, fitted([Part(rest)])))
            found["fitted"] |= {query: mine[query] for query in held_out}
            step(1)
        found["the current settings"] = values(retriever)
        step(1)
        for label, mode in MODES.items():
            found[label] = values(retriever.with_settings(dataclasses.replace(base, mode=mode)))
            step(1)
    return found


def with_weights(retriever: Retriever, weights: Weights) -> Retriever:
    """The retriever with the learned fusion of these weights."""
    from retriever.learned_fusion import named_weights

    base = retriever.settings
    fusion = dataclasses.replace(base.fusion, method="learned", weights=named_weights(weights))
    return retriever.with_settings(dataclasses.replace(base, mode="hybrid", fusion=fusion))


def _compared(values: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    from eval.ranking.statistics import paired

    fitted = values["fitted"]
    order = sorted(fitted)
    mine = [fitted[query] for query in order]
    against = {
        name: dataclasses.asdict(paired([theirs[query] for query in order], mine))
        for name, theirs in values.items()
        if name != "fitted"
    }
    below = [name for name, pair in against.items() if pair["difference"]["high"] < 0]
    win = not below and against["the current settings"]["difference"]["low"] > 0
    return {"held_out": sum(mine) / len(mine), "against": against, "below": below, "win": win}


def _text(found: dict[str, Any]) -> str:
    from configs.tables import markdown_table
    from eval.ranking.statistics import shown_p

    rows = []
    for name, pair in found["against"].items():
        gain = pair["difference"]
        rows.append(
            [
                name,
                f"{found['held_out'] - gain['mean']:.4f}",
                f"{gain['mean']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]",
                shown_p(pair["p_randomisation"]),
                f"{pair['wins']}/{pair['ties']}/{pair['losses']}",
            ]
        )
    header = ["held-out queries against", found["measure"], "gain", "p", "win/tie/loss"]
    return "\n".join(
        [
            f"{found['queries']} queries, {found['folds']} folds",
            f"held out: {found['measure']} {found['held_out']:.4f}",
            markdown_table(header, rows),
            f"verdict: {_verdict(found)}",
        ]
    )


def _verdict(found: dict[str, Any]) -> str:
    if found["win"]:
        return "a win over the current settings"
    if found["below"]:
        return f"no win: below {' and '.join(found['below'])}"
    return "no win: the interval of the gain over the current settings reaches 0"


def _profile(found: dict[str, Any], weights: dict[str, float]) -> str:
    """The YAML that `--config` takes."""
    rounded = {name: round(value, 4) for name, value in weights.items()}
    values = {"search": {"mode": "hybrid", "fusion": {"method": "learned", "weights": rounded}}}
    comment = [
        command_line(),
        f"{found['measure']} on held-out queries: {found['held_out']:.4f} ({_verdict(found)})",
    ]
    head = "".join(f"# {line}\n" for line in comment)
    return head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
