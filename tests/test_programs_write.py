"""Programs write: documents added and deleted over the API, tokens, limits, origins, request names, the log."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

import indexer.changes
import webui.documents_api
from configs.errors import ConfigError
from configs.settings import ServeSettings, Settings, parse
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document
from indexer.storage import commit
from retriever.retriever import Retriever
from tandem import main
from webui.access import Access
from webui.app import create_app
from webui.cli_token import token as token_command
from webui.request_log import AccessLog
from webui.services import services_of
from webui.tokens import Token, TokenFile, Tokens, made, parse_limit
from webui.writing import Job, Overloaded, WriteTarget

DOCUMENTS = [Document(f"d{n}", f"walnut number {n}", f"Walnut {n}", "", "en") for n in range(5)]
Headers = dict[str, str]


class World:
    """A writable server over an index of its own, with a token that reads and one that writes."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.index, self.file = path / "ix", TokenFile(path / "tokens.json")
        build_index(self.index, DOCUMENTS, HashEncoder(), model="hash")
        self.read, self.write = self.token("reader"), self.token("writer", write=True)
        self.log = path / "access.log"
        chosen = Settings(serve=parse(ServeSettings, settings, "test"))
        self.opened = AccessLog.open(str(self.log), chosen.serve.log_queries)
        self.app: Flask = create_app(
            Retriever.open(self.index),
            access=Access(Tokens(self.file), chosen.serve.open_reading),
            write_to=WriteTarget(str(self.index), chosen),
            origins=chosen.serve.cors_origins,
            access_log=self.opened,
            refresh_interval=1e9,  # what is seen at once was not found by looking now and then
        )
        self.client: FlaskClient = self.app.test_client()

    def token(self, name: str, **rights: Any) -> Headers:
        secret, kept = made(name, **rights)
        self.file.add(kept)
        return {"Authorization": f"Bearer {secret}"}

    def close(self) -> None:
        writer = services_of(self.app).writer
        assert writer is not None
        writer.close()
        self.opened.close()

    def add(self, body: Any, status: int = 200, **more: Any) -> Any:
        answer = self.client.post("/api/v1/documents", json=body, headers=self.write, **more)
        assert answer.status_code == status, answer.text
        return answer.json

    def finds(self, query: str) -> list[str]:
        path = f"/api/v1/search?q={query}&mode=lexical"
        found = self.client.get(path, headers=self.read).json
        assert found is not None
        return [hit["id"] for hit in found["hits"]]


