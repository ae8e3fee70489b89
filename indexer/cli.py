"""The commands `tandem index ...`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from configs.options import config_options, index_option, json_option
from configs.progress import progress_bar
from indexer.elastic.address import is_address

if TYPE_CHECKING:
    from configs.settings import Settings
    from indexer.changes import Change, Synced
    from indexer.storage.manifest import Manifest
    from indexer.text.sources import ReadOptions

__all__ = ["index"]

_SOURCES = """SOURCE is a file (.jsonl, .json, .csv, .tsv; .txt, .md, .html, .pdf, .docx, .epub, .xml;
    compressed or not), a folder of those, or - for JSON lines on standard input. A line or row has an id,
    a text and, if you like, title, url, lang and fields of your own; text, body, content, passage and
    other usual names of a text are known. DaReCzech's TSV gives one document per url."""

F = TypeVar("F", bound=Callable[..., Any])


def _read_options(command: F) -> F:
    """How sources are read, as argument `read` (indexer.text.sources.ReadOptions)."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        encoding: str | None,
        text_fields: tuple[str, ...],
        title_field: str,
        id_field: str,
        ignore: tuple[str, ...],
        kinds: tuple[str, ...],
        changes: tuple[str, ...],
        **others: Any,
    ) -> Any:
        from indexer.text.records import Columns
        from indexer.text.sources import ReadOptions

        columns = Columns(text_fields, title_field, id_field)
        read = ReadOptions(encoding, columns, ignore)
        return command(*args, read=read, changes=(*changes, *_as_settings(kinds)), **others)

    for option in reversed(
        (
            click.option(
                "--text-field",
                "text_fields",
                multiple=True,
                metavar="NAME",
                help="The field or column that is searched; repeat it to search several as one text.  "
                "[default: text, body, content, passage...]",
            ),
            click.option(
                "--title-field",
                default="",
                metavar="NAME",
                help="The field or column of the title.  [default: title, headline]",
            ),
            click.option(
                "--id-field",
                default="",
                metavar="NAME",
                help="The field or column of the id.  [default: id, _id, doc_id, docno...]",
            ),
            click.option(
                "--kind",
                "kinds",
                multiple=True,
                metavar="NAME=KIND",
                help="What a field of your own holds: keyword, number or date; may be repeated.  "
                "[default: found from its values]",
            ),
            click.option(
                "--encoding",
                metavar="NAME",
                help="The encoding of files that are not UTF-8, for example cp1250; detect: find it out for "
                "each file.  [default: detect for text files; tables and JSON lines are set aside]",
            ),
            click.option(
                "--ignore",
                multiple=True,
                metavar="PATTERN",
                help="Leave out files and folders of this name in a folder, for example '*.png' or "
                "drafts/; may be repeated.",
            ),
        )
    ):
        wrapped = option(wrapped)
    return cast("F", wrapped)


def _as_settings(kinds: Sequence[str]) -> list[str]:
    """`--kind NAME=KIND` as changes of the setting `fields`."""
    pairs = [kind.rpartition("=") for kind in kinds]
    if any(not equals or not name for name, equals, _ in pairs):
        raise click.UsageError("--kind: write it as NAME=KIND, for example price=number")
    if pairs:
        from indexer.text.field_values import check_kind

        for name, _, kind in pairs:
            check_kind(name, kind)
    if any("." in name for name, _, _ in pairs):  # a setting's name is divided at dots
        named = {name: kind for name, _, kind in pairs}
        return [f"fields={json.dumps(named, ensure_ascii=False)}"]
    return [f"fields.{name}={kind}" for name, _, kind in pairs]


@click.group(epilog="Example: tandem index build notes/ -o notes.index")
def index() -> None:
    """Build, change, inspect and check an index: a folder, or es://NAME in Elasticsearch."""


def _loaded(config: str | None, changes: tuple[str, ...], encoder: str | None) -> Settings:
    from configs.load import load
    from configs.settings import Settings

    settings = load(Settings, config, changes)
    if encoder is not None:
        settings = dataclasses.replace(
            settings, encoder=dataclasses.replace(settings.encoder, model=encoder)
        )
    from indexer.threads import limit

    limit(settings.threads)
    return settings


