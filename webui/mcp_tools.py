"""What an assistant can do with a collection: search it, read a document, find similar ones.

Plain values in, plain values out; the protocol is `webui.mcp_server`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from configs.errors import TandemError
from indexer.schema import Document, Hit
from indexer.text import languages
from webui.live_index import Live
from webui.search_request import MODES, Limits, Problem, Refused, read, shown

__all__ = ["Tool", "ToolError", "call", "tools"]

MOST = 20  # hits; an assistant pays for every word it reads
FEW = 5
PART = 20_000  # characters of a document in one answer

Json = dict[str, Any]


class ToolError(TandemError):
    """What the assistant asked for cannot be done; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    title: str
    description: str
    properties: Json
    required: tuple[str, ...]
    run: Callable[[Live, Limits, Mapping[str, Any]], Json]

    def listed(self) -> Json:
        """As tools/list tells it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": {
                "type": "object",
                "properties": self.properties,
                "required": list(self.required),
                "additionalProperties": False,
            },
            "annotations": {
                "title": self.title, "readOnlyHint": True, "idempotentHint": True,
                "openWorldHint": False,
            },
        }  # fmt: skip


def tools() -> list[Tool]:
    k = {
        "type": "integer", "minimum": 1, "maximum": MOST, "default": FEW,
        "description": "How many documents.",
    }  # fmt: skip
    identifier = {"type": "string", "description": "The id of a document, as search gives it."}
    lang = {
        "type": "array",
        "items": {"type": "string"},
        "description": "Only documents in these languages (ISO 639-1). Default: all.",
    }
    return [
        Tool(
            "search",
            "Search the collection",
            "Searches the collection by words and by meaning. The query may be in any language; documents in "
            "every language are found. A \"phrase\" and -word are a phrase and an exclusion. Returns the best documents, "
            "each with the passage that matched; close is false where it is no answer but merely the nearest.",
            {
                "query": {"type": "string", "description": "A question or words, in any language."},
                "k": k,
                "lang": lang,
                "where": {
                    "type": "string",
                    "description": "A condition on the documents' fields: date>=1880 and newspaper=Zeit.",
                },
                "mode": {
                    "type": "string", "enum": list(MODES),
                    "description": "hybrid (default), lexical for exact words, dense for meaning alone.",
                },
            },
            ("query",),
            _search,
        ),
        Tool(
            "document",
            "Read a document",
            f"Returns one document's text with its title, address and fields; {PART:,} characters at a time, "
            "with next_offset where there are more.",
            {
                "id": identifier,
                "offset": {
                    "type": "integer", "minimum": 0, "default": 0,
                    "description": "Characters of the text to leave out.",
                },
            },
            ("id",),
            _document,
        ),
        Tool(
            "similar",
            "Find similar documents",
            "Returns documents whose meaning is near that of a given one, in every language.",
            {"id": identifier, "k": k, "lang": lang},
            ("id",),
            _similar,
        ),
    ]  # fmt: skip


def call(tool: Tool, live: Live, limits: Limits, arguments: Mapping[str, Any]) -> Json:
    """Run a tool. Raises ToolError for arguments that it does not take, and what the retriever raises."""
    unknown = sorted(set(arguments) - set(tool.properties))
    missing = [name for name in tool.required if name not in arguments]
    if unknown or missing:
        wrong = [f"no argument {shown(name)}" for name in unknown]
        wrong += [f"{name} is needed" for name in missing]
        raise ToolError(f"{tool.name}: {', '.join(wrong)}; it takes {', '.join(tool.properties)}")
    live.refresh()
    return tool.run(live, limits, arguments)


def _search(live: Live, limits: Limits, arguments: Mapping[str, Any]) -> Json:
    facts = live.facts()
    values = {"k": FEW, **arguments, "q": arguments["query"]}
    del values["query"]
    known = [language.code for language in facts.languages]
    asked = read(values, limits, known, strict=True, kinds=facts.kinds)
    found = live.search(asked)
    hits = [{**_hit(hit), "close": hit.score >= found.floor} for hit in found.hits]
    return {"hits": hits, "more": found.more}


def _document(live: Live, limits: Limits, arguments: Mapping[str, Any]) -> Json:
    found = _found(live, arguments["id"])
    offset = arguments.get("offset", 0)
    if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:
        raise ToolError(f"offset must be a whole number from 0, not {shown(offset)}")
    end = offset + PART
    return {
        **_about(found),
        "text": found.text[offset:end],
        "characters": len(found.text),
        "next_offset": end if end < len(found.text) else None,
    }


def _similar(live: Live, limits: Limits, arguments: Mapping[str, Any]) -> Json:
    found = _found(live, arguments["id"])
    k = arguments.get("k", FEW)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= limits.max_k:
        raise ToolError(f"k must be a whole number from 1 to {limits.max_k}, not {shown(k)}")
    known = [language.code for language in live.facts().languages]
    langs = read({"q": "any", "lang": arguments.get("lang", [])}, limits, known, strict=True).langs
    return {"hits": [_hit(hit) for hit in live.similar(found.id, k, langs)]}


def _found(live: Live, document_id: object) -> Document:
    found = live.document(document_id) if isinstance(document_id, str) else None
    if found is None:
        message = f"The index has no document with the id {shown(document_id)}; search gives ids."
        raise Refused([Problem("id_unknown", "id", message)])
    return found


def _about(document: Document) -> Json:
    return {
        "id": document.id,
        "title": document.title,
        "url": document.url,
        "language": languages.name(document.lang),
        "fields": dict(document.fields),
    }


def _hit(hit: Hit) -> Json:
    return {**_about(hit.document), "score": round(hit.score, 4), "passage": hit.passage.text}