Open = Callable[..., World]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Worlds with settings of their own."""
    with contextlib.ExitStack() as running:
        yield lambda **settings: running.enter_context(
            contextlib.closing(World(tmp_path, **settings))
        )


@pytest.fixture
def world(opened: Open) -> World:
    return opened()


# -- writing -----------------------------------------------------------------------------------------


def test_one_document_is_found_at_once(world: World) -> None:
    answer = world.add({"id": "new", "text": "A heron stands in the reeds.", "year": 1931})
    assert answer["state"] == "done" and answer["done"] == answer["total"] == 1
    assert answer["report"] == {
        "added": 1, "replaced": 0, "unchanged": 0, "deleted": 0, "rejected": 0, "documents": 6,
        "generation": 2,
    }  # fmt: skip
    assert world.finds("heron") == ["new"]
    found = world.client.get("/api/v1/document?id=new", headers=world.read).json
    assert found is not None and found["fields"] == {"year": "1931"}


def test_a_batch_replaces_passes_over_and_names_what_it_cannot_use(world: World) -> None:
    batch = [
        {"id": "d0", "title": "Walnut 0", "text": "walnut number 0", "lang": "en"},
        {"id": "d1", "text": "now an acorn"},
        {"id": "", "text": "no id"},
        7,
        {"id": "e", "text": "a hazelnut"},
        {"id": "x", "text": ""},
    ]
    answer = world.add(batch)
    counts = {name: n for name, n in answer["report"].items() if name != "generation"}
    assert counts == {
        "added": 1, "replaced": 1, "unchanged": 1, "deleted": 0, "rejected": 3, "documents": 6,
    }  # fmt: skip
    places = [reject["place"] for reject in answer["rejects"]]
    assert sorted(places)[:2] == ["document 3", "document 4"]
    assert world.finds("acorn") == ["d1"]
    assert not (world.index / "rejects.jsonl").exists()


def test_lines_are_read_one_by_one(world: World) -> None:
    body = b'{"id": "a", "text": "lichen"}\n\nnot json\n{"id": "b", "text": "moss"}\n'
    answer = world.client.post(
        "/api/v1/documents", data=body, headers=world.write, content_type="application/x-ndjson"
    )
    assert answer.json is not None and answer.json["report"]["added"] == 2
    assert answer.json["rejects"] == [{"place": "document 2", "reason": "no JSON"}]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"7", b'[{"id": 1.5, "text": "a"}]', b"[" * 100_000, b"\xff"])  # fmt: skip
def test_a_body_without_a_document_is_refused(world: World, body: bytes) -> None:
    sent = world.client.post("/api/v1/documents", data=body, headers=world.write)
    assert sent.status_code == 400 and sent.json is not None
    assert sent.json["error"]["problems"]


def test_a_document_is_deleted_and_then_not_there(world: World) -> None:
    gone = world.client.delete("/api/v1/documents/d3", headers=world.write)
    assert gone.status_code == 200 and gone.json is not None
    assert gone.json["report"]["deleted"] == 1 and gone.json["report"]["documents"] == 4
    assert "d3" not in world.finds("walnut")
    again = world.client.delete("/api/v1/documents/d3", headers=world.write)
    assert again.status_code == 404


def test_an_id_with_slashes_is_deleted(world: World) -> None:
    world.add({"id": "a/b?c", "text": "heron"})
    gone = world.client.delete("/api/v1/documents/a/b%3Fc", headers=world.write)
    assert gone.status_code == 200 and world.finds("heron") == []


def test_a_batch_of_ids_is_deleted_as_far_as_there_are_any(world: World) -> None:
    answer = world.client.post(
        "/api/v1/deletions", json={"ids": ["d1", "none", "d2"]}, headers=world.write
    )
    assert answer.json is not None and answer.json["report"]["deleted"] == 2
    assert answer.json["missing"] == ["none"]
    bodies: list[object] = [{}, {"ids": []}, {"ids": [1]}, {"ids": "d1"}, [], None]
    for body in bodies:
        wrong = world.client.post("/api/v1/deletions", data=json.dumps(body), headers=world.write)
        assert wrong.status_code == 400


def test_a_long_batch_becomes_a_job(world: World) -> None:
    batch = [{"id": f"n{n}", "text": f"pebble {n}"} for n in range(250)]
    answer = world.client.post("/api/v1/documents", json=batch, headers=world.write)
    assert answer.status_code == 202 and answer.json is not None
    place = answer.headers["Location"]
    assert place == f"/api/v1/jobs/{answer.json['id']}"
    until = time.monotonic() + 60
    while (told := world.client.get(place, headers=world.write).json or {})["state"] != "done":
        assert told["state"] in ("waiting", "running") and time.monotonic() < until
        time.sleep(0.02)
    assert told["done"] == told["total"] == 250 and told["report"]["added"] == 250
    assert world.client.get("/api/v1/jobs/none", headers=world.write).status_code == 404


def test_while_another_program_writes_it_is_named(world: World) -> None:
    with commit.locked(world.index, "index add"):
        answer = world.client.post(
            "/api/v1/documents", json={"id": "a", "text": "b"}, headers=world.write
        )
    assert answer.status_code == 423 and answer.json is not None
    error = answer.json["error"]
    assert error["code"] == "locked" and "(index add, since" in error["message"]
    assert int(answer.headers["Retry-After"]) > 0
    assert world.add({"id": "a", "text": "b"})["report"]["added"] == 1


def test_while_the_server_writes_a_command_is_refused(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    encoding, go_on = threading.Event(), threading.Event()

    class Slow(HashEncoder):
        def encode(self, texts: Any, kind: Any = "passage") -> Any:
            encoding.set()
            assert go_on.wait(60)
            return super().encode(texts, kind)

    add = indexer.changes.add_records
    monkeypatch.setattr(
        indexer.changes, "add_records", lambda place, records, settings, _, **more: add(place, records, settings, Slow(), **more)
    )  # fmt: skip
    writer = services_of(world.app).writer
    assert writer is not None
    job = writer.submit(Job(records=[{"id": "slow", "text": "heron"}]))
    assert encoding.wait(60)
    source = tmp_path / "more.jsonl"
    source.write_text('{"id": "more", "text": "more"}\n')
    with pytest.raises(SystemExit):
        main(["index", "add", str(source), "-i", str(world.index)])
    assert "(tandem serve, since" in capsys.readouterr().err
    assert world.finds("walnut")  # readers are not disturbed
    go_on.set()
    assert job.finished.wait(60) and job.state == "done"


def test_a_body_that_is_too_large_is_refused(opened: Open) -> None:
    world = opened(max_body=1)
    big = world.client.post("/api/v1/documents", data=b" " * (1 << 20) + b"{}", headers=world.write)
    assert big.status_code == 413 and big.json is not None and big.json["error"]["message"]


def test_more_than_the_server_keeps_in_memory_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webui.writing.WAITING", 10)
    writer = services_of(world.app).writer
    assert writer is not None
    with commit.locked(world.index, "test"):
        monkeypatch.setattr(writer, "_waiting", 5)
        with pytest.raises(Overloaded):
            writer.submit(Job(records=[{}], size=6))
    answer = world.client.post(
        "/api/v1/documents", json={"id": "a", "text": "b" * 20}, headers=world.write
    )
    assert answer.status_code == 503 and "Retry-After" in answer.headers


def test_a_defect_ends_its_job_and_the_next_one_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(indexer.changes, "add_records", lambda *_, **__: 1 // 0)
        told = world.add({"id": "a", "text": "b"}, status=500)
    assert "ZeroDivisionError" in caplog.text and "Zero" not in told["error"]["message"]
    assert world.add({"id": "a", "text": "b"})["report"]["added"] == 1


def test_a_server_that_is_not_writable_says_so(tmp_path: Path) -> None:
    build_index(tmp_path / "ix", DOCUMENTS, HashEncoder(), model="hash")
    client = create_app(Retriever.open(tmp_path / "ix")).test_client()
    answer = client.post("/api/v1/documents", json={"id": "a", "text": "b"})
    assert answer.status_code == 403 and answer.json is not None
    assert "--writable" in answer.json["error"]["message"]


def test_writing_waits_for_few_requests_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others get a job: a thread of the server that waits cannot search."""
    monkeypatch.setattr(webui.documents_api, "_waiting", threading.BoundedSemaphore(1))
    webui.documents_api._waiting.acquire()
    answer = world.client.post(
        "/api/v1/documents", json={"id": "a", "text": "b"}, headers=world.write
    )
    assert answer.status_code in (200, 202)
    webui.documents_api._waiting.release()


