"""The commands `tandem search` and `tandem analyze`."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from configs.errors import ConfigError, DocumentError
from configs.options import config_options, index_option, json_option

if TYPE_CHECKING:
    from indexer.schema import Hit, Mode, Where
    from indexer.text.topics import Topic
    from retriever.hits import Hits
    from retriever.search_index import SearchIndex

__all__ = ["analyze", "search"]

_VALUES = 10  # values of a field that are shown with their counts
_UNRANKED = {"dense": "not in its list", "lexical": "not in its list", "alignment": ""}
_BATCH = 256  # queries of a file that are encoded together


@click.command(
    epilog="Example: tandem search 'nemocnice v Praze' -i demo.index --explain   "
    "Many at once: tandem search -i demo.index --queries queries.tsv --json > hits.jsonl"
)
@click.argument("query", required=False)
@index_option
@click.option("-k", "k", type=click.IntRange(min=1), help="Hits wanted.  [default: 10]")
@click.option(
    "--mode",
    type=click.Choice(["hybrid", "dense", "lexical"]),
    help="By words and meaning, by meaning, or by words.  [default: hybrid]",
)
@click.option(
    "--lang",
    "langs",
    multiple=True,
    metavar="CODE",
    help="Only documents in this language; may be repeated.",
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=VALUE",
    help="Only documents with this field value; may be repeated.",
)
@click.option(
    "--where",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help="Only documents for which this holds, for example 'date>=1880 and newspaper=Zeit'; may be repeated. "
    "With =, !=, <, <=, >, >=, in (...), and, or, not.",
)
@click.option(
    "--sort",
    metavar="FIELD",
    help="Show the best 100 hits (search.pool) in the order of a field; descending: -FIELD.  [default: by score]",
)
@click.option(
    "--facet",
    "facets",
    multiple=True,
    metavar="FIELD",
    help="Count the values of a field among the best 100 hits (search.pool); may be repeated.",
)
@click.option(
    "--queries",
    metavar="FILE",
    help="Search every query of a file: JSON lines (_id, text), id TAB query, or one a line; compressed or "
    "not; - is standard input.",
)
@click.option(
    "--like",
    metavar="ID",
    help="In place of QUERY: the documents nearest to this one by meaning, in every language.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Show each signal's score, rank and share, and the word of the hit that answers each word.",
)
@click.option(
    "--literal",
    is_flag=True,
    help="Take all of QUERY as text, and put no word right.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["csv", "trec"]),
    help="csv: a table of the hits for a spreadsheet, the documents' fields among its columns. trec: with --queries, "
    "a run that trec_eval and tandem eval read.",
)
@json_option
@config_options
def search(
    query: str | None,
    index_path: str,
    k: int | None,
    mode: Mode | None,
    langs: tuple[str, ...],
    fields: tuple[str, ...],
    conditions: tuple[str, ...],
    sort: str | None,
    facets: tuple[str, ...],
    queries: str | None,
    like: str | None,
    explain: bool,
    literal: bool,
    kind: str | None,
    as_json: bool,
    config: str | None,
    changes: tuple[str, ...],
) -> None:
    """Search an index, in any language, for documents in every language.

    QUERY may hold phrases, exclusions, languages, titles and fields: '"great fire" -docks lang:cs title:požár'. What
    only looks like that is text, and so are the queries of a file.

    With --json each hit is a line of JSON; for many queries the line also names its query.
    """
    _refuse_together(
        query, queries, like, kind, as_json, bool(sort or facets), bool(mode or literal)
    )
    from configs.load import load
    from configs.settings import Settings
    from retriever.search_index import open_index

    settings = load(Settings, config, changes)
    where = _condition(langs, fields, conditions)
    index = open_index(index_path, settings=settings)
    if note := index.retriever.collection.facts.note:
        click.echo(note, err=True)
    asked = _Asked(index, k, mode, where, kind, as_json, explain)
    if like is not None:
        _search_like(asked, like)
    elif query is not None:
        if _is_terminal() and not as_json and kind is None:
            _search_at_once(asked, query, sort, facets, literal)
        else:
            _search_one(asked, query, sort, facets, literal)
    elif queries is not None:
        _search_file(asked, queries)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of which index, and how it is to be printed."""

    index: SearchIndex
    k: int | None
    mode: Mode | None
    where: Where
    kind: str | None
    as_json: bool
    explain: bool


