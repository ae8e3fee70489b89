"""CSV and TSV files as spreadsheets write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import read, write

from indexer.schema import Document
from indexer.text.records import Columns
from indexer.text.sources import ReadOptions

EXPECTED = [
    Document("1", "The old, old bridge is closed", "Bridge"),
    Document("2", "The ferry runs", "Ferry"),
]
ROWS = [["id", "title", "text"], ["1", "Bridge", "The old, old bridge is closed"], ["2", "Ferry", "The ferry runs"]]  # fmt: skip


def joined(separator: str, end: str = "\n", quote: str = "") -> str:
    return "".join(separator.join(f"{quote}{c}{quote}" for c in row) + end for row in ROWS)


@pytest.mark.parametrize(
    "content",
    [
        joined(";"),
        joined("\t"),
        joined("|"),
        joined(",", quote='"'),
        joined(", ", quote='"'),
        joined(",", "\r\n", '"'),
        joined(",", "\r", '"'),
        joined("\t", "\r"),
        "sep=;\r\n" + joined(";", "\r\n"),
        '"sep=|"\n' + joined("|"),
        "\n\n" + joined(";"),
        joined(";").replace("id;title;text", " ID ;Title; Text "),
        joined(";").replace("\n", ";;\n"),
        joined(",", quote='"').encode("utf-16"),
        joined("\t", "\r\n").encode("utf-16"),
        b"\xfe\xff" + joined(";", "\r").encode("utf-16-be"),
        joined(";").encode("utf-8-sig"),
        joined("\t").encode("utf-32"),
    ],
)
def test_separators_line_ends_quotes_and_marks_of_all_kinds(
    tmp_path: Path, content: str | bytes
) -> None:
    found = read(write(tmp_path / "a.csv", content))
    assert found.documents == EXPECTED
    assert found.rejects == []


def test_a_tsv_that_holds_commas_is_read_by_its_commas(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.tsv", joined(",", quote='"')))
    assert found.documents == EXPECTED


def test_a_table_of_one_column_keeps_its_commas(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.csv", "text\nfirst, second\nthird\n"))
    assert found.texts == ["first, second", "third"]


@pytest.mark.parametrize(
    "name", ["body", "Content", "contents", "PASSAGE", "abstract", "page content", "Full-Text"]
)
def test_the_usual_names_of_a_text_are_known(tmp_path: Path, name: str) -> None:
    found = read(write(tmp_path / "a.csv", f"DocID,Title,{name}\n1,Bridge,It is closed\n"))
    assert found.documents == [Document("1", "It is closed", "Bridge")]


def test_text_in_a_column_of_another_name_is_told_with_the_cure(tmp_path: Path) -> None:
    text = "it will be closed until spring comes"
    file = write(tmp_path / "a.csv", f"id,title,remark,year\n1,Bridge,{text},1999\n")
    told = read(file).notes
    assert told == [
        "text that is not searched stands in the field remark: search it with --text-field remark",
        "kept with the documents, shown and filtered by, not searched: the field year",
    ]
    found = read(file, options=ReadOptions(columns=Columns(texts=("Remark",))))
    assert found.documents == [Document("1", text, "Bridge", fields={"year": "1999"})]


def test_several_named_columns_are_one_text(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "nr,name,summary,body\n7,Bridge,short,long\n8,Ferry,,long\n")
    columns = Columns(texts=("summary", "body"), title="name", id="nr")
    found = read(file, options=ReadOptions(columns=columns))
    assert found.documents == [
        Document("7", "short\n\nlong", "Bridge"),
        Document("8", "long", "Ferry"),
    ]


def test_without_a_column_of_ids_rows_have_their_numbers(tmp_path: Path) -> None:
    write(tmp_path / "sub/a.csv", "name,text\nx,one\n\ny,two\n")
    write(tmp_path / "b.jsonl", '{"id": "b", "text": "three"}\n')
    found = read(tmp_path)
    assert found.ids == ["b", "sub/a.csv#1", "sub/a.csv#2"]
    assert found.notes[0].startswith(
        "no column of ids, so rows have their numbers for ids (a.csv#1): sub/a.csv"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("alpha,beta\n1,2\n", "the header (alpha, beta) names no column of text; name it: --text-field"),
        ("\n\n", "the table is empty"),
        ('"id,text\n1,x\n', "names no column of text"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_one_reject_and_the_folder_goes_on(
    tmp_path: Path, content: str, reason: str
) -> None:
    write(tmp_path / "a.csv", content)
    write(tmp_path / "b.txt", "text")
    found = read(tmp_path)
    assert found.ids == ["b.txt"]
    assert [place.partition(":")[0] for place, _ in found.rejects] == ["a.csv"]
    assert reason in found.rejects[0][1]


def test_a_column_that_was_named_and_is_not_there_is_told(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,text\n1,x\n")
    found = read(file, options=ReadOptions(columns=Columns(texts=("remark",))))
    assert found.rejects == [("a.csv:1", "the header (id, text) names no column 'remark'")]


def test_a_carriage_return_in_a_cell_is_no_traceback(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.csv", "id,text\n1,a\rb\n2,good\n"))
    assert found.ids == ["2"]
    assert found.rejects == [
        (
            "a.csv:2",
            "no CSV: a carriage return within a cell without quotes; save it with line ends of one kind",
        )
    ]


def test_columns_of_the_same_name_or_of_none_keep_their_cells(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.csv", "id,text,note,note,\n1,x,first,second,third\n"))
    assert found.documents[0].fields == {"note": "first", "note (4)": "second", "column 5": "third"}


def test_a_language_by_its_name_is_one_and_another_word_is_a_field(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.csv", "id,text,language\n1,x,German\n2,y,Middle Saxon\n"))
    assert [(d.lang, dict(d.fields)) for d in found.documents] == [
        ("de", {}),
        ("", {"language": "Middle Saxon"}),
    ]