# -- tokens ------------------------------------------------------------------------------------------


def test_without_a_token_nothing_is_read_or_written_but_probes(world: World) -> None:
    for path in ("/api/v1/search?q=walnut", "/", "/document?id=d1", "/metrics", "/api/v1/info"):
        assert world.client.get(path).status_code == 401
    refused = world.client.post("/api/v1/documents", json={"id": "a", "text": "b"})
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json", "/api/v1/openapi.json"):
        assert world.client.get(path).status_code == 200
    wrong = {"Authorization": "Bearer tandem_wrong"}
    answer = world.client.get("/api/v1/search?q=walnut", headers=wrong)
    assert answer.status_code == 401 and "not known" in answer.text


def test_a_token_that_reads_does_not_write(world: World) -> None:
    answer = world.client.post(
        "/api/v1/documents", json={"id": "a", "text": "b"}, headers=world.read
    )
    assert answer.status_code == 403 and "may read only" in answer.text
    assert world.client.get("/api/v1/info", headers=world.read).status_code == 200


def test_the_page_asks_a_browser_for_the_token_as_a_password(world: World) -> None:
    assert world.client.get("/").headers["WWW-Authenticate"].startswith("Basic")
    secret = world.write["Authorization"].removeprefix("Bearer ")
    assert world.client.get("/", auth=("anyone", secret)).status_code == 200
    # a browser sends a password by itself, also with what another site has it send
    answer = world.client.post("/api/v1/documents", json={"id": "a"}, auth=("anyone", secret))
    assert answer.status_code == 401


