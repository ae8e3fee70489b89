"""`tandem mcp` with the protocol's own client, against the real process; and messages made by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.session import ClientSession
from mcp.client.stdio import stdio_client

from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document
from retriever.retriever import Retriever
from webui.live_index import Live
from webui.mcp_server import VERSIONS, Server
from webui.mcp_tools import PART, tools
from webui.search_request import Limits

DOCUMENTS = [
    Document("cs-1", "Nemocnice v Praze je otevřena celý den.", "Nemocnice", "", "cs", {"year": "1931"}),
    Document("en-1", "The hospital in Prague is open all day.", "Hospital", "https://example.org/h", "en"),
    Document("en-2", "The hospital in Brno is open all day.", "Hospital two", "", "en"),
    Document("long", "owl " * 10_000, "Owls", "", "en"),
]  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mcp") / "index"
    build_index(path, DOCUMENTS, HashEncoder(), model="hash")
    return path


@pytest.fixture(scope="module")
def server(index: Path) -> Server:
    live = Live(Retriever.open(index), lambda: None)
    return Server(live, Limits(max_k=20), tools(), "A collection.")


def ask(server: Server, method: str, **params: Any) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = server.answer(json.dumps(message).encode())
    assert isinstance(answer, dict) and answer["id"] == 1
    return answer


def use(server: Server, name: str, **arguments: Any) -> dict[str, Any]:
    result = ask(server, "tools/call", name=name, arguments=arguments)["result"]
    assert not result["isError"], result
    found: dict[str, Any] = result["structuredContent"]
    assert json.loads(result["content"][0]["text"]) == found
    return found


def refused(server: Server, name: str, **arguments: Any) -> str:
    result = ask(server, "tools/call", name=name, arguments=arguments)["result"]
    assert result["isError"]
    return str(result["content"][0]["text"])


def parameters(index: Path) -> StdioServerParameters:
    arguments = ["-m", "tandem", "mcp", "-i", str(index)]
    return StdioServerParameters(command=sys.executable, args=arguments, cwd=Path.cwd())


def test_the_protocols_own_client_searches_reads_and_finds_similar(index: Path) -> None:
    async def talk() -> None:
        async with Client(parameters(index)) as client:
            assert client.protocol_version == VERSIONS[0]
            listed = await client.list_tools()
            assert [tool.name for tool in listed.tools] == ["search", "document", "similar"]
            found = await client.call_tool("search", {"query": "hospital", "k": 2})
            assert not found.is_error and found.structured_content is not None
            assert found.structured_content["hits"][0]["id"] in ("en-1", "en-2")
            read = await client.call_tool("document", {"id": "cs-1"})
            assert read.structured_content is not None
            assert read.structured_content["text"] == DOCUMENTS[0].text
            near = await client.call_tool("similar", {"id": "en-1", "k": 1})
            assert near.structured_content is not None
            assert [hit["id"] for hit in near.structured_content["hits"]] == ["en-2"]
            wrong = await client.call_tool("search", {"query": "hospital", "lang": ["xx"]})
            assert wrong.is_error and "it has these languages" in str(wrong.content)

    anyio.run(talk)


def test_the_handshake_of_earlier_clients_is_answered(index: Path) -> None:
    async def talk() -> None:
        async with (
            stdio_client(parameters(index)) as (source, target),
            ClientSession(source, target) as session,
        ):
            told = await session.initialize()
            assert told.server_info.name == "tandem"
            assert (
                told.instructions is not None and "4 documents in English (3)" in told.instructions
            )
            await session.send_ping()

    anyio.run(talk)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_that_is_known_is_kept(server: Server, version: str) -> None:
    assert (
        ask(server, "initialize", protocolVersion=version)["result"]["protocolVersion"] == version
    )


def test_another_version_is_answered_with_the_newest(server: Server) -> None:
    told = ask(server, "initialize", protocolVersion="1999-01-01")["result"]
    assert told["protocolVersion"] == VERSIONS[0]


def test_search_filters_by_language_and_field(server: Server) -> None:
    assert [hit["id"] for hit in use(server, "search", query="hospital", lang=["cs"])["hits"]] == [
        "cs-1"
    ]
    hits = use(server, "search", query="nemocnice", where="year=1931")["hits"]
    assert (
        hits[0]["close"] is True
        and hits[0]["fields"] == {"year": "1931"}
        and hits[0]["language"] == "Czech"
    )
    assert hits[0]["passage"] == DOCUMENTS[0].text


def test_a_long_document_is_read_in_parts(server: Server) -> None:
    first = use(server, "document", id="long")
    assert len(first["text"]) == PART and first["next_offset"] == PART
    second = use(server, "document", id="long", offset=first["next_offset"])
    assert second["next_offset"] is None and first["text"] + second["text"] == DOCUMENTS[3].text


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("search", {}, "query is needed"),
        ("search", {"query": ""}, "empty"),
        ("search", {"query": "a", "k": 21}, "from 1 to 20"),
        ("search", {"query": "a", "limit": 3}, "no argument 'limit'"),
        ("search", {"query": "a", "where": "colour=red"}, "no document has a field"),
        ("document", {"id": "none"}, "no document with the id"),
        ("document", {"id": 7}, "no document with the id"),
        ("document", {"id": "long", "offset": -1}, "whole number"),
        ("similar", {"id": "en-1", "k": 0}, "whole number"),
    ],
)
def test_what_an_assistant_can_mend_is_told_to_it(
    server: Server, name: str, arguments: dict[str, Any], reason: str
) -> None:
    assert reason in refused(server, name, **arguments)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", -32700),
        (b"[" * 100_000, -32700),
        (b"7", -32600),
        (b"[]", -32600),
        (b'{"id": 1, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "resources/list"}', -32601),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}', -32602),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "rm"}}', -32602),
    ],
)
def test_a_message_that_is_wrong_has_its_code(server: Server, line: bytes, code: int) -> None:
    answer = server.answer(line)
    assert isinstance(answer, dict) and answer["error"]["code"] == code


def test_notifications_and_answers_are_not_answered(server: Server) -> None:
    for line in (
        b'{"jsonrpc": "2.0", "method": "notifications/initialized"}',
        b'{"jsonrpc": "2.0", "method": "unknown"}',
        b'{"jsonrpc": "2.0", "id": 4, "result": {}}',
    ):
        assert server.answer(line) is None


def test_a_batch_is_answered_in_order(server: Server) -> None:
    pings = [{"jsonrpc": "2.0", "id": n, "method": "ping"} for n in (1, 2)]
    assert server.answer(json.dumps(pings).encode()) == [
        {"jsonrpc": "2.0", "id": n, "result": {}} for n in (1, 2)
    ]


def test_a_defect_is_named_and_logged_and_ends_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Server, method: str, given: object) -> dict[str, Any]:
        raise ZeroDivisionError("a planted fault")

    with monkeypatch.context() as patch:
        patch.setattr(Server, "_result", broken)
        answer = server.answer(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}')
        assert isinstance(answer, dict)
        assert "a defect of Tandem (ZeroDivisionError)" in answer["error"]["message"]
        assert server.answer(b'{"jsonrpc": "2.0", "method": "ping"}') is None  # a notification
    assert [record.message for record in caplog.records] == ["defect at ping"] * 2
    assert "ZeroDivisionError: a planted fault" in caplog.text
    assert ask(server, "ping")["result"] == {}
