"""What a word says, as the static student learned it: stop words of many languages weigh little in any collection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from configs.settings import SearchSettings
from indexer.build import build_index
from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.opening import open_encoder
from indexer.encoders.word_weights import WordWeights
from indexer.folder import IndexFolder
from indexer.schema import Document
from indexer.text.analysis import weighted_terms
from retriever.retriever import Retriever

STOP = "the of and in je se na že der die und les des para que и в на что va et til ve".split()
SAYING = "hospital robot castle nemocnice Krankenhaus bibliothèque больница hastane sjukhus volcano".split()


def test_stop_words_weigh_little_and_names_much() -> None:
    weights = WordWeights()
    assert max(weights(STOP)) < 0.5
    assert min(weights(SAYING)) > 0.7
    assert all(0.0 <= weight <= 1.0 for weight in weights(STOP + SAYING))
    assert weights([]) == []


def test_a_word_that_the_student_cannot_read_weighs_all() -> None:
    assert WordWeights()(["\U00010600", "…"])[0] > 0.0


def test_weights_are_the_same_whatever_encoder_the_index_has() -> None:
    words = STOP + SAYING
    assert WordWeights(HashEncoder(32))(words) == WordWeights(open_encoder("fast"))(words)


def test_forms_that_stand_for_one_another_share_a_weight() -> None:
    found = {
        (t.stream, t.text): t.weight for t in weighted_terms("psa", ["cs"], 0.3, lambda _: [0.5])
    }
    assert found == {("words", "psa"): 0.15, ("stems", "psa"): 0.25, ("stems", "pes"): 0.25}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = {
        "robot": "A Czech play gave us the word robot; its author heard it from his brother.",
        "tides": "Who pulls the sea? The moon is the cause of the tides, and the sun is too.",
        "printer": "The printer is the author of the book, they said, and who is not.",
        "bread": "Is the bread of the day in the oven? The smell is all over the house.",
        "ferry": "The ferry leaves the island at noon.",
    }
    path = tmp_path_factory.mktemp("weights") / "i"
    build_index(
        path, [Document(id_, text, lang="en") for id_, text in texts.items()], HashEncoder(64)
    )
    return path


def test_the_word_that_says_something_decides(small: Path) -> None:
    retriever = Retriever(IndexFolder.open(small, HashEncoder(64)))
    for question in (
        "who is the author of the robot word",
        "what is the robot",
        "is the robot of the day here",
    ):
        assert retriever.search(question, 1, "lexical")[0].document.id == "robot"


def test_a_query_of_stop_words_matches_nothing_much(small: Path) -> None:
    folder = IndexFolder.open(small, HashEncoder(64))
    (the, robot) = folder.queries(["the", "robot"])
    keys = np.arange(5)
    scores = [
        folder.lexical.score(query, keys).max() / folder.lexical.bounds(query)[1]
        for query in (the, robot)
    ]
    assert scores[0] < 0.6 * scores[1]


def test_the_exact_form_wins_when_it_is_typed_with_accents(tmp_path: Path) -> None:
    texts = [
        "Chci být doma.",
        "Máme nový byt.",
        "Stojí tam dlouhá řada lidí.",
        "To je moje rada, lidé.",
    ]
    documents = [Document(str(n), text, lang="cs") for n, text in enumerate(texts)]
    build_index(tmp_path / "i", documents, HashEncoder(64))
    retriever = Retriever(IndexFolder.open(tmp_path / "i", HashEncoder(64)), SearchSettings())

    def found(query: str) -> list[str]:
        return [hit.document.id for hit in retriever.search(query, 4, "lexical")]

    assert found("být")[0] == "0"
    assert found("řada")[0] == "2"
    assert set(found("rada")) == {"2", "3"}
    assert {"0", "1"} <= set(found("byt")), "without accents both are found"
    assert {"0", "1"} <= set(found("být"))
