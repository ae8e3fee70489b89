"""docs/languages.md says what the tables of the code say."""

from __future__ import annotations

import re

from docs.make_languages import OWN, ROOT, TAUGHT, page, script
from indexer.text.languages import NAMES


def test_the_page_is_that_of_the_code() -> None:
    written = (ROOT / "docs" / "languages.md").read_text("utf-8")
    assert written == page(), "run `make docs`"


def test_every_language_is_on_it() -> None:
    lines = [line for line in page().splitlines() if line.startswith("| ") and "`" in line]
    assert len(lines) == len(NAMES) > 60
    assert set(OWN) == set(NAMES)


def test_what_it_says_of_some() -> None:
    lines = {
        line.split("`")[1]: line
        for line in page().splitlines()
        if line.startswith("| ") and "`" in line
    }
    assert "| Czech | cs |" in lines["cs"]
    assert "prefixes" in lines["he"]
    assert "both alphabets" in lines["sr"]
    assert "capital I" in lines["tr"]
    assert "| bigrams |" in lines["zh"] and "| bigrams |" in lines["th"]
    assert (script("hi"), script("zh"), script("en")) == ("DEVANAGARI", "CJK", "LATIN")


def test_the_languages_of_fast_are_those_of_its_model_card() -> None:
    card = (ROOT / "indexer/encoders/fast/MODEL_CARD.md").read_text("utf-8")
    counted = re.findall(r"\b([a-z]{2})\s\d{4,}(?=[,.])", card)  # of pairs
    assert {"en", *counted} == TAUGHT
