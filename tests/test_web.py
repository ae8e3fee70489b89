"""The page and its API over a real index: what is shown, what is refused, and what is written down."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from configs.errors import BackendError, ConfigError, DocumentError, TandemError
from configs.settings import SearchSettings
from indexer.build import add_documents, build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document, Hit, Part, Passage, SignalName
from retriever.export import exported
from retriever.retriever import Retriever
from retriever.snippets import Mark
from webui.app import create_app
from webui.hit_view import direction, excerpt, heading, hit_view, number, source
from webui.judgments import COLUMNS, Judgments
from webui.live_index import Live

EVIL = "<script>alert(1)</script> & <img src=x onerror=alert(2)>"
DOCUMENTS = [
    Document("cs-1", "Nemocnice v Praze je otevřena celý den.", "Pražská nemocnice", "", "cs"),
    Document("en-1", "The hospital in Prague is open all day.", "Hospital of Prague", "https://example.org/h?a=1&b=2", "en"),
    Document("ar-1", "المستشفى في براغ مفتوح طوال اليوم", "مستشفى براغ", "", "ar"),
    Document("bn-1", "প্রাগের হাসপাতাল সারা দিন খোলা থাকে", "প্রাগের হাসপাতাল", "", "bn"),
    Document("x/<y>&", f"markup {EVIL}", "<i>slanted</i> markup", "javascript:alert(3)", "en"),
    Document("untitled", "An owl sleeps by day.\nIt hunts at night.", "", "", "en"),
    *(Document(f"n-{i:02}", f"walnut number {i}", f"Walnut {i}", "", "en") for i in range(25)),
]  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("web") / "index"
    build_index(path, DOCUMENTS, HashEncoder(), model="hash")
    return path


@pytest.fixture(scope="module")
def app(index: Path) -> Flask:
    return create_app(Retriever.open(index))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def page(client: FlaskClient, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, answer.text
    return answer.text


def ids(answer: Any) -> list[str]:
    return [hit["id"] for hit in answer.json["hits"]]


# -- the page ----------------------------------------------------------------------------------------


def test_the_first_page_says_what_the_index_holds_and_gives_examples(client: FlaskClient) -> None:
    text = page(client, "/")
    assert "<strong>31</strong> documents" in text
    assert "in <strong>4</strong> languages" in text
    assert re.search(r"English</a> <span class=\"count\">28</span>", text)
    examples = re.findall(r'<li><a href="/\?q=[^"]+"><bdi lang="(\w+)">([^<]+)', text)
    assert len(examples) == 6
    assert {lang for lang, _ in examples} == {"en", "cs", "ar", "bn"}
    assert " autofocus" in text


def test_a_hit_has_title_marked_snippet_language_and_score(client: FlaskClient) -> None:
    text = page(client, "/?q=hospital")
    assert "Hospital of Prague</a></h2>" in text
    assert "The <mark>hospital</mark> in Prague is open all day." in text
    assert '<span class="language">English</span>' in text
    assert "Hits 1 to 10" in text
    assert ' value="hospital"' in text


def test_why_shows_both_sides(client: FlaskClient) -> None:
    text = page(client, "/?q=hospital")
    why = text.split('<details class="why">')[1].split("</details>")[0]
    assert "Meaning" in why and "Words" in why and "cosine" in why and "BM25" in why
    only = (
        page(client, "/?q=hospital&mode=lexical")
        .split('<details class="why">')[1]
        .split("</details>")[0]
    )
    assert "Meaning" not in only and "100%" in only


def test_each_text_says_its_language_and_direction(client: FlaskClient) -> None:
    text = page(client, "/?q=مستشفى")
    assert '<p class="snippet" lang="ar" dir="rtl">' in text
    assert re.search(r'<h2 id="title-1" lang="ar" dir="rtl">', text)
    assert 'lang="cs" dir="ltr"' in page(client, "/?q=nemocnice")


def test_markup_in_documents_and_queries_is_text(client: FlaskClient) -> None:
    text = page(client, "/?q=markup+%3Cb%3Ebold%3C/b%3E%22")
    assert "<script>alert" not in text and "<img src=x" not in text and "<i>slanted" not in text
    assert html.escape("<i>slanted</i> markup", quote=False) in text
    assert "&lt;b&gt;bold&lt;/b&gt;" in text and "<b>bold" not in text
    assert "javascript:alert" not in text
    document = page(client, "/document?id=x%2F%3Cy%3E%26&q=%3Cb%3E")
    assert "<script>alert" not in document and "&lt;script&gt;alert(1)" in document
    assert "javascript:alert" not in document and "<b>" not in document


def test_only_web_addresses_become_links(client: FlaskClient) -> None:
    text = page(client, "/?q=hospital")
    assert 'href="https://example.org/h?a=1&amp;b=2" rel="noreferrer noopener"' in text
    assert 'href="/document?id=cs-1' in text  # no url: the text as indexed
    assert source("javascript:alert(1)") == source("data:text/html,x") == source("//x") == ""
    assert source("http://[") == "" and source(" https://a.b/c ") == "https://a.b/c"


def test_headers_forbid_foreign_and_inline_code(client: FlaskClient) -> None:
    for address in ("/", "/?q=hospital", "/?q=", "/nowhere", "/api/v1/info", "/static/tandem.js"):
        with client.get(address) as answer:
            headers = answer.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe-inline" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
    text = page(client, "/?q=hospital")
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=|https?://(?!example)", text)


def test_paging_reaches_every_hit_once(client: FlaskClient) -> None:
    address, titles, pages = "/?q=walnut&mode=lexical&k=10", [], 0
    while address:
        text = page(client, address)
        titles += re.findall(r"(Walnut \d+)</a></h2>", text)
        pages += 1
        following = re.search(r'rel="next" href="([^"]+)"', text)
        address = html.unescape(following.group(1)) if following else ""
    assert pages == 3
    assert len(titles) == len(set(titles)) == 25
    beyond = page(client, "/?q=walnut&mode=lexical&offset=500")
    assert "There are no more hits" in beyond and ">Previous<" not in beyond


def test_a_language_filter_stays_with_the_search(client: FlaskClient) -> None:
    text = page(client, "/?q=hospital&lang=cs&lang=ar&mode=dense")
    assert set(re.findall(r'class="snippet" lang="(\w+)"', text)) == {"cs", "ar"}
    assert re.search(r'value="cs" checked', text) and not re.search(r'value="en" checked', text)
    assert "Only Czech, Arabic" in " ".join(text.split()) or "Only Arabic, Czech" in " ".join(
        text.split()
    )
    assert "mode=lexical&amp;lang=ar&amp;lang=cs" in text
    assert '<input type="hidden" name="mode" value="dense">' in text


def test_the_first_page_keeps_the_languages_of_its_address(client: FlaskClient) -> None:
    assert '<input type="hidden" name="lang" value="cs">' in page(client, "/?lang=cs")
    assert "Only fr" in " ".join(page(client, "/?q=a&lang=fr", 400).split())


def test_nothing_found_says_what_to_try(client: FlaskClient) -> None:
    text = page(client, "/?q=xylophone&mode=lexical&lang=cs")
    assert "Nothing found" in text
    assert 'href="/?q=xylophone&amp;mode=dense&amp;lang=cs"' in text
    assert 'href="/?q=xylophone&amp;mode=lexical"' in text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("q=", "The query is empty"),
        ("q=+%09+", "The query is empty"),
        ("q=%F0%9F%A6%89+!?", "has no word"),
        ("q=" + "a" * 10_001, "10,001 characters; at most 10,000"),
        ("q=a&k=0", "k must be a whole number from 1 to 100"),
        ("q=a&k=101", "k must be a whole number from 1 to 100"),
        ("q=a&k=ten", "not &#39;ten&#39;"),
        ("q=a&k=--5", "not &#39;--5&#39;"),
        ("q=a&offset=-1", "offset must be a whole number from 0 to 999"),
        ("q=a&offset=99999999999999999999", "offset must be"),
        (
            "q=a&mode=magic",
            "There is no mode &#39;magic&#39;; choose one of hybrid, dense, lexical",
        ),
        (
            "q=a&lang=fr",
            "holds no documents in &#39;fr&#39;; it has these languages: ar, bn, cs, en",
        ),
        ("q=a&lang=Klingon", "holds no documents in &#39;Klingon&#39;"),
    ],
)
def test_what_cannot_be_searched_is_said_on_the_page(
    client: FlaskClient, query: str, says: str
) -> None:
    text = page(client, f"/?{query}", 400)
    assert "That cannot be searched" in text and says in text


def test_everything_wrong_is_said_at_once(client: FlaskClient) -> None:
    problems = client.get("/api/v1/search?q=&k=0&mode=x&lang=xx&offset=-5&explain=maybe&langs=cs")
    assert problems.status_code == 400
    codes = [problem["code"] for problem in problems.json["error"]["problems"]]  # type: ignore[index]
    assert codes == [
        "field_unknown",
        "query_empty",
        "mode_unknown",
        "k_out_of_range",
        "offset_out_of_range",
        "language_unknown",
        "explain_invalid",
    ]
    assert "did you mean lang?" in problems.json["error"]["message"]  # type: ignore[index]


def test_a_document_is_shown_whole(client: FlaskClient) -> None:
    text = page(client, "/document?id=untitled&q=owl")
    assert "An <mark>owl</mark> sleeps by day.\nIt hunts at night." in text
    assert 'href="/?q=owl"' in text
    assert '<input id="q" name="q" type="search" value="owl"' in text
    assert 'href="/document?id=untitled' not in text  # itself is not among those like it
    like = text.split("More like this")[1]
    assert like.count('<li><a href="/document?id=') == 6
    back = page(
        client, "/document?id=untitled&q=owl&back=q%3Dowl%26mode%3Ddense%26offset%3D10&rank=12"
    )
    assert 'href="/?q=owl&amp;mode=dense&amp;offset=10#hit-12"' in back
    evil = page(client, "/document?id=untitled&q=owl&back=//evil.example/%3Fx%3D1&rank=%3Cb%3E")
    assert 'href="//' not in evil and "<b>" not in evil
    assert "no document with this id" in page(client, "/document?id=none", 404)


def test_a_hit_of_a_long_document_leads_to_its_passage(tmp_path: Path) -> None:
    text = (
        "The owl sleeps by day. " * 200 + "A hospital stands here. " + "It hunts at night. " * 200
    )
    build_index(tmp_path / "index", [Document("long", text, "Owls")], HashEncoder(), model="hash")
    client = create_app(Retriever.open(tmp_path / "index")).test_client()
    link = re.search(r'href="(/document[^"]*#passage)"', page(client, "/?q=hospital"))
    assert link is not None
    shown = page(client, html.unescape(link.group(1)))
    passage = re.search(r'<span class="passage" id="passage">(.*?)</span>', shown, re.S)
    assert passage is not None and "A <mark>hospital</mark> stands here." in passage.group(1)
    whole = page(client, "/document?id=long&q=hospital")
    assert 'id="passage"' not in whole and "A <mark>hospital</mark> stands here." in whole


def test_an_excerpt_holds_its_passage_wherever_it_is() -> None:
    document = Document("i", "0123456789", "", "", "en")
    first = excerpt(document, "2-4", "", shown=6)
    plain = [[(text, Mark.NONE)] for text in ("01", "23", "45")]
    assert [first.before, first.passage, first.after] == plain
    assert (first.skipped, first.left_out) == (0, 4)
    last = excerpt(document, "8-10", "", shown=6)
    plain = [[("4567", Mark.NONE)], [("89", Mark.NONE)], []]
    assert [last.before, last.passage, last.after] == plain
    assert (last.skipped, last.left_out) == (4, 0)
    wide = excerpt(document, "1-9", "", shown=6)
    plain = [[("0", Mark.NONE)], [("12345678", Mark.NONE)], []]
    assert [wide.before, wide.passage, wide.after] == plain
    for at in ("", "4-2", "5-5", "0-11", "-1-3", "x", "9" * 30 + "-1"):
        whole = excerpt(document, at, "", shown=20)
        assert [whole.before, whole.passage, whole.after] == [[], [], [("0123456789", Mark.NONE)]]


def test_markdown_is_shown_as_text_and_words_are_marked_everywhere() -> None:
    source = (
        "# Fire\n\nThe **great** fire in the [old town](https://example.org/a). `Fire` again, and *again*;\n"
        "```sh\nrun_fire\n```\n- snake_case a*b*c 2 * 3 # no heading\n![a fire](x.png) [not a link]"
    )
    shown = excerpt(Document("i", source, "", "", "en"), "8-20", "fire")
    text = "".join(
        part for piece in (shown.before, shown.passage, shown.after) for part, _ in piece
    )
    assert text == (
        "Fire\n\nThe great fire in the old town. Fire again, and again;\n"
        "run_fire\n- snake_case a*b*c 2 * 3 # no heading\na fire [not a link]"
    )
    marked = [
        part for piece in (shown.before, shown.passage, shown.after) for part, mark in piece if mark
    ]
    assert [word.lower() for word in marked] == ["fire"] * 4 + ["fire"] * (len(marked) - 4)
    assert len(marked) >= 4


def test_a_long_title_leaves_room_for_other_hits() -> None:
    hit = Hit(Document("i", "text", "word " * 1000), Passage("i", 0, "text", 0, 4), 0.5, 1, {})
    assert hit_view(hit, "text", None).heading == "word " * 39 + "word…"


def test_small_readings() -> None:
    assert heading(Document("i", "a " * 60)) == "a " * 39 + "a…"
    assert heading(Document("i", "")) == "i"
    assert [direction(code) for code in ("ar", "en", "")] == ["rtl", "ltr", "auto"]
    assert [number(n) for n in (0, 0.0312, 0.876, 4.5, 12.345)] == [
        "0",
        "0.031",
        "0.88",
        "4.50",
        "12.3",
    ]


def test_a_share_below_nothing_takes_no_room_in_the_bar() -> None:
    document = Document("i", "some text", "", "", "en")
    parts: dict[SignalName, Part] = {"dense": Part(0.1, 7, -0.2), "lexical": Part(9.0, 1, 0.3)}
    hit = Hit(document, Passage("i", 0, "some text", 0, 9), 0.1, 1, parts)
    shown = hit_view(hit, "text", None)
    assert [(part.side, part.share, part.percent) for part in shown.parts] == [
        ("dense", "-0.20", 0.0),
        ("lexical", "0.30", 100.0),
    ]


# -- the API -----------------------------------------------------------------------------------------


def test_get_and_post_find_the_same(client: FlaskClient) -> None:
    body = {
        "q": "nemocnice",
        "k": 3,
        "mode": "hybrid",
        "lang": ["cs", "en"],
        "offset": 1,
        "explain": True,
    }
    posted = client.post("/api/v1/search", json=body)
    got = client.get("/api/v1/search?q=nemocnice&k=3&lang=cs&lang=en&offset=1&explain=true")
    assert posted.status_code == got.status_code == 200
    assert posted.json is not None and got.json is not None
    assert posted.json | {"seconds": 0} == got.json | {"seconds": 0}
    assert posted.json["langs"] == ["cs", "en"] and posted.json["next_offset"] == 4
    hit = posted.json["hits"][0]
    assert hit["rank"] == 2 and set(hit["parts"]) == {"dense", "lexical", "alignment"}
    total = sum(part["share"] for part in hit["parts"].values())
    assert total == pytest.approx(hit["score"], abs=1e-6)


def test_without_explain_there_are_no_parts(client: FlaskClient) -> None:
    answer = client.get("/api/v1/search?q=nemocnice&lang=cs")
    assert ids(answer) == ["cs-1"]
    assert answer.json is not None and answer.json["next_offset"] is None
    hit = answer.json["hits"][0]
    assert "parts" not in hit and "answers" not in hit
    assert hit["language"] == "Czech"
    assert "".join(part["text"] for part in hit["snippet"]) == DOCUMENTS[0].text
    assert [part["text"] for part in hit["snippet"] if part["marked"]] == ["Nemocnice"]


def test_a_hit_in_another_language_shows_which_words_answer_the_query(client: FlaskClient) -> None:
    found = client.get("/api/v1/search?q=nemocnice&k=50&lang=en&explain=true").json
    assert found is not None
    hit = max(found["hits"], key=lambda hit: hit["parts"]["alignment"]["score"])
    (answer,) = hit["answers"]
    assert answer["word"] == "nemocnice" and answer["answer"].lower() == "hospital"
    assert 0.7 < answer["similarity"] <= 1
    near = [part["text"] for part in hit["snippet"] if part["near"]]
    assert near == ["hospital"] and not any(part["marked"] for part in hit["snippet"])
    shown = page(client, "/?q=nemocnice&k=50&lang=en")
    assert f"<bdi>{answer['answer']}</bdi>" in shown and '<mark class="near">' in shown
    document = page(client, f"/document?id={hit['id']}&q=nemocnice&at=0-{hit['passage']['end']}")
    assert '<mark class="near">' in document
    assert '<mark class="near">' not in page(client, "/?q=nemocnice&lang=cs")


def test_answers_keep_their_letters(client: FlaskClient) -> None:
    answer = client.get("/api/v1/document?id=bn-1")
    assert "প্রাগের" in answer.get_data(as_text=True)


@pytest.mark.parametrize("body", ["", "[]", "{", '"q"', "null", '{"q": 1}', '{"q": "a", "k": true}', '{"q": "a", "k": 1.5}', '{"q": "a", "lang": 7}', '{"q": "a", "lang": [7]}', '{"query": "a"}', '{"q": "\\ud800"}'])  # fmt: skip
def test_a_body_that_is_no_search_is_refused(client: FlaskClient, body: str) -> None:
    answer = client.post("/api/v1/search", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json is not None and set(answer.json["error"]) == {
        "code",
        "message",
        "problems",
        "request_id",
    }


def test_a_body_made_to_be_hard_is_refused_in_few_words(client: FlaskClient) -> None:
    for body in (
        "[" * 500_000,
        json.dumps({f"f{i}": 1 for i in range(50_000)}),
        json.dumps({"q": "a", "lang": [f"l{i}" for i in range(50_000)]}),
        json.dumps({"z" * 900_000: 1}),
    ):
        answer = client.post("/api/v1/search", data=body)
        assert answer.status_code == 400 and len(answer.data) < 5_000


def test_errors_of_the_api_are_json(client: FlaskClient) -> None:
    for answer, status in (
        (client.get("/api/v1/nowhere"), 404),
        (client.delete("/api/v1/search"), 405),
        (client.post("/api/v1/search", data=b" " * (2 << 20)), 413),
        (client.get("/api/v1/document?id=none"), 404),
    ):
        assert answer.status_code == status
        assert answer.json is not None and answer.json["error"]["message"]
    assert "GET" in client.delete("/api/v1/search").headers["Allow"]


def test_the_description_matches_the_answers(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json
    assert described is not None and described["openapi"] == "3.1.0"
    schemas = described["components"]["schemas"]
    assert schemas["Asked"]["properties"]["q"]["maxLength"] == 10_000
    references = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described))
    assert references and set(references) <= set(schemas)
    for path, schema in (
        ("/api/v1/search?q=hospital&explain=1", "Found"),
        ("/api/v1/info", "Info"),
        ("/api/v1/document?id=en-1", "Document"),
        ("/healthz", "Health"),
        ("/readyz", "Ready"),
        ("/api/v1/search?q=", "Error"),
    ):
        conforms(client.get(path).json, {"$ref": f"#/components/schemas/{schema}"}, schemas, path)
    routes = {rule.rule for rule in client.application.url_map.iter_rules()}
    pages = {
        "/",
        "/document",
        "/compare",
        "/judge",
        "/docs",
        "/openapi.json",
        "/api/v1/openapi.json",
    }
    written = re.sub(r"{(\w+)}", r"<\1>", " ".join(described["paths"])).split()
    routes = {re.sub(r"<(?:path:)?(?:\w+_)?id>", "<id>", route) for route in routes}
    assert set(written) == routes - pages - {"/static/<path:filename>"}


def conforms(value: Any, schema: dict[str, Any], schemas: dict[str, Any], place: str) -> None:
    """`value` has the schema's type and, for objects, exactly its fields (those required, at least)."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict, "null": type(None)}  # fmt: skip
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert any(isinstance(value, kinds[name]) for name in names), f"{place}: {value!r}"  # type: ignore[arg-type]
    if isinstance(value, list):
        for i, item in enumerate(value):
            conforms(item, schema["items"], schemas, f"{place}[{i}]")
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema["required"]) <= set(value) <= set(schema["properties"]), place
        for name, item in value.items():
            conforms(item, schema["properties"][name], schemas, f"{place}.{name}")
    elif isinstance(value, dict):
        for name, item in value.items():
            conforms(item, schema["additionalProperties"], schemas, f"{place}.{name}")