@index.command(
    epilog="Example: tandem index build notes/ articles.jsonl.gz -o notes.index   "
    "From a pipe: zcat corpus.jsonl.gz | tandem index build - -o corpus.index"
)
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option(
    "-o", "--output", required=True, metavar="INDEX", help="The index folder to make, or es://NAME."
)
@click.option(
    "--encoder",
    metavar="MODEL",
    help="auto (accurate up to 10,000 passages, fast beyond), accurate, fast, hash, a folder, or a "
    "sentence-transformers name.  [default: auto]",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace an index that stands there, in one commit at the end.",
)
@click.option("--restart", is_flag=True, help="Discard what an interrupted build encoded.")
@click.option("--strict", is_flag=True, help="Stop at the first input that cannot be used.")
@click.option(
    "--from",
    "recover",
    metavar="INDEX",
    help="Take the documents of another index, as far as they can be read, even a damaged one.",
)
@_read_options
@json_option
@config_options
def build(
    sources: tuple[str, ...],
    output: str,
    encoder: str | None,
    overwrite: bool,
    restart: bool,
    strict: bool,
    recover: str | None,
    read: ReadOptions,
    as_json: bool,
    config: str | None,
    changes: tuple[str, ...],
) -> None:
    if not sources and recover is None:
        raise click.UsageError("name a SOURCE, or --from INDEX")
    if recover is not None and (
        recover == output or Path(recover).resolve() == Path(output).resolve()
    ):
        raise click.UsageError(
            "--from INDEX is read while -o INDEX is written: name another folder"
        )
    settings = _loaded(config, changes, encoder)
    from indexer import changes as made

    with _explained():
        change = made.build(
            output,
            sources,
            settings,
            read=read,
            recover=recover,
            overwrite=overwrite,
            restart=restart,
            strict=strict,
            bar=progress_bar,
            tell=_tell,
        )
    _tell_change(change, output, as_json)


build.help = f"""Build an index of documents.

    {_SOURCES}

    A build that was interrupted goes on where it stopped when it is run again. Input that cannot be
    used is set aside in INDEX/rejects.jsonl and the rest is indexed; the exit code is then 1."""


def _tell(line: str) -> None:
    click.echo(line, err=True)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """When nothing could be indexed, what was set aside; on Ctrl-C, that what was encoded is kept."""
    from configs.errors import DocumentError

    try:
        yield
    except DocumentError as error:
        for note in getattr(error, "__notes__", ()):
            _tell(note)
        raise
    except KeyboardInterrupt:
        _tell("\nWhat was encoded is kept: run the same command again to go on from here.")
        raise


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _tell_change(change: Change, output: str, as_json: bool) -> None:
    """The result on stdout, notes and rejects on stderr; exit code 1 when something was set aside."""
    report = change.report
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report)))
    else:
        rate = (report.added + report.replaced) / report.seconds if report.seconds > 0 else 0.0
        parts = [f"{_counted(report.added, 'document')} added"]
        if report.replaced:
            parts.append(f"{report.replaced:,} replaced")
        if report.unchanged:
            parts.append(f"{report.unchanged:,} unchanged")
        click.echo(
            f"{', '.join(parts)} ({_counted(report.passages, 'passage')}) in {report.seconds:.1f} s, {rate:,.0f} documents/s"
        )
        reused = report.passages - report.encoded
        if reused > 0:
            click.echo(f"{reused:,} passages were encoded before the interruption")
        click.echo(
            f"{output}: {_counted(report.documents, 'document')}. Search it: tandem search 'your query' -i {output}"
        )
    for line in change.notes:
        _tell(f"note: {line}")
    if report.rejected:
        for line in change.rejects:
            _tell(f"set aside: {line}")
        _tell(
            f"Error: {report.rejected:,} set aside in {change.rejects_file}; everything else is indexed"
        )
        click.get_current_context().exit(1)


