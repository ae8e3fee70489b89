"""README.md and docs/: commands exist with their options, README's run on the demo's documents, links lead somewhere."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import click
import pytest
from commands import runner

import tandem

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += [page for page in (ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md") if page.is_file()]


def commands_of(text: str) -> list[str]:
    """The `tandem ...` lines of a page's code blocks, without comments and what follows in a pipe."""
    joined = re.sub(r" \\\n\s+", " ", text)
    lines = re.findall(r"^(?:    )?(?:\.venv/bin/)?tandem (.+)$", joined, re.MULTILINE)
    return [re.split(r" +# | > | \| | && | \.\.\.", line)[0] for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_shows_exists_with_its_options(page: Path) -> None:
    for line in commands_of(page.read_text("utf-8")):
        words = shlex.split(line)
        command: click.Command = tandem.tandem
        context = click.Context(tandem.tandem)
        while words and isinstance(command, click.Group):
            found = command.get_command(context, words[0])
            assert found is not None, f"tandem {line}: no command {words[0]}"
            command, words = found, words[1:]
        known = {
            name for option in command.params for name in (*option.opts, *option.secondary_opts)
        }
        for word in words:
            if word.startswith("-") and word != "-":
                assert word.split("=")[0] in known, f"tandem {line}: no option {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    missing = [
        target
        for target in targets
        if not target.startswith(("http:", "https:")) and not (page.parent / target).exists()
    ]
    assert missing == []


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as README assumes it: notes/, articles.jsonl.gz and new.jsonl, of the demo's documents."""
    text = (ROOT / "demo" / "documents.jsonl").read_text("utf-8")
    documents = [json.loads(line) for line in text.splitlines()[:60:10]]
    (tmp_path / "notes").mkdir()
    for document in documents[:3]:
        note = f"# {document['title']}\n\n{document['text']}\n"
        (tmp_path / "notes" / f"{document['id']}.md").write_text(note, "utf-8")
    dated = [{**document, "date": "1880-05-01"} for document in documents[3:5]]
    lines = "".join(json.dumps(document) + "\n" for document in dated)
    (tmp_path / "articles.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    new = [{**documents[5], "id": name} for name in ("old-1", "old-2")]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(one) + "\n" for one in new), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_readme_run_in_its_order(
    notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runner(capsys)
    lines = commands_of(README)
    assert len(lines) >= 8
    for line in lines:
        words = shlex.split(line)
        if words[0] == "serve":
            assert answers([*words, "--port", "0"])
        elif words[0] != "doctor":
            ended = run(*words)
            assert ended.code == 0, f"tandem {line}: {ended.err}"


def answers(words: list[str]) -> bool:
    """Whether `tandem serve` starts, says where, and shows its page."""
    code = "import tandem; tandem.main()"
    command = [sys.executable, "-c", code, *words]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stderr is not None
            address = next(
                found[0] for line in server.stderr if (found := re.search(r"http://[^ ]+", line))
            )
            with urllib.request.urlopen(address, timeout=60) as page:
                return b'role="search"' in page.read()
        finally:
            server.terminate()


def test_the_python_of_the_readme_runs(notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert len(capsys.readouterr().out.splitlines()) >= 3
    index = names["index"]
    assert isinstance(index, tandem.SearchIndex)
    assert len(index) == 3


def test_what_the_readme_shows_of_the_demo_stands_in_the_demo() -> None:
    (shown,) = re.findall(r"first hits of `make demo` -->\n\n```text\n(.*?)```", README, re.DOTALL)
    text = (ROOT / "demo" / "documents.jsonl").read_text("utf-8")
    titles = {(d["lang"], d["title"]) for d in map(json.loads, text.splitlines())}
    hits = re.findall(r"^  1\. \[(\w+)\] (.+)$", shown, re.MULTILINE)
    assert len(hits) == 4
    assert set(hits) <= titles


def test_the_commands_of_the_page_on_evaluation_run_on_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ir_measures")
    demo = tmp_path / "demo"
    demo.mkdir()
    for name in ("documents.jsonl", "qrels.txt", "queries.jsonl"):
        (demo / name).write_bytes((ROOT / "demo" / name).read_bytes())
    queries = (demo / "queries.jsonl").read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in queries]
    (tmp_path / "queries.txt").write_text("\n".join(texts) + "\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    run = runner(capsys)
    documents = "demo/documents.jsonl"
    assert run("index", "build", documents, "-o", "demo.index", "--encoder", "hash").code == 0
    text = (ROOT / "docs" / "evaluation.md").read_text("utf-8")
    lines = [line for line in commands_of(text) if " demo.index" in line]
    assert len(lines) == 5
    for line in lines:
        ended = run(*shlex.split(line))
        assert ended.code == 0 or "no win" in ended.err, f"tandem {line}: {ended.err}"
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "sides.html").is_file()