def test_metrics_count_what_happened(index: Path) -> None:
    client = create_app(Retriever.open(index)).test_client()
    for address in ("/?q=walnut", "/?q=xylophone&mode=lexical", "/?q=", "/api/v1/search?q=walnut"):
        client.get(address)
    answer = client.get("/metrics")
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert 'tandem_requests_total{endpoint="pages.search",status="200"} 2' in lines
    assert 'tandem_requests_total{endpoint="pages.search",status="400"} 1' in lines
    assert 'tandem_searches_total{mode="hybrid"} 2' in lines
    assert 'tandem_searches_without_hits_total{mode="lexical"} 1' in lines
    assert 'tandem_request_seconds_bucket{endpoint="pages.search",le="+Inf"} 3' in lines
    assert 'tandem_request_seconds_count{endpoint="pages.search"} 3' in lines
    assert "tandem_index_documents 31" in lines
    form = re.compile(r'# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? [\d.e+-]+')
    assert all(form.fullmatch(line) for line in lines)


# -- failures ----------------------------------------------------------------------------------------


class Away(Retriever):
    """A retriever whose service can be switched off: the error is set, and unset, from outside."""

    failure: Exception | None = None

    def search(self, *arguments: Any, **named: Any) -> Any:
        if self.failure:
            raise self.failure
        return super().search(*arguments, **named)


