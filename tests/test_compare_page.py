"""`/compare`: two ways to search, the same query, and what only one of them found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document
from retriever.retriever import Retriever
from webui.app import create_app

DOCUMENTS = [
    Document("cs-1", "Nemocnice v Praze je otevřena celý den.", "Pražská nemocnice", "", "cs"),
    Document("en-1", "The hospital in Prague is open all day.", "Hospital", "", "en"),
    *(Document(f"n-{i:02}", f"walnut number {i}", f"Walnut {i}", "", "en") for i in range(25)),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    path: Path = tmp_path_factory.mktemp("compare") / "index"
    build_index(path, DOCUMENTS, HashEncoder(), model="hash")
    return create_app(Retriever.open(path)).test_client()


def test_both_lists_and_what_only_one_has(client: FlaskClient) -> None:
    answer = client.get("/compare?q=hospital&left=lexical&right=dense")
    assert answer.status_code == 200
    left, right = re.findall(r"<section aria-labelledby.*?</section>", answer.text, re.DOTALL)
    assert left.count("<li>") == 1 and "Hospital</a>" in left  # one document has the word
    assert right.count("<li>") == 10  # by meaning each document has some place
    assert "only here" not in left or "only here" in right
    assert "1 of 10 hits stand in both lists" in answer.text


def test_the_same_way_twice_differs_in_nothing(client: FlaskClient) -> None:
    text = client.get("/compare?q=walnut&left=rrf&right=rrf").text
    assert "10 of 10 hits" in text and "only here" not in text and "right: " not in text


def test_settings_reach_the_search(client: FlaskClient) -> None:
    text = client.get("/compare?q=walnut&left=hybrid&right=rrf").text
    scores = re.findall(r"Score </span>([^<]+)</span>", text)
    assert scores[0] != scores[10]  # RRF's are sums of 1 / (60 + rank)


def test_the_filter_of_the_search_holds_on_both_sides(client: FlaskClient) -> None:
    text = client.get("/compare?q=walnut&lang=cs").text
    assert text.count('<span class="language">Czech') == 2 and "English" not in text
    assert '<input type="hidden" name="lang" value="cs">' in text


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/compare?q=walnut&left=hybird", "There is no way to search &#39;hybird&#39;"),
        ("/compare?q=", "The query is empty"),
        ("/compare?q=walnut&lang=xx", "holds no documents in"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(client: FlaskClient, address: str, said: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 400 and said in answer.text


def test_without_a_query_it_asks_for_one(client: FlaskClient) -> None:
    answer = client.get("/compare")
    assert answer.status_code == 200 and "Type a query" in answer.text
    assert 'href="/compare?q=walnut"' in client.get("/?q=walnut").text
