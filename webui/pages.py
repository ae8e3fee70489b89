"""The pages a person sees: search, a document, and in judge mode the grades. They need no JavaScript."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from secrets import compare_digest
from typing import cast
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import (
    Blueprint,
    abort,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from configs.errors import TandemError
from indexer.schema import Document
from indexer.text import languages
from retriever import fields
from retriever.same_documents import Merged, merged
from webui.field_filter import Pairs, chosen, condition, controls
from webui.hit_view import (
    HitView,
    direction,
    excerpt,
    heading,
    heading_segments,
    hit_view,
    source,
)
from webui.judgments import GRADES
from webui.live_index import Found
from webui.problems import RETRY, TITLES, as_json, status_of
from webui.search_request import FLAGS, MODES, Asked, Refused, from_query_string, read
from webui.services import services

__all__ = ["pages"]

log = logging.getLogger(__name__)

SIMILAR = 6  # documents under "More like this"
pages = Blueprint("pages", __name__)


@dataclass(frozen=True, slots=True)
class Form:
    """The search form as the visitor left it, right or wrong."""

    query: str = ""
    mode: str = ""
    langs: tuple[str, ...] = ()
    k: int = 0
    where: str = ""
    sort: str = ""
    apart: bool = False
    """Whether copies of a document are shown each by itself."""
    chosen: Pairs = ()
    """Choices of fields, as `webui.field_filter` reads them."""

    def link(self, **changes: object) -> str:
        """The address of this search with some fields changed; defaults are left out."""
        limits = services().limits
        values: dict[str, object] = {
            "q": self.query,
            "mode": self.mode,
            "lang": self.langs,
            "k": self.k,
            "where": self.where,
            "sort": self.sort,
            "apart": int(self.apart),
        }
        for key, value in self.chosen:
            values.setdefault(key, [])
            cast("list[str]", values[key]).append(value)
        values |= changes
        defaults = {"mode": limits.mode, "k": limits.k, "offset": 0}
        kept = {
            name: value for name, value in values.items() if value and value != defaults.get(name)
        }
        return url_for("pages.search", **kept)  # type: ignore[arg-type]

    def unfiltered(self) -> str:
        """The address of this search without a filter on fields."""
        bare = Form(self.query, self.mode, self.langs, self.k, sort=self.sort, apart=self.apart)
        return bare.link()


@pages.get("/")
def search() -> ResponseReturnValue:
    """The search box, and hits once there is a query."""
    values = from_query_string(request.args)
    if "q" not in values:
        return _page(_form(values))
    limits = services().limits
    facts = services().live.facts()
    known = [language.code for language in facts.languages]
    form = _form(values)
    values["where"] = condition(form.where, form.chosen)
    try:
        asked = read(values, limits, known, strict=False, kinds=facts.kinds)
        found = services().live.search(asked)
    except TandemError as error:
        return _problem(values, error)
    _count(asked, found)
    form = replace(form, query=asked.query, mode=asked.mode, langs=asked.langs, k=asked.k)
    return _page(form, asked, found)


def _form(values: dict[str, object]) -> Form:
    """The fields as they were sent, of a request that is no search or that cannot be answered."""
    langs = values.get("lang")
    return Form(
        query=_text(values.get("q"))[: services().limits.max_query],
        mode=_text(values.get("mode")),
        langs=tuple(langs) if isinstance(langs, list) else (),
        where=request.args.get("where", "").strip(),
        sort=_text(values.get("sort")),
        apart=FLAGS.get(request.args.get("apart", "0").lower(), False),
        chosen=chosen(request.args.items(multi=True)),
    )


def _page(form: Form, asked: Asked | None = None, found: Found | None = None) -> str:
    shared = services()
    hits: list[HitView] = []
    pager: dict[str, str] = {}
    if asked is not None and found is not None:
        grades = shared.judgments
        # a judge grades every document, also one that stands there twice
        each = bool(grades) or form.apart
        shown: Merged = [(hit, []) for hit in found.hits] if each else merged(found.hits)
        hits = [
            hit_view(
                hit,
                found.searched,
                grades.grade(asked.query, hit.document.id) if grades else None,
                same,
            )
            for hit, same in shown
        ]
        after = asked.offset + asked.k
        if asked.offset and hits:
            pager["prev"] = form.link(offset=max(0, asked.offset - asked.k))
        if found.more and after < shared.limits.reach:
            pager["next"] = form.link(offset=after)
    return render_template(
        "search.html",
        form=form,
        asked=asked,
        found=found,
        hits=hits,
        pager=pager,
        back=request.query_string.decode("utf-8", "replace"),
        download=lambda kind: _download(asked, kind),
        **_common(form),
    )


def _download(asked: Asked | None, kind: str) -> str:
    """The address of these hits as a file."""
    if asked is None:
        return ""
    values = {
        "q": asked.query, "mode": asked.mode, "k": asked.k, "offset": asked.offset or None,
        "lang": asked.langs, "where": asked.where or None, "sort": asked.sort or None,
        "literal": 1 if asked.literal else None, "format": kind,
    }  # fmt: skip
    return url_for("api.search", **values)  # type: ignore[arg-type]


def _problem(values: dict[str, object], error: TandemError) -> ResponseReturnValue:
    """The same page with what was typed, and what is wrong with it."""
    status = status_of(error)
    messages = (
        [problem.message for problem in error.problems]
        if isinstance(error, Refused)
        else [str(error)]
    )
    form = _form(values)
    page = render_template(
        "search.html",
        form=form,
        problem={"title": TITLES[status], "messages": messages, "status": status},
        **_common(form),
    )
    response = make_response(page, status)
    if status == 503:
        response.headers["Retry-After"] = RETRY
    return response


def _common(form: Form) -> dict[str, object]:
    shared = services()
    return {
        "facts": shared.live.facts(),
        "controls": controls(shared.live.facts().fields, form.chosen),
        "questions": shared.examples,
        "examples": shared.live.examples,
        "modes": MODES,
        "limits": shared.limits,
        "judging": shared.judgments is not None,
        "grades": GRADES,
        "token": shared.token,
        "direction": direction,
    }


def _count(asked: Asked, found: Found) -> None:
    metrics = services().metrics
    metrics.count("tandem_searches_total", mode=asked.mode)
    if not found.hits and not asked.offset:
        metrics.count("tandem_searches_without_hits_total", mode=asked.mode)


@pages.get("/document")
def document() -> str:
    """One document's text."""
    found = services().live.document(request.args.get("id", ""))
    if found is None:
        raise NotFound("The index has no document with this id; it may have been deleted.")
    query = request.args.get("q", "")[: services().limits.max_query]
    parsed = services().live.parsed(query) if query.strip() else ""
    aligned = services().live.is_aligned()
    return render_template(
        "document.html",
        document=found,
        fields=fields.lines(found),
        heading=heading(found),
        title=heading_segments(heading(found), parsed, found.lang, aligned),
        language=languages.name(found.lang),
        source=source(found.url),
        excerpt=excerpt(found, request.args.get("at", ""), parsed, aligned),
        direction=direction,
        query=query,
        back=_back(query, request.args.get("back", ""), request.args.get("rank", "")),
        similar=_similar(found),
    )