def test_a_service_that_is_away_is_503_and_comes_back(index: Path) -> None:
    retriever = Away(Retriever.open(index).collection)
    client = create_app(retriever).test_client()
    retriever.failure = BackendError("Elasticsearch does not answer at localhost:9200; start it")
    shown = client.get("/?q=hospital")
    assert shown.status_code == 503 and shown.headers["Retry-After"] == "5"
    assert "start it" in shown.text and ' value="hospital"' in shown.text
    answer = client.get("/api/v1/search?q=hospital")
    assert answer.status_code == 503 and answer.json is not None
    assert answer.json["error"]["code"] == "unavailable"
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    retriever.failure = None
    assert client.get("/?q=hospital").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_a_defect_is_logged_and_not_shown(index: Path, caplog: pytest.LogCaptureFixture) -> None:
    retriever = Away(Retriever.open(index).collection)
    client = create_app(retriever).test_client()
    retriever.failure = ZeroDivisionError("secret detail")
    for address in ("/?q=hospital", "/api/v1/search?q=hospital"):
        caplog.clear()
        answer = client.get(address)
        assert answer.status_code == 500
        assert "Traceback" not in answer.text and "secret detail" not in answer.text
        reference = re.search(r"says more at (\w{16})", answer.text)
        assert reference and reference.group(1) in caplog.text
        assert "Traceback" in caplog.text and "secret detail" in caplog.text


