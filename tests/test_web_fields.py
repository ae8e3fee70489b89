"""Fields on the page and in its API: shown, filtered by, sorted by, counted."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from indexer.build import add_documents, build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document
from retriever.retriever import Retriever
from webui.app import create_app
from webui.field_filter import chosen, condition

EVIL = '"><script>alert(1)</script>'
DOCUMENTS = [
    Document("a", "The bridge is closed", "A", "", "en", {"date": "1880-05-01", "paper": "Zeit", "price": "3"}),
    Document("b", "The bridge is open", "B", "", "en", {"date": "1881", "paper": "Die Welt", "price": "4"}),
    Document("c", "The bridge was sold", "C", "", "en", {"date": "1879", "paper": EVIL, "note": "x" * 500}),
    *(Document(f"n{n}", f"A bridge again {n}", "", "", "en", {"street": f"Street {n}"}) for n in range(20)),
]  # fmt: skip


@pytest.fixture
def index(tmp_path: Path) -> Path:
    build_index(tmp_path / "ix", DOCUMENTS, HashEncoder(), model="hash")
    return tmp_path / "ix"


@pytest.fixture
def client(index: Path) -> FlaskClient:
    return create_app(Retriever.open(index, device="cpu")).test_client()


def shown(client: FlaskClient, **query: Any) -> list[str]:
    answer = client.get("/", query_string={"q": "bridge", "k": "50", **query})
    assert answer.status_code == 200, answer.text
    return sorted(re.findall(r'<bdi class="place">(\w+)</bdi>', answer.text))


def test_fields_stand_under_the_title_and_long_ones_do_not(client: FlaskClient) -> None:
    text = client.get("/?q=bridge+closed").text
    assert "<dt>paper</dt> <dd><bdi>Zeit</bdi></dd>" in text
    assert "<dt>date</dt> <dd><bdi>1880-05-01</bdi></dd>" in text
    assert "x" * 200 not in text
    assert "<script>alert" not in text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"f.paper": "Zeit"}, ["a"]),
        ({"f.paper": ["Zeit", "Die Welt"]}, ["a", "b"]),
        ({"f.paper": EVIL}, ["c"]),
        ({"min.date": "1880"}, ["a", "b"]),
        ({"min.date": "1880", "max.price": "3"}, ["a"]),
        ({"where": "paper!=Zeit and date>=1870", "max.date": "1880"}, ["c"]),
        ({"where": "price>3 or paper=Zeit", "f.paper": "Die Welt"}, ["b"]),
        ({"f.street": "Street 7"}, ["n7"]),
        ({"f.paper": "", "min.date": " ", "where": " "}, sorted(d.id for d in DOCUMENTS)),
    ],
)
def test_the_controls_filter_without_javascript(
    client: FlaskClient, query: dict[str, Any], expected: list[str]
) -> None:
    assert shown(client, **query) == expected


def test_the_form_shows_what_was_chosen_and_links_keep_it(client: FlaskClient) -> None:
    text = client.get("/?q=bridge&f.paper=Zeit&min.date=1880&where=price<9&sort=-date").text
    assert re.search(r'name="f.paper" value="Zeit" checked', text)
    assert 'name="min.date" value="1880"' in text
    assert 'name="where" value="price&lt;9"' in text
    assert '<option value="-date" selected>' in text
    assert "<summary>By date, paper, condition</summary>" in re.sub(r">\s+", ">", text)
    links = [unescape(link) for link in re.findall(r'<a href="(/\?q=bridge[^"]*)"', text)]
    modes = [link for link in links if "mode=" in link]
    assert modes and all(
        part in link for link in modes for part in ("f.paper=Zeit", "min.date=1880", "sort=-date")
    )
    bare = next(link for link in links if "f.paper" not in link and "where" not in link)
    assert "sort=-date" in bare
    paged = client.get("/?q=bridge&k=5&min.date=").text
    assert "offset=5" in paged
    many = client.get("/?q=bridge").text  # more than a dozen values are typed, with suggestions
    assert re.search(r'name="f.street" value="" list="values-\d"', many)
    assert '<option value="Street 3">' in many


def test_a_field_that_nobody_has_is_told_with_the_nearest(client: FlaskClient) -> None:
    answer = client.get("/?q=bridge&where=papre%3DZeit")
    assert answer.status_code == 400
    assert "did you mean paper?" in unescape(answer.text)
    assert 'value="papre=Zeit"' in answer.text  # what was typed stays
    assert client.get("/?q=bridge&min.date=soon").status_code == 400
    assert client.get("/?q=bridge&sort=dat").status_code == 400


def test_the_api_filters_sorts_counts_and_shows(client: FlaskClient) -> None:
    answer: Any = client.get(
        "/api/v1/search",
        query_string={"q": "bridge", "where": "date>=1879", "sort": "-date", "facet": ["paper", "date"]},
    ).json  # fmt: skip
    assert [hit["id"] for hit in answer["hits"]] == ["b", "a", "c"]
    assert answer["hits"][0]["fields"] == {"date": "1881", "paper": "Die Welt", "price": "4"}
    assert answer["facets"]["paper"] == {"Zeit": 1, "Die Welt": 1, EVIL: 1}
    assert (answer["where"], answer["sort"]) == ("date>=1879", "-date")
    info: Any = client.get("/api/v1/info").json
    assert {"name": "date", "kind": "date"} in info["fields"]
    plain: Any = client.post("/api/v1/search", json={"q": "bridge", "where": "price=3"}).json
    assert [hit["id"] for hit in plain["hits"]] == ["a"]
    assert "facets" not in plain


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"where": "papre=1"}, "where_invalid"),
        ({"where": "date>="}, "where_invalid"),
        ({"where": 3}, "where_invalid"),
        ({"where": "(" * 5000}, "where_invalid"),
        ({"sort": "dat"}, "sort_unknown"),
        ({"sort": ["date"]}, "sort_invalid"),
        ({"facet": "dat"}, "facet_unknown"),
        ({"facet": [1]}, "facet_invalid"),
    ],
)
def test_the_api_names_what_is_wrong(client: FlaskClient, body: dict[str, Any], code: str) -> None:
    answer = client.post("/api/v1/search", json={"q": "bridge", **body})
    assert answer.status_code == 400
    told: Any = answer.json
    assert [problem["code"] for problem in told["error"]["problems"]] == [code]


def test_the_page_follows_an_index_that_gets_new_fields(index: Path) -> None:
    app = create_app(Retriever.open(index, device="cpu"), refresh_interval=0)
    client = app.test_client()
    assert "f.colour" not in client.get("/?q=bridge").text
    more = Document("r", "A red bridge", "R", "", "en", {"colour": "red"})
    add_documents(index, [more], HashEncoder())
    assert 'name="f.colour" value="red"' in client.get("/?q=bridge").text


def test_choices_become_one_condition() -> None:
    pairs = chosen([("f.a b", 'x"y'), ("f.a b", "z"), ("min.n", "3"), ("q", "w"), ("f.e", " ")])
    assert (
        condition("u=1 or u=2", pairs) == '(u=1 or u=2) and "n" >= "3" and "a b" in ("x\\"y", "z")'
    )
    assert condition(" ", ()) == ""
    assert len(chosen([("f.a", str(n)) for n in range(1000)])) == 50
