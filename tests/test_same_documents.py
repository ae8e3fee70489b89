"""A document that stands in a list twice, or in several languages, is shown once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import runner

from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document, Hit, Passage
from retriever.retriever import Retriever
from retriever.same_documents import merged
from webui.app import create_app

DOCUMENTS = [
    Document("guide/en/fire.html", "The fire brigade comes at once.", "Fire", "", "en"),
    Document("guide/de/fire.html", "Die Feuerwehr kommt sofort, fire.", "Feuer", "", "de"),
    Document("copy", "The FIRE  brigade\ncomes – at once!", "Fire", "", "en"),
    Document("other", "A fire burned in the stove of the brigade.", "Stove", "", "en"),
    Document("guide/en/water.html", "The water brigade: no fire.", "Water", "", "en"),
    Document("article-en-1", "fire one", "", "", "en"),
    Document("article-de-1", "fire two", "", "", "de"),
]


def hits(documents: list[Document]) -> list[Hit]:
    return [
        Hit(one, Passage(one.id, 0, one.text, 0, len(one.text)), 1.0 - n / 10, n + 1, {})
        for n, one in enumerate(documents)
    ]


def test_the_same_text_and_the_same_id_in_another_language_are_one_document() -> None:
    found = [
        (hit.document.id, [other.document.id for other in same])
        for hit, same in merged(hits(DOCUMENTS))
    ]
    assert found == [
        ("guide/en/fire.html", ["guide/de/fire.html", "copy"]),
        ("other", []),
        ("guide/en/water.html", []),
        ("article-en-1", []),
        ("article-de-1", []),
    ]
    assert merged([]) == []


def test_the_page_and_the_terminal_show_it_once_and_programs_get_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_index(tmp_path / "ix", DOCUMENTS, HashEncoder(64), model="hash:64")
    run = runner(capsys)
    shown = run("search", "fire brigade", "-i", tmp_path / "ix").out
    assert shown.count("Fire  [en]") == 1
    (also,) = [line for line in shown.splitlines() if line.startswith("     also ")]
    assert "[de] guide/de/fire.html" in also
    lines = run("search", "fire brigade", "-i", tmp_path / "ix", "--json").out.splitlines()
    assert {json.loads(line)["id"] for line in lines} == {document.id for document in DOCUMENTS}
    client = create_app(Retriever.open(tmp_path / "ix")).test_client()
    page = client.get("/?q=fire+brigade").get_data(as_text=True)
    assert page.count('<li class="hit"') == 5
    assert "Also in " in page
    assert ">German</bdi>" in page
    assert "q=fire+brigade&amp;apart=1" in page
    page = client.get("/?q=fire+brigade&apart=1").get_data(as_text=True)
    assert page.count('<li class="hit"') == 7 and "Show a document once" in page
    assert '<input type="hidden" name="apart" value="1">' in page