def test_a_foreign_host_name_is_refused(index: Path) -> None:
    client = create_app(Retriever.open(index), hosts={"localhost", "::1"}).test_client()
    assert client.get("/healthz", headers={"Host": "localhost:8000"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "[::1]:8000"}).status_code == 200
    for host in ("evil.example", "localhost.evil.example", "[", ""):
        answer = client.get("/?q=hospital", headers={"Host": host})
        assert answer.status_code == 400 and "Prague" not in answer.text


# -- a moving index ----------------------------------------------------------------------------------


def test_the_page_moves_to_a_new_commit(tmp_path: Path) -> None:
    path = tmp_path / "index"
    build_index(path, DOCUMENTS[:2], HashEncoder(), model="hash")
    client = create_app(Retriever.open(path), refresh_interval=0).test_client()
    assert "Zebra" not in page(client, "/?q=zebra")
    add_documents(path, [Document("z", "A zebra has stripes.", "Zebra", "", "sw")])
    assert "Zebra</a></h2>" in page(client, "/?q=zebra")
    assert "Swahili" in page(client, "/")
    assert "tandem_index_documents 3" in page(client, "/metrics")


def test_a_newer_commit_is_looked_for_at_most_once_a_second(index: Path) -> None:
    class Counting(Retriever):
        looks = 0

        def refresh(self) -> bool:
            self.looks += 1
            return super().refresh()

    now = 100.0
    retriever = Counting(Retriever.open(index).collection)
    live = Live(retriever, lambda: None, interval=1.0, clock=lambda: now)
    looks = []
    for now in (100.0, 100.9, 101.0, 101.5, 101.9, 102.1):  # noqa: B007 (the clock reads it)
        live.refresh()
        looks.append(retriever.looks)
    assert looks == [0, 0, 1, 1, 1, 2]