@index.command(epilog="Example: tandem index add new.jsonl -i notes.index")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "-i",
    "--index",
    "index_path",
    required=True,
    metavar="INDEX",
    help="The index folder to add to, or es://NAME.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Stop at the first input that cannot be used; nothing is changed.",
)
@click.option("--restart", is_flag=True, help="Discard what an interrupted build or add encoded.")
@_read_options
@json_option
@config_options
def add(
    sources: tuple[str, ...],
    index_path: str,
    strict: bool,
    restart: bool,
    read: ReadOptions,
    as_json: bool,
    config: str | None,
    changes: tuple[str, ...],
) -> None:
    settings = _loaded(config, changes, None)
    from indexer import changes as made

    with _explained():
        change = made.add(
            index_path,
            sources,
            settings,
            read=read,
            restart=restart,
            strict=strict,
            bar=progress_bar,
        )
    _tell_change(change, index_path, as_json)


add.help = f"""Add documents to an index, or replace those whose id it has.

    {_SOURCES}

    A document that has not changed is passed over. Searches go on undisturbed and see the new documents at
    once when it is done: in a folder all of it is one commit. Into es://NAME, what an interrupted add
    has written stays, and the same command goes on from there."""


@index.command(
    epilog="Example: tandem index sync notes/ -i notes.index   or, until Ctrl-C: tandem index sync notes/ -i notes.index --watch"
)
@click.argument("folder", metavar="FOLDER")
@index_option
@click.option("--watch", is_flag=True, help="Go on, and follow every change until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(0.1, 86_400),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Seconds between two looks of --watch.",
)
@click.option(
    "--allow-empty",
    is_flag=True,
    help="Remove all documents of a folder that holds no file any more. Default: that is an error.",
)
@click.option(
    "--encoder",
    metavar="MODEL",
    help="Encoder of a new index, as for `tandem index build`.  [default: auto]",
)
@_read_options
@json_option
@config_options
def sync(
    folder: str,
    index_path: str,
    watch: bool,
    every: float,
    allow_empty: bool,
    encoder: str | None,
    read: ReadOptions,
    as_json: bool,
    config: str | None,
    changes: tuple[str, ...],
) -> None:
    """Keep an index in step with a folder: new, changed and removed files follow.

    Files are compared by size and time with what the last run saw; only those that changed are read. The
    index is made where there is none. Documents that came into it otherwise are left alone. What cannot be
    read stands in INDEX/rejects.jsonl, and the exit code is then 1, until it is mended or removed. For
    es://NAME that file is NAME.rejects.jsonl in the working directory, and what is remembered of the folder
    stands on this machine: run sync on the same one.
    """
    from configs.errors import DocumentError, TandemError
    from indexer.changes import FolderSync

    if not Path(folder).is_dir():
        raise DocumentError(f"{folder}: no such folder")
    settings = _loaded(config, changes, encoder)
    runs = FolderSync(index_path, folder, settings, read=read, allow_empty=allow_empty)
    first = True
    while True:
        try:
            with _explained():
                synced = runs.run()
        except TandemError as error:
            if not watch or first:
                raise
            _tell(f"Error: {error}; trying again")  # another writer, a drive that is away
        else:
            if first or synced.report.commit is not None:
                _tell_sync(synced, index_path, as_json)
            if not watch:
                click.get_current_context().exit(1 if synced.rejected else 0)
        first = False
        time.sleep(every)


def _tell_sync(synced: Synced, index_path: str, as_json: bool) -> None:
    """A line for each run that changed something."""
    report = synced.report
    files = {"read": report.read, "removed": report.removed, "unread": report.unchanged}
    commit = None if report.commit is None else dataclasses.asdict(report.commit)
    if as_json:
        nothing = dict.fromkeys(("added", "replaced", "unchanged", "deleted"), 0)
        click.echo(json.dumps({"files": files, **(commit or nothing), "rejected": synced.rejected}))
    elif report.commit is None:
        click.echo(f"{index_path}: in step; {_counted(report.unchanged, 'file')} as before")
    else:
        done = report.commit
        parts = [
            f"{n:,} {what}"
            for what, n in (
                ("added", done.added),
                ("replaced", done.replaced),
                ("deleted", done.deleted),
            )
            if n
        ]
        click.echo(
            f"{index_path}: {_counted(report.read, 'file')} read, {report.removed:,} removed; documents: "
            f"{', '.join(parts) or 'none changed'}; {done.documents:,} in all"
        )
    for line in synced.notes:
        _tell(f"note: {line}")
    if synced.rejected:
        for line in synced.rejects:
            _tell(f"set aside: {line}")
        _tell(f"Error: {synced.rejected:,} set aside in {synced.rejects_file}")