def _refuse_together(
    query: str | None,
    queries: str | None,
    like: str | None,
    kind: str | None,
    as_json: bool,
    sorts: bool,
    reads: bool,
) -> None:
    """UsageError for options that do not go together; `sorts`: --sort or --facet, `reads`: --mode or --literal is given."""
    if sum(given is not None for given in (query, queries, like)) != 1:
        raise click.UsageError("give a QUERY, --queries FILE or --like ID")
    if kind is not None and as_json:
        raise click.UsageError("give --json or --format, not both")
    if (kind == "trec") > (queries is not None) or (kind == "csv") > (queries is None):
        raise click.UsageError(
            "--format csv is for one QUERY or --like, --format trec for --queries"
        )
    if like is not None and (sorts or reads):
        raise click.UsageError(
            "--like goes by meaning: without --mode, --sort, --facet and --literal"
        )
    if queries is not None and sorts:
        raise click.UsageError("--sort and --facet are for one QUERY")


def _condition(
    langs: tuple[str, ...], fields: tuple[str, ...], conditions: tuple[str, ...]
) -> Where:
    """What --lang, --field and --where say together."""
    from indexer.schema import AllOf, Where
    from indexer.text.conditions import parse_condition

    pairs = [field.partition("=") for field in fields]
    if any(not equals for _, equals, _ in pairs):
        raise click.UsageError("--field: write it as NAME=VALUE")
    parsed = tuple(parse_condition(text) for text in conditions)
    return Where(
        frozenset(langs),
        {name: value for name, _, value in pairs},
        AllOf(parsed) if parsed else None,
    )


def _search_like(asked: _Asked, like: str) -> None:
    from retriever.export import exported
    from retriever.hits import record

    started = time.perf_counter()
    hits = asked.index.similar(like, asked.k, asked.where)
    seconds = time.perf_counter() - started
    if asked.as_json:
        for hit in hits:
            line = {"like": like, **record(hit, hits.query, asked.explain)}
            click.echo(json.dumps(line, ensure_ascii=False))
    elif asked.kind == "csv":
        click.echo(exported(hits.query, hits, hits.floor, asked.kind), nl=False)
    else:
        _print(hits, hits.query, asked.explain)
        click.echo(f"{_found(hits)} in {1000 * seconds:.0f} ms", err=True)


def _search_one(
    asked: _Asked, query: str, sort: str | None, facets: tuple[str, ...], literal: bool
) -> None:
    from retriever.export import exported
    from retriever.hits import record

    index, mode, where = asked.index, asked.mode, asked.where
    read = index.retriever.parsed(query, where, literal)
    index.retriever.check(read.text, mode, read.where)
    started = time.perf_counter()
    hits = index.search(query, asked.k, mode, where, sort=sort, literal=literal)
    seconds = time.perf_counter() - started
    counts = index.facets(query, *facets, mode=mode, where=where) if facets else {}
    if asked.as_json:
        for hit in hits:
            line = record(hit, query, asked.explain, hits.is_close(hit))
            click.echo(json.dumps(line, ensure_ascii=False))
        if facets:
            click.echo(json.dumps({"query": query, "facets": counts}, ensure_ascii=False))
    elif asked.kind == "csv":
        click.echo(exported(query, hits, hits.floor, asked.kind), nl=False)
    else:
        _print_one(asked, hits, counts, seconds)


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _search_at_once(
    asked: _Asked, query: str, sort: str | None, facets: tuple[str, ...], literal: bool
) -> None:
    """The hits for a person, who does not wait for dictionaries that this machine has not prepared yet: they are prepared
    when the hits have been read. A program gets the whole search, however long the first one takes."""
    from indexer.text import prepare_dictionary, without_waiting
    from indexer.text.languages import name

    with without_waiting() as left:
        _search_one(asked, query, sort, facets, literal)
    if not left:
        return
    click.echo(
        f"Without the {'dictionaries' if len(left) > 1 else 'dictionary'} of {len(left)} "
        f"language{'s' if len(left) > 1 else ''} for once; prepared now, for later searches (Ctrl-C to leave it):",
        err=True,
    )
    for lang in sorted(left):
        click.echo(f"  {name(lang)}", err=True)
        prepare_dictionary(lang)
    click.echo("Done: from now on a search finds the other forms of its words.", err=True)