def test_no_request_is_dropped_while_the_index_moves(tmp_path: Path) -> None:
    path = tmp_path / "index"
    build_index(path, DOCUMENTS, HashEncoder(), model="hash")
    app = create_app(Retriever.open(path), refresh_interval=0)
    statuses: list[int] = []
    done = threading.Event()

    def ask() -> None:
        client = app.test_client()
        while not done.is_set():
            statuses.append(client.get("/api/v1/search?q=walnut+hospital").status_code)
            statuses.append(client.get("/document?id=cs-1").status_code)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(4):
        add_documents(path, [Document(f"new-{i}", f"late walnut {i}", "", "", "en")])
    done.set()
    for thread in threads:
        thread.join()
    assert len(statuses) > 20 and set(statuses) == {200}
    assert "new-3" in ids(app.test_client().get("/api/v1/search?q=late+walnut+3"))


def test_a_commit_that_cannot_be_opened_leaves_the_old_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "index"
    build_index(path, DOCUMENTS[:2], HashEncoder(), model="hash")
    client = create_app(Retriever.open(path), refresh_interval=0).test_client()
    (path / "manifest.json").write_text("{", encoding="utf-8")
    assert "Hospital of Prague" in page(client, "/?q=hospital")
    assert "could not be opened" in caplog.text
    failures = re.search(r"^tandem_refresh_failures_total (\d+)$", page(client, "/metrics"), re.M)
    assert failures and int(failures.group(1)) >= 1