@index.command(
    epilog="Example: tandem index delete -i notes.index old-1 old-2   or: cut -f1 gone.tsv | tandem index delete -i notes.index -"
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option(
    "-i",
    "--index",
    "index_path",
    required=True,
    metavar="INDEX",
    help="The index folder to delete from, or es://NAME.",
)
@json_option
@config_options
def delete(
    ids: tuple[str, ...],
    index_path: str,
    as_json: bool,
    config: str | None,
    changes: tuple[str, ...],
) -> None:
    """Delete documents by id; - reads ids from standard input, one a line.

    When one of the ids is not in the index, nothing is deleted. The room is reclaimed by `compact`.
    """
    from configs.errors import DocumentError
    from indexer import changes as made

    wanted = (
        [line.rstrip("\n") for line in sys.stdin if line.strip()] if ids == ("-",) else list(ids)
    )
    if not wanted:
        raise DocumentError("no id on standard input; nothing was deleted")
    settings = _loaded(config, changes, None)
    report = made.delete(index_path, wanted, settings)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report)))
    else:
        click.echo(
            f"{_counted(report.deleted, 'document')} deleted; {report.documents:,} remain in {index_path}"
        )


@index.command(epilog="Example: tandem index info notes.index")
@click.argument("index_path", metavar="INDEX")
@json_option
@config_options
def info(index_path: str, as_json: bool, config: str | None, changes: tuple[str, ...]) -> None:
    """Show what an index holds and how it was made."""
    from indexer.storage.manifest import read_manifest
    from indexer.text.field_values import kind_of

    if is_address(index_path):
        _cluster_info(index_path, as_json, _loaded(config, changes, None))
        return
    from indexer.folder import note_on_words

    path = Path(index_path)
    manifest = read_manifest(path)
    size = sum(entry.size for entry in manifest.files.values())
    if as_json:
        record: dict[str, Any] = dataclasses.asdict(manifest)
        click.echo(json.dumps({**record, "bytes": size}, ensure_ascii=False))
        return
    rows = [
        ("documents", f"{manifest.documents:,}"),
        (
            "passages",
            f"{manifest.passages:,}"
            + (
                f" ({manifest.deleted:,} deleted; reclaim them: tandem index compact {path})"
                if manifest.deleted
                else ""
            ),
        ),
        ("languages", _named(manifest.languages)),
        (
            "encoder",
            f"{manifest.encoder.name}, {manifest.encoder.dim} dimensions ({manifest.encoder.fingerprint})",
        ),
        ("meaning", f"FAISS {manifest.dense_index.factory}"),
        ("words", manifest.lexical.backend),
        *([("", note)] if (note := note_on_words(path, manifest)) else []),
        ("alignment", _alignment(path, manifest)),
        (
            "size",
            f"{size / 2**20:,.1f} MiB in {len(manifest.segments)} segment{'s' if len(manifest.segments) != 1 else ''}",
        ),
        ("commit", f"{manifest.generation}, of {manifest.created}"),
    ]
    if manifest.fields:
        kinds = [
            f"{name} ({entry.declared or kind_of(entry.seen)})"
            for name, entry in sorted(manifest.fields.items())
        ]
        rows.insert(3, ("fields", ", ".join(kinds)))
    for name, value in rows:
        click.echo(f"{name:<11}{value}")


def _alignment(path: Path, manifest: Manifest) -> str:
    from indexer.encoders.token_vectors import aligner_facts, aligns

    entry = manifest.alignment
    if entry is not None and aligns(entry.fingerprint):
        return f"tokens of {entry.name} ({entry.fingerprint})"
    found = (
        "off: no tokens are kept"
        if entry is None
        else f"off: tokens of another student ({entry.name}, {entry.fingerprint})"
    )
    return found + (
        f"; add them: tandem index compact {path}" if aligner_facts() is not None else ""
    )


