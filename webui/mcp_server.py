"""The Model Context Protocol over stdin and stdout: JSON-RPC 2.0, one message a line.

Only what a server of tools needs (https://modelcontextprotocol.io/specification). The official package
would bring a web server, cryptography and 25 packages more for these lines; the tests talk to this server
with its client.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import IO, Any

from configs.errors import TandemError
from webui.live_index import Live
from webui.mcp_tools import Tool, ToolError, call
from webui.search_request import Limits

__all__ = ["VERSIONS", "Server"]

log = logging.getLogger(__name__)

VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Of the protocol, newest first; a client that speaks another one is offered the newest."""
MOST = 1 << 20  # characters of a message

PARSE, INVALID, UNKNOWN, PARAMETERS, DEFECT = -32700, -32600, -32601, -32602, -32603

Json = dict[str, Any]


class Failure(Exception):
    """A message that cannot be answered, with JSON-RPC's code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Server:
    """Answers one client until its input ends."""

    def __init__(self, live: Live, limits: Limits, tools: list[Tool], instructions: str) -> None:
        self._live = live
        self._limits = limits
        self._tools = {tool.name: tool for tool in tools}
        self._instructions = instructions

    def serve(self, source: IO[bytes], target: IO[bytes]) -> None:
        """Messages from `source`, answers to `target`."""
        while line := source.readline(MOST + 1):
            if not line.strip():
                continue
            if (answer := self.answer(line)) is not None:
                target.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace"))
                target.write(b"\n")
                target.flush()

    def answer(self, line: bytes) -> Json | list[Json] | None:
        """What a line is answered with; None for notifications."""
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            return _failed(None, Failure(PARSE, "this line is no JSON"))
        if isinstance(message, list):  # batches, which versions before 2025-06-18 have
            answers = [found for one in message if (found := self._message(one)) is not None]
            return answers or (None if message else _failed(None, Failure(INVALID, "empty batch")))
        return self._message(message)

    def _message(self, message: object) -> Json | None:
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            return _failed(None, Failure(INVALID, "no JSON-RPC 2.0 message"))
        if "method" not in message:  # an answer; this server asks for nothing
            return None
        id_ = message.get("id")
        is_request = isinstance(id_, str | int) and not isinstance(id_, bool)
        try:
            result = self._result(str(message["method"]), message.get("params") or {})
        except Exception as error:  # one request must not end the others
            failure = error if isinstance(error, Failure) else _defect(message["method"], error)
            return _failed(id_, failure) if is_request else None
        return {"jsonrpc": "2.0", "id": id_, "result": result} if is_request else None

    def _result(self, method: str, given: object) -> Json:
        if not isinstance(given, Mapping):
            raise Failure(PARAMETERS, "params must be an object")
        if method == "initialize":
            wanted = given.get("protocolVersion")
            return {
                "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[0],
                "capabilities": {"tools": {"listChanged": False}},
                "serverInfo": {"name": "tandem", "title": "Tandem", "version": _version()},
                "instructions": self._instructions,
            }
        if method == "tools/list":
            return {"tools": [tool.listed() for tool in self._tools.values()]}
        if method == "tools/call":
            return self._call(given)
        if method == "ping" or method.startswith("notifications/"):
            return {}
        raise Failure(UNKNOWN, f"no method {method[:100]}")

    def _call(self, given: Mapping[str, Any]) -> Json:
        """A tool's answer. What the assistant can mend is told as the answer, not as a failure."""
        tool = self._tools.get(given.get("name", ""))
        if tool is None:
            known = ", ".join(self._tools)
            raise Failure(
                PARAMETERS, f"no tool {str(given.get('name'))[:100]!r}; there are: {known}"
            )
        arguments = given.get("arguments") or {}
        try:
            if not isinstance(arguments, Mapping):
                raise ToolError("arguments must be an object")
            found = call(tool, self._live, self._limits, arguments)
        except TandemError as error:
            return {"content": [{"type": "text", "text": str(error)}], "isError": True}
        text = json.dumps(found, ensure_ascii=False, indent=1)
        return {
            "content": [{"type": "text", "text": text}],
            "structuredContent": found,
            "isError": False,
        }


def _failed(id_: object, failure: Failure) -> Json:
    error = {"code": failure.code, "message": str(failure)}
    return {"jsonrpc": "2.0", "id": id_, "error": error}


def _defect(method: object, error: Exception) -> Failure:
    """What the other side is told of a defect; the whole traceback goes to stderr."""
    log.error("defect at %s", method, exc_info=error)
    return Failure(DEFECT, f"a defect of Tandem ({type(error).__name__}); stderr says more")


def _version() -> str:
    try:
        return version("tandem-search")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