# -- judging -----------------------------------------------------------------------------------------


@pytest.fixture
def grades(tmp_path: Path) -> Path:
    return tmp_path / "grades.tsv"


@pytest.fixture
def judge(index: Path, grades: Path) -> FlaskClient:
    return create_app(Retriever.open(index), judgments=Judgments(grades).open()).test_client()


def form(client: FlaskClient, address: str = "/?q=hospital") -> dict[str, str]:
    """The hidden fields of the first hit's form."""
    shown = client.get(address).text
    fields = re.findall(
        r'<input type="hidden" name="(\w+)" value="([^"]*)">', shown.split('class="judge"')[1]
    )
    return {name: html.unescape(value) for name, value in fields[:5]}


def rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text("utf-8").splitlines()]


def test_a_grade_is_written_and_shown(judge: FlaskClient, grades: Path) -> None:
    fields = form(judge)
    answer = judge.post("/judge", data=fields | {"label": "0.75"})
    assert answer.status_code == 303 and answer.headers["Location"] == "/?q=hospital#hit-1"
    assert rows(grades) == [
        list(COLUMNS),
        [
            "1",
            "hospital",
            "en-1",
            "The hospital in Prague is open all day.",
            "Hospital of Prague",
            "0.75",
        ],
    ]
    shown = judge.get("/?q=hospital").text
    assert re.findall(r'value="([\d.]+)"[^>]* aria-pressed="true"', shown) == ["0.75"]


def test_a_changed_grade_replaces_the_first(judge: FlaskClient, grades: Path) -> None:
    first, second = form(judge), form(judge, "/?q=nemocnice")
    for fields, label in ((first, "0"), (second, "1"), (first, "0.5"), (first, "0.5")):
        assert judge.post("/judge", data=fields | {"label": label}).status_code == 303
    assert [(row[0], row[2], row[5]) for row in rows(grades)[1:]] == [
        ("1", "en-1", "0.5"),
        ("2", "cs-1", "1"),
    ]
    assert list(grades.parent.iterdir()) == [grades]


def test_a_program_gets_json(judge: FlaskClient) -> None:
    answer = judge.post(
        "/judge", data=form(judge) | {"label": "1"}, headers={"Accept": "application/json"}
    )
    assert answer.json == {"label": "1", "judged": 1}


def test_only_the_page_itself_may_grade(judge: FlaskClient, grades: Path) -> None:
    fields = form(judge) | {"label": "1"}
    for headers, changed in (
        ({"Origin": "https://evil.example"}, {}),
        ({"Origin": "null"}, {}),
        ({}, {"token": ""}),
        ({}, {"token": "ž"}),
    ):
        assert judge.post("/judge", data=fields | changed, headers=headers).status_code == 403
    assert judge.get("/judge").status_code == 405
    assert judge.post("/judge", data=fields | {"label": "2"}).status_code == 400
    assert judge.post("/judge", data=fields | {"id": "none"}).status_code == 404
    for query in ("", " ", "???", "long " * 3000):
        assert judge.post("/judge", data=fields | {"q": query}).status_code == 400
    assert len(rows(grades)) == 1
    back = judge.post(
        "/judge",
        data=fields | {"back": "https://evil.example/?q=a"},
        headers={"Origin": "http://localhost"},
    )
    assert back.headers["Location"].startswith("/?q=a")
    broken = fields | {"rank": "1\r\nX-Evil: 1", "back": "/?q=a\r\nSet-Cookie: a=b"}
    answer = judge.post("/judge", data=broken)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?q=aSet-Cookie:%20a=b")
    assert "Set-Cookie" not in answer.headers and "X-Evil" not in answer.headers


def test_without_judge_mode_there_is_nothing_to_grade(client: FlaskClient) -> None:
    assert 'class="judge"' not in client.get("/?q=hospital").text
    assert client.post("/judge", data={}).status_code == 404