def test_open_reading_asks_for_a_token_only_where_something_is_written(opened: Open) -> None:
    world = opened(open_reading=True)
    assert world.client.get("/api/v1/search?q=walnut").status_code == 200
    assert world.client.post("/api/v1/documents", json={"id": "a"}).status_code == 401
    assert world.client.get("/api/v1/jobs/a").status_code == 401


def test_a_token_that_is_removed_ends_at_once(world: World) -> None:
    assert world.client.get("/api/v1/info", headers=world.read).status_code == 200
    world.file.remove("reader")
    assert world.client.get("/api/v1/info", headers=world.read).status_code == 401
    world.file.path.write_text("no json")
    assert world.client.get("/api/v1/info", headers=world.write).status_code == 401
    world.file.path.unlink()
    assert world.client.get("/api/v1/info", headers=world.write).status_code == 401


def test_a_limit_is_kept_and_says_when_to_come_back(world: World) -> None:
    few = world.token("few", limit="2/h")
    codes = [world.client.get("/api/v1/info", headers=few) for _ in range(3)]
    assert [answer.status_code for answer in codes] == [200, 200, 429]
    assert codes[2].headers["Retry-After"] == "1800"
    assert world.client.get("/api/v1/info", headers=world.read).status_code == 200


def test_a_limit_fills_evenly(tmp_path: Path) -> None:
    now = [0.0]
    tokens = Tokens(TokenFile(tmp_path / "t"), clock=lambda: now[0])
    token = Token("a", "0" * 64, limit="2/min")
    assert [tokens.wait(token) for _ in range(3)] == [0, 0, 30]
    now[0] = 15
    assert tokens.wait(token) == 15
    now[0] = 30
    assert [tokens.wait(token) for _ in range(2)] == [0, 30]
    now[0] = 1e6
    assert [tokens.wait(token) for _ in range(3)] == [0, 0, 30]


def test_the_file_holds_no_token_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = str(tmp_path / "tokens.json")
    run = CliRunner()
    result = run.invoke(token_command, ["add", "a", "--write", "--limit", "5/s", "--file", file])
    secret = result.stdout.strip()
    assert re.fullmatch(r"tandem_[\w-]{43}", secret)
    assert secret not in Path(file).read_text() and secret not in result.stderr
    assert Path(file).stat().st_mode & 0o077 == 0
    found = Tokens(TokenFile(Path(file))).holder(secret)
    assert found is not None and (found.name, found.write, found.limit) == ("a", True, "5/s")
    shown = run.invoke(token_command, ["list", "--file", file])
    assert "a     write  5/s" in shown.stdout and found.sha256 not in shown.stdout
    assert "sha256" not in run.invoke(token_command, ["list", "--json", "--file", file]).stdout
    assert run.invoke(token_command, ["remove", "a", "--file", file]).exit_code == 0
    assert TokenFile(Path(file)).read() == []


@pytest.mark.parametrize("arguments", [["add", "a b"], ["add", "a", "--limit", "often"], ["add", "a", "--limit", "0/s"], ["remove", "nobody"]])  # fmt: skip
def test_what_makes_no_token_is_a_sentence(tmp_path: Path, arguments: list[str]) -> None:
    result = CliRunner().invoke(token_command, [*arguments, "--file", str(tmp_path / "t")])
    assert isinstance(result.exception, ConfigError)


@pytest.mark.parametrize("text", ["[]", "{}", '{"tokens": [{"name": "a"}]}', '{"tokens": [{"name": "a", "sha256": "short"}]}'])  # fmt: skip
def test_a_file_that_is_no_file_of_tokens_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t").write_text(text)
    with pytest.raises(ConfigError, match="is no file of tokens"):
        TokenFile(tmp_path / "t").read()


