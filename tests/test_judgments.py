"""Judgments come in as they stand in the file, and a file that cannot be used says why."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from configs.errors import DocumentError
from eval.formats import beir, dareczech, trec
from eval.formats.file_kinds import sniff
from eval.formats.judgments import read_judgments
from eval.formats.topics import Topic, read_queries
from eval.sentences.tables import lines
from indexer.schema import Document

HEADER = "ID\tquery\turl\tdoc\ttitle\tlabel\n"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_qrels_become_grades_by_query_and_document(tmp_path: Path) -> None:
    path = written(tmp_path, "qrels.txt", "1 0 a 2\n1 0 b 0\n2 0 a 1\n")
    queries = written(tmp_path, "q.tsv", "1\tfirst\tcs\n2\tsecond\n")
    found = read_judgments(path, queries)
    assert found.qrels == {"1": {"a": 2, "b": 0}, "2": {"a": 1}}
    assert found.queries == {"1": Topic("1", "first", "cs"), "2": Topic("2", "second")}
    assert (found.format, found.relevant_from) == ("trec", 1)
    assert found.checksums.keys() == {"qrels.txt", "q.tsv"}


def test_a_header_is_told_by_its_last_column(tmp_path: Path) -> None:
    path = tmp_path / "qrels.tsv"
    path.write_text("query1\ta\t1\nquery2\tb\t0\n")  # no header: its ids only sound like one
    assert trec.read_qrels(path)[0] == {"query1": {"a": 1}, "query2": {"b": 0}}
    path.write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n")
    assert trec.read_qrels(path)[0] == {"q": {"a": 1}}


def test_a_gzip_file_that_was_damaged_is_refused_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "qrels.tsv.gz"
    packed = bytearray(gzip.compress(b"".join(b"q%d\ta\t1\n" % n for n in range(40_000))))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = b"\xff" * 40
    path.write_bytes(packed)
    for read in (lambda: trec.read_qrels(path), lambda: list(lines(path))):
        with pytest.raises(DocumentError, match="cannot be read"):
            read()


def test_queries_beside_qrels_are_found(tmp_path: Path) -> None:
    path = written(tmp_path, "qrels.txt", "1 0 a 2\n")
    written(tmp_path, "queries.jsonl", '{"_id": "1", "text": "one", "lang": "de"}\n')
    assert read_judgments(path).queries["1"] == Topic("1", "one", "de")


def test_queries_without_judgments_are_left_out_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "qrels.txt", "1 0 a 2\n")
    queries = written(tmp_path, "q.tsv", "1\tone\n2\ttwo\n3\tthree\n")
    found = read_judgments(path, queries)
    assert list(found.queries) == ["1"]
    assert found.notes == ("2 queries without judgments were left out",)


def test_a_beir_folder_is_read_back_as_written(tmp_path: Path) -> None:
    documents = [Document("a", "text", "title", "", "cs", {"year": "1999"}), Document("b", "only")]
    queries = {"q": Topic("q", "what?", "en")}
    beir.write_folder(tmp_path / "beir", documents, queries, {"q": {"a": 1, "b": 0}})
    found = read_judgments(tmp_path / "beir")
    assert (found.format, found.qrels, found.queries) == ("beir", {"q": {"a": 1, "b": 0}}, queries)
    assert list(beir.read_corpus(tmp_path / "beir" / "corpus.jsonl")) == documents


def test_a_classic_collection_is_read_as_a_folder(shared_data: Path) -> None:
    found = read_judgments(shared_data / "ir-classic" / "cranfield")
    assert (len(found.queries), sum(map(len, found.qrels.values()))) == (225, 1837)
    assert found.qrels["1"]["184"] == 3


def test_dareczech_groups_equal_queries_and_scales_labels(tmp_path: Path) -> None:
    rows = "1\tkočka\tu1\ttext\ttitul\t0.75\n2\tpes\tu2\tt\tt\t0\n3\tkočka\tu2\tt\tt\t0.5\n"
    found = read_judgments(written(tmp_path, "dev.tsv", HEADER + rows))
    assert found.qrels == {"q1": {"u1": 3, "u2": 2}, "q2": {"u2": 0}}
    assert found.queries["q1"].text == "kočka"
    # a label above 0.5 is relevant: 0.75, grade 3 of 4, is the first
    assert (found.scale, found.relevant_from) == (4, 3)


def test_dareczech_is_written_as_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", HEADER + '7\t"quoted" q\thttp://x\ta "doc\ttitle\t0.25\n')
    records = dareczech.read_records(path)
    dareczech.write_records(tmp_path / "b.tsv", records)
    assert (tmp_path / "b.tsv").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("known", "urls", "column", "documents"),
    [
        # numbers may be ids by chance: where both columns find as many, the url is meant
        ({"1", "2", "u1", "u2"}, {}, "url", ["u1", "u2", "u3"]),
        ({"1", "2", "3", "u1"}, {}, "ID", ["1", "2", "3"]),
        (set(), {"u1": "d1", "u3": "d3"}, "the documents' url", ["d1", "u2", "d3"]),
    ],
)
def test_dareczech_documents_are_told_by_the_column_that_finds_most(
    tmp_path: Path, known: set[str], urls: dict[str, str], column: str, documents: list[str]
) -> None:
    rows = "1\tq\tu1\tt\tt\t1\n2\tq\tu2\tt\tt\t0\n3\tq\tu3\tt\tt\t0\n"
    records = dareczech.read_records(written(tmp_path, "a.tsv", HEADER + rows))
    joined, told = dareczech.join(records, known, urls)
    assert ([record.document_id for record in joined], told) == (documents, column)


@pytest.mark.parametrize(("choice", "grade"), [("first", 1), ("highest", 2)])
def test_disagreeing_judgments_can_be_settled(
    tmp_path: Path, choice: dareczech.Disagreeing, grade: int
) -> None:
    trec_file = written(tmp_path, "q.txt", "1 0 a 1\n1 0 a 2\n1 0 b 0\n1 0 b 0\n")
    queries = written(tmp_path, "q.tsv", "1\tone\n")
    found = read_judgments(trec_file, queries, disagreeing=choice)
    assert found.qrels == {"1": {"a": grade, "b": 0}}
    assert found.notes == (
        "1 judgments stood twice with the same grade",
        f"1 judgments disagreed with another; the {choice} grade was taken",
    )
    rows = "1\tq\tu\td\tt\t0.25\n2\tq\tu\td\tt\t0.5\n"
    czech = read_judgments(written(tmp_path, "d.tsv", HEADER + rows), disagreeing=choice)
    assert czech.qrels == {"q1": {"u": grade}}
    assert [record.label for record in czech.records] == [grade / 4] * 2


def test_gzip_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "qrels.gz"
    path.write_bytes(gzip.compress("\ufeff1 0 á 1\r\n1 0 b 0\r\n".encode()))
    assert trec.read_qrels(path)[0] == {"1": {"á": 1, "b": 0}}


def test_a_run_is_ordered_as_trec_eval_orders_it(tmp_path: Path) -> None:
    text = "1 Q0 low 1 1.0 t\n1 Q0 a 2 2.0 t\n1 Q0 b 3 2.00000001 t\n1 Q0 top 4 1e3 t\n"
    run, tag = trec.read_run(written(tmp_path, "x.run", text))
    # a and b are one 32-bit number, and trec_eval goes from z to a
    assert [document for document, _ in run["1"]] == ["top", "b", "a", "low"]
    assert tag == "t"


def test_a_written_run_keeps_its_order(tmp_path: Path) -> None:
    run = {"1": [("a", 1.0), ("b", 1.0), ("c", 1.0), ("d", -2.5)], "2": [("z", 1e-12)]}
    trec.write_run(tmp_path / "x.run", run, "tag")
    back, _ = trec.read_run(tmp_path / "x.run")
    assert {q: [d for d, _ in r] for q, r in back.items()} == {
        "1": ["a", "b", "c", "d"],
        "2": ["z"],
    }
    assert back["1"][0][1] == 1.0 and back["1"][2][1] == pytest.approx(1.0, abs=1e-6)


def test_an_id_with_a_space_does_not_go_into_a_trec_file(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="'two words' cannot stand in a TREC file"):
        trec.write_run(tmp_path / "x.run", {"1": [("two words", 1.0)]}, "t")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 a 1\n1 0 b many\n", r"q.txt:2: grade 'many'; an integer from -2 to 100"),
        ("1 0 a 1\n1 0 b 1998\n", r"q.txt:2: grade '1998'"),
        ("1 0 a 1\n1 0 a 2\n", r"q.txt:2: query '1', document 'a' is judged twice, 1 and 2"),
        ("1 0 a 1\n1 0 b 1\n1 0\n", r"q.txt:3: 2 columns in '1 0'"),
        ("1 Q0 a 1 0.5 tag\n", "looks like a TREC run"),
        ("search: {k: 3}\n", "looks like plain text"),
        ('{"_id": "1", "text": "x"}\n', "looks like JSON lines with a query each"),
        ("<!DOCTYPE html><p>\n", "looks like an HTML page"),
        ("", "looks like an empty file"),
    ],
)
def test_bad_qrels_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read_judgments(written(tmp_path, "q.txt", text))


def test_equal_repeats_are_counted(tmp_path: Path) -> None:
    _, notes = trec.read_qrels(written(tmp_path, "q.txt", "1 0 a 1\n1 0 a 1\n"))
    assert notes == ("1 judgments stood twice with the same grade",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1\tq\tu\td\tt\t1.5\n", r"label '1.5' is not a number from 0 to 1"),
        ("1\tq\tu\td\tt\tgood\n", r":2: label 'good'"),
        ("1\tq\tu\td\tt\t1\n1\tq\tu\td\tt\t0\n", r"document 'u' is judged twice, 1 and 0"),
        ("1\t \tu\td\tt\t1\n", "the query has no text"),
        ("1\tq\tu\td\n", "4 columns, not 6"),
        ("1\tq\tu\td\tt\t0.333\n", "two decimals"),
    ],
)
def test_bad_dareczech_is_refused(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read_judgments(written(tmp_path, "d.tsv", HEADER + row))


def test_judged_queries_need_a_text(tmp_path: Path) -> None:
    path = written(tmp_path, "q.txt", "1 0 a 1\n2 0 a 1\n")
    with pytest.raises(DocumentError, match=r"none of its 2 queries has a text.*--queries"):
        read_judgments(path)
    queries = written(tmp_path, "q.tsv", "1\tone\n")
    with pytest.raises(
        DocumentError, match=r"1 of 2 judged queries have no text \('2'\); .*--allow-"
    ):
        read_judgments(path, queries)
    for text in ("1\tone\n", "1\tone\n2\t \n"):
        found = read_judgments(path, written(tmp_path, "q.tsv", text), allow_missing=True)
        assert (found.qrels, found.queries) == ({"1": {"a": 1}}, {"1": Topic("1", "one")})
        assert found.notes == ("1 judged queries have no text and were left out ('2')",)
    assert read_judgments(path, need_text=False).queries == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\tone\n1\ttwo\n", "'1' is used twice"),
        ("1\tone\n2\t \n", "query '2' has no text"),
        ('{"_id": "1", "text": ""}\n', "query '1' has no text"),
        ('{"_id": "1", "text": "a"}\n{"_id": \n', ":2: no JSON"),
        ("1 0 a 1\n1 0 b 1\n", "looks like TREC qrels"),
    ],
)
def test_bad_queries_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        read_queries(written(tmp_path, "q", text))


def test_queries_may_be_compressed_in_any_way(tmp_path: Path) -> None:
    text = b'{"_id": "1", "text": "one", "lang": "de"}\n'
    for ending, packed in ((".xz", lzma.compress(text)), (".gz", gzip.compress(text))):
        file = tmp_path / f"queries.jsonl{ending}"
        file.write_bytes(packed)
        assert read_queries(file) == {"1": Topic("1", "one", "de")}


def test_plain_lines_are_queries_numbered_by_line(tmp_path: Path) -> None:
    found = read_queries(written(tmp_path, "q.txt", "first query\n\nsecond query\n"))
    assert found == {"1": Topic("1", "first query"), "3": Topic("3", "second query")}


def test_text_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "q.txt"
    path.write_bytes(b"1 0 a 1\n1 0 b\xff 1\n")
    with pytest.raises(DocumentError, match=r"q.txt:2: not UTF-8"):
        trec.read_qrels(path)


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a.pdf", b"%PDF-1.7\n", "binary"),
        ("a.zip", b"PK\x03\x04rest", "binary"),
        ("a.yaml", b"search:\n  k: 3\n", "yaml"),
        ("a.json", b"[1, 2]\n", "json"),
        ("a.jsonl", b'{"id": "1", "title": "t", "text": "x"}\n', "documents"),
        ("a.tsv", b"a\tb\tc\td\ne\tf\tg\th\n", "tsv"),
        ("a.gz", b"\x1f\x8bnot really", "binary"),
    ],
)
def test_a_file_is_told_by_its_shape(tmp_path: Path, name: str, content: bytes, form: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert sniff(tmp_path / name) == form


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no such file or folder; a DaReCzech file"):
        read_judgments(tmp_path / "nowhere.tsv")