def test_values_never_hold_tabs_or_line_breaks(grades: Path) -> None:
    judgments = Judgments(grades).open()
    judgments.give("two\twords\n", Document("d", "one\ttwo\r\nthree\u2028four", "a\nb"), "0.25")
    assert rows(grades)[1] == ["1", "two words", "d", "one two three four", "a b", "0.25"]
    assert judgments.grade("two words", "d") == "0.25"
    judgments.give("q", Document("two  blanks\u00a0", "text"), "1")
    assert rows(grades)[2][2] == "two  blanks\u00a0"  # the index has it under this very id


def test_judging_goes_on_in_an_old_file(grades: Path) -> None:
    grades.write_text("ID\tquery\turl\tdoc\ttitle\tlabel\n7\tq\ta\tx\ty\t1.0", encoding="utf-8")
    judgments = Judgments(grades).open()
    assert judgments.grade("q", "a") == "1"
    judgments.give("q", Document("b", "text"), "0")
    assert [row[0] for row in rows(grades)[1:]] == ["7", "8"]
    grades.write_text(grades.read_text("utf-8").replace("\ta\t", "\tedited\t"), encoding="utf-8")
    judgments.give("q", Document("c", "text"), "0.5")  # what a person edited meanwhile is kept
    assert [row[2] for row in rows(grades)[1:]] == ["edited", "b", "c"]