def _print_one(
    asked: _Asked, hits: Hits, counts: Mapping[str, Mapping[str, int]], seconds: float
) -> None:
    """The hits of one query for a person; what was made of it, and how long it took, on standard error."""
    from retriever.hits import missing_signals, printable

    if hits.syntax:
        click.echo(
            printable(f"Read as syntax: {'  '.join(hits.syntax)} (--literal: as text)"), err=True
        )
    if hits.corrected:
        note = f"Showing results for: {hits.searched} (--literal: as typed)"
        click.echo(printable(note), err=True)
    _print(hits, hits.searched, asked.explain)
    for name, values in counts.items():
        most = ", ".join(f"{value} {n}" for value, n in list(values.items())[:_VALUES])
        more = f" and {len(values) - _VALUES} more" if len(values) > _VALUES else ""
        click.echo(printable(f"{name}: {most or 'none'}{more}"))
    for signal in missing_signals(hits, asked.mode or asked.index.settings.search.mode):
        by = "words" if signal == "lexical" else "meaning"
        click.echo(f"The search by {by} did not answer; the hits are the other's alone", err=True)
    click.echo(f"{_found(hits)} in {1000 * seconds:.0f} ms", err=True)


def _search_file(asked: _Asked, queries: str) -> None:
    """The hits of each query of a file, a line each; one that cannot be asked is passed over, and the exit code says so."""
    index, mode, where = asked.index, asked.mode, asked.where
    refused = 0
    for batch in _batches(queries):
        good = []
        for topic in batch:
            try:
                index.retriever.check(topic.text, mode, where)
                good.append((topic.id, topic.text))
            except ConfigError as error:
                refused += 1
                place = "standard input" if queries == "-" else queries
                click.echo(f"passed over: {place}:{topic.line}: {error}", err=True)
        found = index.search_many([text for _, text in good], asked.k, mode, where)
        for (name, text), hits in zip(good, found, strict=True):
            for hit in hits:
                if asked.kind == "trec":
                    click.echo(_run_line(hit, name))
                else:
                    click.echo(_json_line(hit, name, text) if asked.as_json else _line(hit, name))
    if refused:
        noun = "query" if refused == 1 else "queries"
        click.echo(f"Error: {refused:,} {noun} passed over; the others are searched", err=True)
        click.get_current_context().exit(1)


def _json_line(hit: Hit, name: str, query: str) -> str:
    from retriever.hits import record

    return json.dumps({"query_id": name, **record(hit, query)}, ensure_ascii=False)


def _line(hit: Hit, name: str) -> str:
    """query id, rank, document id, score, language, title; between tabs."""
    from retriever.hits import printable

    document = hit.document
    title = printable(document.title)
    return f"{name}\t{hit.rank}\t{document.id}\t{hit.score:.4f}\t{document.lang}\t{title}"


def _run_line(hit: Hit, name: str) -> str:
    """A line of a TREC run. DocumentError for an id with a blank, which the format cannot hold."""
    for id_ in (name, hit.document.id):
        if len(id_.split()) != 1:
            raise DocumentError(
                f"the id {id_!r} has a blank, which a TREC run cannot hold; use --json"
            )
    return f"{name} Q0 {hit.document.id} {hit.rank} {hit.score:.6f} tandem"


def _found(hits: Sequence[Hit]) -> str:
    return "1 hit" if len(hits) == 1 else f"{len(hits)} hits"