def test_limits_are_read() -> None:
    assert [parse_limit(text) for text in ("60/min", "5/s", "9/h")] == [(60, 60), (5, 1), (9, 3600)]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--writable"], "--writable needs --tokens"),
        (["--tokens", "none.json"], "holds no token"),
        (["--tokens", "reads.json", "--writable"], "no token may write"),
    ],
)
def test_serve_refuses_to_write_without_a_token_for_it(
    tmp_path: Path, arguments: list[str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webui.cli import serve

    monkeypatch.chdir(tmp_path)
    build_index("ix", DOCUMENTS[:1], HashEncoder(), model="hash")
    TokenFile(Path("reads.json")).add(made("a")[1])
    result = CliRunner().invoke(serve, ["-i", "ix", "--port", "0", *arguments])
    assert isinstance(result.exception, ConfigError) and reason in str(result.exception)


# -- origins, names of requests, the log -------------------------------------------------------------


def test_only_origins_that_are_named_may_read_the_answer(opened: Open) -> None:
    world = opened(cors_origins=["https://a.example"])
    ask = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    allowed = world.client.options("/api/v1/documents", headers=ask)
    assert allowed.status_code == 204
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert "Authorization" in allowed.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    answer = world.client.get("/api/v1/info", headers=world.read | {"Origin": "https://a.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert "Origin" in answer.headers["Vary"]
    for origin in ("https://b.example", "null", "https://a.example.evil", "http://a.example"):
        refused = world.client.options("/api/v1/documents", headers=ask | {"Origin": origin})
        assert refused.status_code == 401
        got = world.client.get("/api/v1/info", headers=world.read | {"Origin": origin})
        assert "Access-Control-Allow-Origin" not in got.headers
    page = world.client.get("/", headers=world.read | {"Origin": "https://a.example"})
    assert "Access-Control-Allow-Origin" not in page.headers


def test_by_default_no_other_origin_may_call(world: World) -> None:
    headers = world.read | {"Origin": "https://a.example"}
    assert "Access-Control-Allow-Origin" not in world.client.get("/api/v1/info", headers=headers).headers  # fmt: skip


@pytest.mark.parametrize("origin", ["*", "a.example", "https://a.example/", "https://A.example"])
def test_origins_are_exact(origin: str) -> None:
    with pytest.raises(ConfigError, match="exact origins"):
        parse(ServeSettings, {"cors_origins": [origin]}, "test")


def test_a_request_keeps_a_sane_name_and_errors_carry_it(world: World) -> None:
    named = {"X-Request-ID": "trace-1.2_3"}
    assert world.client.get("/healthz", headers=named).headers["X-Request-ID"] == "trace-1.2_3"
    error = world.client.get("/api/v1/nowhere", headers=named | world.read)
    assert error.json is not None and error.json["error"]["request_id"] == "trace-1.2_3"
    for bad in ("", "a" * 65, "a b", "<script>", "é"):
        name = world.client.get("/healthz", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
        assert re.fullmatch("[0-9a-f]{16}", name)


def test_the_access_log_tells_who_asked_what_address_and_not_the_query(world: World) -> None:
    world.client.get("/api/v1/search?q=secretword", headers=world.read)
    world.client.get("/api/v1/nowhere", headers={"Authorization": "Bearer tandem_stolen"})
    text = world.log.read_text()
    first, second = map(json.loads, text.splitlines())
    assert first["token"] == "reader" and first["path"] == "/api/v1/search"
    assert first["status"] == 200 and first["bytes"] > 0 and first["seconds"] > 0
    assert second["token"] is None and second["status"] == 401
    secrets = [headers["Authorization"].split()[1] for headers in (world.read, world.write)]
    assert not [word for word in ("secretword", "tandem_stolen", *secrets) if word in text]


def test_queries_are_logged_only_when_asked_for(opened: Open) -> None:
    world = opened(log_queries=True)
    world.client.get("/api/v1/search?q=some%0Aword", headers=world.read)
    assert json.loads(world.log.read_text())["query"] == "some\nword"


# -- /docs -------------------------------------------------------------------------------------------


def test_the_api_is_shown_readably(world: World) -> None:
    text = world.client.get("/docs").text
    described = world.client.get("/api/v1/openapi.json").json
    assert described is not None
    for path in described["paths"]:
        assert path in text
    assert "At most 100." in text and "hits[].title" in text and '<script src="http' not in text
    assert "Needs a token for writing" in text and "reads only" not in text