def test_another_file_is_refused_untouched(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes\n", encoding="utf-8")
    with pytest.raises(DocumentError, match="no file of judgments"):
        Judgments(notes).open()
    assert notes.read_text("utf-8") == "my notes\n"
    with pytest.raises(DocumentError, match="cannot be kept there"):
        Judgments(tmp_path).open()
    with pytest.raises(DocumentError, match="cannot be kept there"):
        Judgments(tmp_path / "none" / "grades.tsv").open()
    notes.write_text("ID\tquery\turl\tdoc\ttitle\tlabel\n1\tshort\n", encoding="utf-8")
    with pytest.raises(DocumentError, match=r"notes\.txt:2: 2 columns"):
        Judgments(notes).open()


def test_many_judges_lose_nothing(grades: Path) -> None:
    judgments = Judgments(grades).open()

    def judge(name: int) -> None:
        for i in range(10):
            judgments.give(f"q{name}", Document(f"d{i}", "text"), "0")
            judgments.give(f"q{name}", Document(f"d{i}", "text"), "1")

    threads = [threading.Thread(target=judge, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = rows(grades)[1:]
    assert len(written) == 40 == len({row[0] for row in written})
    assert {row[5] for row in written} == {"1"}


def test_pages_that_share_a_file_lose_nothing(grades: Path) -> None:
    pages = [Judgments(grades).open() for _ in range(4)]  # as of several processes

    def judge(number: int) -> None:
        for i in range(10):
            pages[number].give(f"q{number}", Document(f"d{i}", "text"), "0")
            pages[number].give(f"q{number}", Document(f"d{i}", "text"), "1")

    threads = [threading.Thread(target=judge, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = rows(grades)[1:]
    assert len(written) == 40 == len({row[0] for row in written})
    assert {row[5] for row in written} == {"1"}


def test_evaluation_reads_the_grades(judge: FlaskClient, grades: Path) -> None:
    from eval.formats.dareczech import read_records

    judge.post("/judge", data=form(judge) | {"label": "0.75"})
    assert [(r.query, r.document_id, r.label) for r in read_records(grades)] == [
        ("hospital", "en-1", 0.75)
    ]


# -- the command -------------------------------------------------------------------------------------


def test_serve_answers_and_ends_cleanly(index: Path, tmp_path: Path) -> None:
    import signal
    import subprocess
    import sys
    import urllib.request

    command = [
        sys.executable,
        "-m",
        "tandem",
        "serve",
        "-i",
        str(index),
        "--port",
        "0",
        "--judge",
        str(tmp_path / "g.tsv"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        url = re.search(r"http://127\.0\.0\.1:\d+/", process.stderr.readline())
        assert url
        with urllib.request.urlopen(url.group() + "?q=hospital", timeout=120) as answer:
            assert b"Hospital of Prague" in answer.read()
            assert "server" not in {name.lower() for name in answer.headers}
        long = urllib.request.Request(url.group() + "?q=" + "%C4%8D" * 100_000)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(long, timeout=120)
        with refused.value as error:
            assert error.code == 400 and b"100,000 characters" in error.read()
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said
    assert out == "" and "Traceback" not in said


def test_a_port_in_use_names_the_cure(app: Flask) -> None:
    import socket

    from webui.server import listen

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigError, match=f"port {port} on 127.0.0.1 is in use; .*--port {port + 1}"
        ):
            listen(app, "127.0.0.1", port, 1)
    with pytest.raises(ConfigError, match="no address of this machine"):
        listen(app, "no.such.host.invalid", 0, 1)


def test_listening_elsewhere_is_warned_of(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import webui.server
    from webui.cli import serve

    monkeypatch.setattr(webui.server, "run", lambda server: server.close())
    arguments = ["-i", str(index), "--port", "0"]
    quiet = CliRunner().invoke(serve, arguments)
    assert quiet.exit_code == 0 and "Warning" not in quiet.stderr and quiet.stdout == ""
    warned = CliRunner().invoke(serve, [*arguments, "--host", "0.0.0.0"])
    assert "Warning: everybody who reaches 0.0.0.0" in warned.stderr


def test_serve_refuses_a_folder_that_is_no_index(tmp_path: Path) -> None:
    from webui.cli import serve

    result = CliRunner().invoke(serve, ["-i", str(tmp_path)])
    assert isinstance(result.exception, TandemError) and "not an index folder" in str(
        result.exception
    )


def test_settings_reach_the_page(index: Path) -> None:
    settings = SearchSettings(k=3, mode="dense", max_query=20)
    client = create_app(Retriever.open(index, settings=settings), settings).test_client()
    answer = client.get("/api/v1/search?q=walnut")
    assert len(ids(answer)) == 3 and answer.json is not None and answer.json["mode"] == "dense"
    assert client.get("/api/v1/search?q=" + "a" * 21).status_code == 400


def test_hits_are_exported_as_files(client: FlaskClient) -> None:
    text = page(client, "/?q=hospital")
    link = re.search(r'href="(/api/v1/search\?[^"]*format=csv[^"]*)"', text)
    assert link is not None
    answer = client.get(html.unescape(link.group(1)))
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == 'attachment; filename="hits.csv"'
    rows = list(csv.reader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))
    assert rows[0][:8] == ["rank", "id", "score", "close", "lang", "title", "url", "passage"]
    shown = client.get("/api/v1/search?q=hospital").get_json()["hits"]
    assert [row[1] for row in rows[1:]] == [hit["id"] for hit in shown]
    lines = client.get("/api/v1/search?q=hospital&format=jsonl&k=3").get_data(as_text=True)
    assert [json.loads(line)["id"] for line in lines.splitlines()] == [
        hit["id"] for hit in shown[:3]
    ]
    refused = client.get("/api/v1/search?q=hospital&format=xls")
    assert refused.status_code == 400
    assert "choose one of json, csv, jsonl" in refused.get_data(as_text=True)
    both = client.get("/api/v1/search?q=hospital&format=xls&k=many").get_json()["error"]["problems"]
    assert [problem["field"] for problem in both] == ["format", "k"]
    posted = client.post("/api/v1/search", json={"q": "hospital", "format": "csv"}).get_json()
    assert "POST answers with JSON" in posted["error"]["problems"][0]["message"]


def test_a_cell_that_a_spreadsheet_would_compute_is_text() -> None:
    document = Document("=1+1", "text", "@SUM(A1)", "", "en", {"price": "-3", "=cmd": "+1"})
    hit = Hit(document, Passage("=1+1", 0, "text", 0, 4), 0.5, 1, {})
    out = exported("q", [hit], 0.0, "csv")
    rows = list(csv.reader(io.StringIO(out.removeprefix("\ufeff"))))
    assert rows[0][-2:] == ["price", "'=cmd"]
    assert rows[1][:3] == ["1", "'=1+1", "0.5"]
    assert rows[1][5] == "'@SUM(A1)" and rows[1][-2:] == ["'-3", "'+1"]


def test_the_first_page_offers_questions_and_languages_as_links(index: Path) -> None:
    client = create_app(Retriever.open(index), examples=["kde je nemocnice?"]).test_client()
    text = page(client, "/")
    assert 'href="/?q=kde+je+nemocnice?"' in text or "kde+je+nemocnice" in text
    assert 'href="/?lang=cs"' in text
    assert re.search(r'last changed <time datetime="20\d\d-', text)
    only = page(client, "/?lang=cs")
    assert "Only in Czech" in only and 'name="lang" value="cs"' in only
    twenty = page(client, "/?q=walnut&k=20")
    assert "<strong>20</strong>" in twenty and len(re.findall('<li class="hit"', twenty)) == 20


def test_a_document_is_shown_where_similar_ones_cannot_be_searched(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise BackendError("the cluster is away")

    monkeypatch.setattr("webui.live_index.Live.similar", away)
    text = page(client, "/document?id=untitled&q=owl")
    assert "It hunts at night." in text and "More like this" not in text
    assert client.get("/api/v1/similar?id=untitled").status_code == 503


def test_documents_like_one_are_given_to_programs(client: FlaskClient) -> None:
    found = client.get("/api/v1/similar?id=untitled&k=3")
    assert found.status_code == 200 and found.json is not None
    hits = found.json["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert "untitled" not in [hit["id"] for hit in hits]
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    czech = client.get("/api/v1/similar?id=untitled&lang=cs").json
    assert czech is not None and {hit["lang"] for hit in czech["hits"]} == {"cs"}
    assert client.get("/api/v1/similar?id=none").status_code == 404
    wrong = client.get("/api/v1/similar?id=untitled&k=0&lang=xx")
    assert wrong.status_code == 400 and wrong.json is not None
    codes = {problem["code"] for problem in wrong.json["error"]["problems"]}
    assert codes == {"k_out_of_range", "language_unknown"}
    assert "the fields are id, k, lang" in client.get("/api/v1/similar?id=untitled&q=owl").get_data(
        True
    )


def test_what_is_typed_is_completed_for_programs(client: FlaskClient) -> None:
    found = client.get("/api/v1/suggest?q=ow").json
    assert found is not None and found["query"] == "ow"
    assert all("ow" in one.lower() for one in found["suggestions"])
    assert client.get("/api/v1/suggest").json == {"query": "", "suggestions": []}
