"""Documents from every format, and what is set aside with its place and reason."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from configs.errors import DocumentError
from indexer.schema import Document
from indexer.text.rejects import Reject
from indexer.text.sources import MAX_CHARACTERS, check_document, count_bytes, read_documents


def read(*sources: object, stdin: bytes | None = None) -> tuple[list[Document], list[Reject]]:
    rejects: list[Reject] = []
    given = io.BytesIO(stdin) if stdin is not None else None
    found = list(read_documents([str(source) for source in sources], rejects.append, stdin=given))
    return found, rejects


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_json_lines_of_our_own_fields(tmp_path: Path) -> None:
    record = {"id": "a", "text": "x", "title": "T", "url": "u", "lang": "CS", "year": 1999,
              "fields": {"tags": ["p", "q"]}, "empty": None}  # fmt: skip
    file = write(tmp_path / "a.jsonl", json.dumps(record) + "\n\n" + '{"id": 7, "text": "seven"}')
    assert read(file) == (
        [
            Document("a", "x", "T", "u", "cs", {"year": "1999", "tags": '["p", "q"]'}),
            Document("7", "seven"),
        ],
        [],
    )


def test_beirs_fields(tmp_path: Path) -> None:
    file = write(tmp_path / "c.jsonl", '{"_id": "d1", "title": "T", "text": "x", "metadata": {}}\n')
    assert read(file)[0] == [Document("d1", "x", "T")]


def test_csv_with_quotes_and_lines_within_them(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", 'id,title,text,year\r\n1,"A, b","two\nlines",1999\r\n')
    assert read(file)[0] == [Document("1", "two\nlines", "A, b", fields={"year": "1999"})]


def test_csv_with_semicolons_and_a_byte_order_mark(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", b"\xef\xbb\xbfid;text\n1;a, b\n")
    assert read(file)[0] == [Document("1", "a, b")]


def test_tsv_takes_quotes_for_text(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tsv", 'doc_id\ttext\n1\t"quoted\n2\tplain\n')
    assert [document.text for document in read(file)[0]] == ['"quoted', "plain"]


def test_dareczech_gives_one_document_a_url(tmp_path: Path) -> None:
    lines = ["ID\tquery\turl\tdoc\ttitle\tlabel", "1\tq\thttp://a\ttext a\tA\t1",
             "2\tp\thttp://a\ttext a\tA\t0.25", '3\tp\thttp://b\ttext "b\tB\t0']  # fmt: skip
    found, rejects = read(write(tmp_path / "d.tsv", "\n".join(lines) + "\n"))
    assert found == [
        Document("http://a", "text a", "A", "http://a"),
        Document("http://b", 'text "b', "B", "http://b"),
    ]
    assert rejects == []


def test_text_markdown_and_html_files_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "notes/my_note.txt", "Plain text.")
    write(tmp_path / "notes/sub/b.md", "# Heading\n\nBody.")
    write(
        tmp_path / "notes/c.html",
        '<html lang="cs-CZ"><title>Titul</title><style>x{}</style><p>Jedna &amp; dvě<script>1</script>'
        "<svg><title>icon</title></svg><p>Tři",
    )
    write(tmp_path / "notes/.hidden/d.txt", "hidden")
    write(tmp_path / "notes/picture.png", b"\0")
    found, rejects = read(tmp_path / "notes")
    unknown = [(Path(r.place).name, r.reason) for r in rejects]
    assert unknown == [("picture.png", "unknown file type .png")]
    assert found == [
        Document("c.html", "Jedna & dvě\nTři", "Titul", lang="cs"),
        Document("my_note.txt", "Plain text.", "my note"),
        Document("sub/b.md", "Body.", "Heading"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_settings_a_note_begins_with_are_no_text(tmp_path: Path, end: str) -> None:
    lines = ["---", 'title: "Nemocnice: Motol"', "lang: cs-CZ", "tags: [a, b]", "---", "", "Text."]
    note = write(tmp_path / "a.md", end.join(lines))
    same = write(tmp_path / "b.md", "---\ntitle: One\n---\n# One\n\nText.")
    other = write(tmp_path / "c.md", "---\ntitle: One\nlang: klingon\n...\n# Two\nText.")
    rule = write(tmp_path / "d.md", "---\nA line between rules.\n---\nMore.")
    only = write(tmp_path / "e.md", "---\ntitle: One\n---\n")
    found, rejects = read(note, same, other, rule, only)
    assert found == [
        Document("a.md", "Text.", "Nemocnice: Motol", "", "cs", {"tags": '["a", "b"]'}),
        Document("b.md", "Text.", "One"),
        Document("c.md", "# Two\nText.", "One"),
        Document("d.md", "---\nA line between rules.\n---\nMore.", "d"),
    ]
    assert [reject.reason for reject in rejects] == ["the text is empty"]


def test_text_files_say_what_they_are_written_in(tmp_path: Path) -> None:
    page = (
        '<meta http-equiv="Content-Type" content="text/html; charset={}"><title>Kůň</title><p>Žluť'
    )
    files = [
        write(tmp_path / "a.txt", "Žluť".encode("utf-16")),
        write(tmp_path / "b.txt", b"\xfe\xff" + "Žluť".encode("utf-16-be")),
        write(tmp_path / "c.html", page.format("windows-1250").encode("cp1250")),
        write(tmp_path / "d.html", page.format("windows-1250").encode()),  # it is UTF-8
        *(
            write(tmp_path / f"{name}.html", page.format(name).encode("cp1250"))
            for name in ("klingon", "zlib", "ascii")
        ),
    ]
    found, rejects = read(*files)
    assert [(d.title, d.text) for d in found] == [("a", "Žluť"), ("b", "Žluť")] + [
        ("Kůň", "Žluť")
    ] * 2
    assert len(rejects) == 3
    assert all(r.reason.startswith("no UTF-8; save the file as UTF-8, or name") for r in rejects)


def test_an_index_below_its_own_documents_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "text")
    for name in ("lock", "manifest.json", "rejects.jsonl"):
        write(tmp_path / "my.index" / name, "{}")
    assert [document.id for document in read(tmp_path)[0]] == ["a.txt"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt", "a.tsv"])
def test_any_format_may_be_gzipped(tmp_path: Path, name: str) -> None:
    content = {
        "a.jsonl": '{"id": "1", "text": "x"}\n', "a.csv": "id,text\n1,x\n", "a.txt": "x",
        "a.tsv": "id\ttext\n1\tx\n",
    }[name]  # fmt: skip
    file = write(tmp_path / f"{name}.gz", gzip.compress(content.encode()))
    found, rejects = read(file)
    assert ([document.text for document in found], rejects) == (["x"], [])


def test_a_gzip_file_that_is_cut_short_or_damaged_gives_what_it_can(tmp_path: Path) -> None:
    lines = "".join(
        json.dumps({"id": str(i), "text": f"text {i * 7919}"}) + "\n" for i in range(3000)
    )
    whole = gzip.compress(lines.encode())
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 40] = b"\xff" * 40
    for content in (whole[: len(whole) // 2], bytes(damaged), b"no gzip at all"):
        found, rejects = read(write(tmp_path / "a.jsonl.gz", content))
        assert len(found) < 3000
        assert rejects
        assert "cannot be read to its end" in rejects[-1].reason


def test_standard_input_is_json_lines() -> None:
    assert read("-", stdin=b'{"id": "1", "text": "x"}\n')[0] == [Document("1", "x")]
    assert count_bytes(["-"]) == 0


def test_progress_adds_up_to_the_bytes_of_the_files(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"id": str(i), "text": "x"}) + "\n" for i in range(2000))
    files = [
        write(tmp_path / "a.jsonl", lines),
        write(tmp_path / "b.jsonl.gz", gzip.compress(lines.encode())),
    ]
    done: list[int] = []
    list(read_documents([str(file) for file in files], lambda _: None, done.append))
    assert sum(done) == count_bytes([str(file) for file in files])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "no JSON: Expecting value"),
        (b"[1]", "a JSON array; one object a line is expected"),
        (b"3", "a JSON object is expected, not int"),
        (b'{"text": "x"}', "no id; one of id, _id"),
        (b'{"id": {"a": 1}, "text": "x"}', "id must be a string or a whole number"),
        (b'{"id": true, "text": "x"}', "id must be a string or a whole number"),
        (b'{"id": "a", "text": 3}', "text must be a string, not int"),
        (b'{"id": "a", "text": ""}', "title and text are empty"),
        (b'{"id": "a", "text": "  "}', "title and text are empty"),
        (b'{"id": "a\\nb", "text": "x"}', "holds a newline"),
        (b'{"id": "' + b"i" * 10_000 + b'", "text": "x"}', "10,000 characters; the limit is 512"),
        (b'{"id": "a", "text": "\xff"}', "no UTF-8 at byte 22 of the line"),
        (b'{"id": "a", "text": "half \\ud800"}', "half a character (\\ud800 at character 6)"),
        (b'{"id": "a", "text": "x", "lang": "klingon"}', "the language 'klingon' is not known"),
        (b'{"id": "a", "text": "x", "fields": 3}', "fields must be an object"),
        (b'{"id": "a", "text": "x\x00"}', "a zero byte: is this a binary file?"),
        (b'{"id": ' + b"9" * 5000 + b', "text": "x"}', "no JSON: Exceeds the limit"),
        (b"[" * 100_000, "a JSON array"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_used_is_set_aside_and_the_rest_is_read(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    file = write(tmp_path / "a.jsonl", line + b'\n{"id": "good", "text": "x"}\n')
    found, rejects = read(file)
    assert found == [Document("good", "x")]
    assert len(rejects) == 1
    assert reason in rejects[0].reason
    assert rejects[0].place == f"{file}:1"


def test_a_row_with_too_few_or_too_many_columns_is_set_aside(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,text\n1\n2,two\n3,x,y\n")
    found, rejects = read(file)
    assert [document.id for document in found] == ["2"]
    assert [(r.place, r.reason) for r in rejects] == [
        (f"{file}:2", "1 columns; the header has 2"),
        (f"{file}:4", "3 columns; the header has 2"),
    ]


def test_a_quote_left_open_is_told_with_the_line_where_it_begins(tmp_path: Path) -> None:
    found, rejects = read(write(tmp_path / "a.csv", 'id,text\n1,one\n2,"two\n3,three\n'))
    assert found[0].id == "1"
    assert len(found) == 2 or rejects[0].place.endswith(":3")


def test_ids_of_any_script_pass() -> None:
    for id_ in ("পৃষ্ঠা", "می\u200cخواهم", "名前\u3000一", "a\u00a0b"):
        assert check_document(Document(id_, "x")) is None


def test_a_text_of_the_longest_length_passes_and_a_longer_one_does_not() -> None:
    assert check_document(Document("a", "x" * MAX_CHARACTERS)) is None
    problem = check_document(Document("a", "x" * (MAX_CHARACTERS + 1)))
    assert problem is not None
    assert "split it into documents" in problem


def test_a_large_text_file_is_told_to_be_large_not_damaged(tmp_path: Path) -> None:
    file = write(tmp_path / "a.txt", "ক".encode() * (MAX_CHARACTERS * 4 // 3 + 5))
    found, rejects = read(file)
    assert found == []
    assert "more than 10,000,000 characters" in rejects[0].reason


def test_text_files_that_are_no_text_are_set_aside(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.txt", "ahoj".encode("utf-16-le")), write(tmp_path / "b.txt", b"a\n\xff"),
             write(tmp_path / "c.txt", " \n")]  # fmt: skip
    found, rejects = read(*files)
    assert found == []
    assert ["UTF-16" in rejects[0].reason, rejects[1].place.endswith("b.txt:2")] == [True, True]
    assert rejects[2].reason == "the text is empty"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("missing.jsonl", None, "no such file or folder"),
        ("empty.jsonl", b"", "the file is empty"),
        ("a.doc", b"x", "unknown file type; name it .jsonl"),
    ],
)
def test_a_source_that_cannot_be_read_at_all_ends_the_work(
    tmp_path: Path, name: str, content: bytes | None, problem: str
) -> None:
    if content is not None:
        write(tmp_path / name, content)
    with pytest.raises(DocumentError) as caught:
        read(tmp_path / name)
    assert problem in str(caught.value)
    assert name in str(caught.value)


def test_a_folder_without_documents_is_told(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"holds no \.txt"):
        read(tmp_path)


def test_a_missing_source_is_told_before_any_other_is_read(tmp_path: Path) -> None:
    good = write(tmp_path / "a.jsonl", '{"id": "1", "text": "x"}\n')
    stream = read_documents([str(good), str(tmp_path / "b.jsonl")], lambda _: None)
    with pytest.raises(DocumentError, match=r"b\.jsonl"):
        next(stream)