def _named(counts: Mapping[str, int]) -> str:
    from indexer.text import languages

    return ", ".join(
        f"{languages.name(code) if code else 'unknown'} {n:,}" for code, n in counts.items()
    )


def _cluster_info(address: str, as_json: bool, settings: Settings) -> None:
    from indexer.cluster_verify import cluster_info

    found = cluster_info(address, settings.elasticsearch)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), ensure_ascii=False))
        return
    encoder = found.note.encoder
    rows = [
        ("documents", f"{found.documents:,}"),
        ("passages", f"{found.passages:,}"),
        ("languages", _named(found.languages)),
        ("encoder", f"{encoder.name}, {encoder.dim} dimensions ({encoder.fingerprint})"),
        ("meaning", f"Elasticsearch {found.version}, {found.vectors}"),
        ("words", f"Elasticsearch {found.version}, {_counted(len(found.languages), 'language')}"),
        (
            "size",
            f"{found.bytes / 2**20:,.1f} MiB in {_counted(found.shards, 'shard')}, "
            f"each with {found.replicas} cop{'y' if found.replicas == 1 else 'ies'}; {found.health}",
        ),
        ("change", f"{found.note.generation}, index {found.index} of {found.note.created}"),
    ]
    for name, value in rows:
        click.echo(f"{name:<11}{value}")


@index.command(name="verify", epilog="Example: tandem index verify notes.index")
@click.argument("index_path", metavar="INDEX")
@json_option
@config_options
def verify_command(
    index_path: str, as_json: bool, config: str | None, changes: tuple[str, ...]
) -> None:
    """Check every file of an index against its checksum, and the counts against each other.

    Of es://NAME: health, mapping, encoder, counts, and 1,000 documents picked at random with their passages
    against their hashes. Exit code 1, and a line for each problem, when something is wrong.
    """
    problems = _problems(index_path, config, changes)
    if as_json:
        click.echo(json.dumps({"ok": not problems, "problems": problems}, ensure_ascii=False))
    elif problems:
        for problem in problems:
            click.echo(f"damaged: {problem}")
        if not any("a build was interrupted here" in problem for problem in problems):
            _tell(
                "Error: the index is damaged; what can be read of it makes a new one: "
                f"tandem index build --from {index_path} -o NEW"
            )
    else:
        click.echo(f"{index_path}: whole")
    if problems:
        click.get_current_context().exit(1)


def _problems(index_path: str, config: str | None, changes: tuple[str, ...]) -> list[str]:
    if is_address(index_path):
        from indexer.cluster_verify import SAMPLE, verify_cluster

        settings = _loaded(config, changes, None)
        with progress_bar("verifying", SAMPLE) as done:
            return verify_cluster(index_path, settings.elasticsearch, done)
    from indexer.storage.manifest import read_manifest
    from indexer.verify import verify

    path = Path(index_path)
    if not any(path.glob("segment-*")) and not any(path.glob("lexical-*")):
        read_manifest(
            path
        )  # no index, and says why; an index that lost its manifest is a damaged one
    total = sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else 0
    with progress_bar("verifying", total) as done:
        return verify(path, done)


@index.command(epilog="Example: tandem index compact notes.index")
@click.argument("index_path", metavar="INDEX")
@json_option
@config_options
def compact(index_path: str, as_json: bool, config: str | None, changes: tuple[str, ...]) -> None:
    """Rewrite an index folder without its deleted documents, as one segment. Nothing is encoded again."""
    if is_address(index_path):
        raise click.UsageError(f"{index_path}: Elasticsearch merges its segments by itself")
    settings = _loaded(config, changes, None)
    from indexer.build import compact as rewrite
    from indexer.storage.manifest import read_manifest

    manifest = read_manifest(Path(index_path))
    with progress_bar("compacting", manifest.documents, counted=True) as done:
        report = rewrite(index_path, progress=done, device=settings.encoder.device)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report)))
    else:
        click.echo(
            f"{_counted(report.documents, 'document')}, {manifest.deleted:,} deleted passages removed, in {report.seconds:.1f} s"
        )