def _similar(document: Document) -> list[tuple[Document, str, str]]:
    """Documents like this one, with heading and language; none where they cannot be searched: the text is shown all the same."""
    try:
        hits = services().live.similar(document.id, SIMILAR)
    except TandemError as error:
        log.warning("no similar documents: %s", error)
        return []
    return [
        (hit.document, heading(hit.document), languages.name(hit.document.lang)) for hit in hits
    ]


def _back(query: str, asked: str, rank: str) -> str:
    """The address of the hits that a document was opened from; only a query string is taken over."""
    place = f"#hit-{rank}" if rank.isdecimal() and len(rank) < 12 else ""
    if not asked:
        return url_for("pages.search", q=query)
    return f"{url_for('pages.search')}?{urlencode(parse_qsl(asked))}{place}"


@pages.post("/judge")
def judge() -> ResponseReturnValue:
    """Write one grade, and go back to the hit it was given to."""
    shared = services()
    if shared.judgments is None:
        raise NotFound("The page was not started in judge mode; see tandem serve --judge.")
    _from_this_page()
    found = shared.live.document(request.form.get("id", ""))
    query = read({"q": request.form.get("q")}, shared.limits, (), strict=False).query
    if found is None:
        raise NotFound("The index has no document with this id; it may have been deleted.")
    label = request.form.get("label", "")
    shared.judgments.give(query, found, label)
    shared.metrics.count("tandem_judgments_total")
    if as_json():
        return jsonify(label=label, judged=len(shared.judgments))
    back = urlsplit(request.form.get("back", ""))
    rank = request.form.get("rank", "")
    place = f"#hit-{rank}" if rank.isdecimal() and len(rank) < 12 else ""
    # only the query string is taken over: the way back never leads to another site
    return redirect(f"{url_for('pages.search')}?{back.query}{place}", code=303)


def _from_this_page() -> None:
    """Refuse a form that another site sent: by the browser's word, and by the token."""
    origin = request.headers.get("Origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.host
    token = request.form.get("token", "")
    if foreign or not compare_digest(token.encode(), services().token.encode()):
        abort(403, "Open the search page again and grade from there; this form was not its own.")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