def _batches(source: str) -> Iterator[list[Topic]]:
    """The queries of a file, in batches."""
    from indexer.text.topics import read_topics

    topics = iter(read_topics(source).values())
    while batch := list(itertools.islice(topics, _BATCH)):
        yield batch


def _print(hits: Hits, query: str, explain: bool) -> None:
    from retriever.fields import shown as shown_fields
    from retriever.hits import LABELS, printable
    from retriever.same_documents import merged
    from retriever.snippets import Mark, snippet
    from retriever.word_answers import hit_answers

    if not hits:
        click.echo("Nothing found.")
    elif not any(map(hits.is_close, hits)):
        click.echo("Nothing close was found. Nearest:")
    for hit, same in merged(hits):
        document = hit.document
        title = printable(document.title) or document.id
        click.echo(
            f"{hit.rank:>3}. {click.style(title, bold=True)}  "
            f"{click.style('[' + (document.lang or '?') + ']', fg='cyan')}  {hit.score:.3f}  "
            f"{click.style(document.id, dim=True)}"
        )
        shown = "".join(
            click.style(printable(text), fg="yellow", bold=mark == Mark.EXACT)
            if mark
            else printable(text)
            for text, mark in snippet(hit, query, 200)
        )
        if shown:
            click.echo(f"     {shown}")
        pairs = [f"{name} {text}" for name, text in shown_fields(document)]
        if pairs:
            click.echo(click.style(f"     {printable(' · '.join(pairs))}", dim=True))
        if same:
            others = " · ".join(
                f"[{other.document.lang or '?'}] {other.document.id}" for other in same
            )
            click.echo(click.style(f"     also {printable(others)}", dim=True))
        if explain:
            for side, part in hit.parts.items():
                rank = f"rank {part.rank}" if part.rank is not None else _UNRANKED[side]
                label = LABELS[side]
                click.echo(
                    click.style(
                        f"     {label:<8} {side:<9} score {part.score:8.4f}   {rank:<16} share {part.share:.3f}",
                        dim=True,
                    )
                )
            if found := hit_answers(hit, query):
                answered = ", ".join(
                    f"{printable(a.word)}: {printable(a.answer)} {a.similarity:.2f}" for a in found
                )
                click.echo(click.style(f"     answers  {answered}", dim=True))


@click.command(
    epilog="Example: tandem analyze 'Počítače v nemocnici'   or: tandem analyze --lang de 'Häuser am See'"
)
@click.argument("text")
@click.option(
    "--lang",
    metavar="CODE",
    help="The language of the text, an ISO 639-1 code.  [default: detected]",
)
@json_option
def analyze(text: str, lang: str | None, as_json: bool) -> None:
    """Show what a text becomes: its language, its words as indexed, and their stems."""
    from indexer.text import languages
    from indexer.text.analysis import analyse, tokens

    if lang is not None:
        languages.check([lang])
    code = lang if lang is not None else languages.detect([text])[0]
    chances = languages.distribution(text)
    likely = sorted(chances.items(), key=lambda pair: -pair[1])[:3]
    rows = [(word, analyse(word, code)) for word, _, _ in tokens(text)]
    if as_json:
        record = {
            "lang": code,
            "chances": dict(likely),
            "words": [
                {"word": word, "words": a.words.split(), "stems": a.stems.split()}
                for word, a in rows
            ],
        }
        click.echo(json.dumps(record, ensure_ascii=False))
        return
    if lang is None:
        chance = ", ".join(f"{languages.name(c)} {100 * p:.0f}%" for c, p in likely)
        click.echo(
            f"language  {code or '?'} ({languages.name(code) if code else 'no letters'}); likely: {chance or '-'}"
        )
    else:
        click.echo(f"language  {code} ({languages.name(code)}), as given")
    width = max([len(word) for word, _ in rows] + [4]) + 2
    other = max([len(a.words) for _, a in rows] + [10]) + 2
    click.echo(f"{'text':<{width}}{'as written':<{other}}stems")
    for word, a in rows:
        click.echo(f"{word:<{width}}{a.words:<{other}}{a.stems}")
