"""`/compare`: the hits of one query under two settings of the search, side by side."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from flask import Blueprint, make_response, render_template, request
from flask.typing import ResponseReturnValue

from configs.errors import TandemError
from configs.settings import SearchSettings
from webui.hit_view import HitView, hit_view
from webui.live_index import Found
from webui.problems import TITLES, status_of
from webui.search_request import MODES, Problem, Refused, from_query_string, read, shown
from webui.services import services

__all__ = ["comparing"]

comparing = Blueprint("comparing", __name__)

WAYS: dict[str, str] = {
    **{str(mode): name for mode, name in MODES.items()},
    "unaligned": "Words and meaning, without alignment",
    "rrf": "Words and meaning, by ranks alone (RRF)",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One side of the page: its hits, each with its rank in the other column (None: not there)."""

    side: str
    way: str
    found: Found
    hits: list[tuple[HitView, int | None]]


def _with(way: str, settings: SearchSettings) -> SearchSettings:
    """The server's settings, changed to search in this way."""
    if way == "rrf":
        fusion = dataclasses.replace(settings.fusion, method="rrf")
        return dataclasses.replace(settings, mode="hybrid", fusion=fusion)
    if way == "unaligned":
        return dataclasses.replace(settings, mode="hybrid", alignment=0.0)
    return settings


def _way(side: str, default: str) -> str:
    way = request.args.get(side) or default
    if way not in WAYS:
        message = f"There is no way to search {shown(way)}; choose one of {', '.join(WAYS)}."
        raise Refused([Problem("way_unknown", side, message)])
    return way


@comparing.get("/compare")
def compare() -> ResponseReturnValue:
    """Two lists, the same query and filters; what only one of them found is said."""
    shared = services()
    values = from_query_string(request.args)
    chosen = {"left": "hybrid", "right": "dense"}
    columns: list[Column] = []
    problem: dict[str, object] = {}
    status = 200
    try:
        chosen = {side: _way(side, default) for side, default in chosen.items()}
        if "q" in values:
            columns = _columns(values, chosen)
    except TandemError as error:
        status = status_of(error)
        messages = (
            [one.message for one in error.problems] if isinstance(error, Refused) else [str(error)]
        )
        problem = {"title": TITLES[status], "messages": messages}
    page = render_template(
        "compare.html",
        query=request.args.get("q", "")[: shared.limits.max_query],
        langs=values.get("lang", []),
        where=request.args.get("where", ""),
        ways=WAYS,
        chosen=chosen,
        columns=columns,
        both=sum(rank is not None for _, rank in columns[0].hits) if columns else 0,
        problem=problem,
    )
    return make_response(page, status)


def _columns(values: dict[str, object], chosen: dict[str, str]) -> list[Column]:
    shared = services()
    facts = shared.live.facts()
    known = [language.code for language in facts.languages]
    lists = []
    for way in chosen.values():
        mode = way if way in MODES else "hybrid"
        asked = read(values | {"mode": mode}, shared.limits, known, strict=False, kinds=facts.kinds)
        lists.append(shared.live.search(asked, _with(way, shared.live.settings)))
    return [
        Column(side, way, found, _ranked(found, other))
        for (side, way), found, other in zip(chosen.items(), lists, reversed(lists), strict=True)
    ]


def _ranked(found: Found, other: Found) -> list[tuple[HitView, int | None]]:
    ranks = {hit.document.id: hit.rank for hit in other.hits}
    return [(hit_view(hit, found.searched, None), ranks.get(hit.document.id)) for hit in found.hits]
