"""What a folder gives, what is set aside and what is passed over; compressed files."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Command, runner
from reading import read, write

from configs.errors import DocumentError
from indexer.text.sources import ReadOptions

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINES = b'{"id": "1", "text": "x"}\n'


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("A.JSONL.GZ", gzip.compress),
        ("a.jsonl.bz2", bz2.compress),
        ("a.Jsonl.XZ", lzma.compress),
        ("a.jsonl.zst", zstd.compress),
        ("a.jsonl", gzip.compress),  # the content tells, not the name
    ],
)
def test_compressed_files_of_any_kind(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    assert read(write(tmp_path / name, pack(LINES))).ids == ["1"]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.jsonl.xz", "a.jsonl.bz2"])
def test_a_damaged_or_wrongly_named_file_is_set_aside(tmp_path: Path, name: str) -> None:
    packs = {".gz": gzip, ".zst": zstd, ".xz": lzma, ".bz2": bz2}
    packed = packs[Path(name).suffix].compress(LINES * 5000)
    write(tmp_path / "named" / name, LINES)
    write(tmp_path / "short" / name, packed[: len(packed) // 2])
    found = read(tmp_path)
    assert [place for place, _ in found.rejects] == [f"named/{name}", f"short/{name}"]
    assert "its content is not compressed that way" in found.rejects[0][1]
    assert "cannot be read to its end" in found.rejects[1][1]


def test_everything_a_folder_does_not_give_is_counted_by_kind(run: Command, tmp_path: Path) -> None:
    folder = tmp_path / "messy"
    write(folder / "a.txt", "text")
    for name in ("p.png", "sub/q.PNG", "old.doc", "README"):
        write(folder / name, b"\0")
    for name in (".DS_Store", ".git/config", "~$draft.docx"):
        write(folder / name, b"x")
    write(folder / "empty.csv", b"")
    (folder / "gone.txt").symlink_to(folder / "nowhere.txt")
    (folder / "linked").symlink_to(tmp_path)
    ended = run("index", "build", folder, "-o", tmp_path / "ix", "--encoder", "hash")
    assert ended.code == 1
    lines = ended.err.splitlines()
    assert lines[0] == "note: passed over: 1 hidden folder, 2 hidden files"
    assert lines[1].startswith("set aside: 2 .png, 1 ")
    assert {"1 .doc", "1 (no ending)"} <= set(lines[1][11:].partition(": ")[0].split(", "))
    assert lines[1].endswith(
        "files of types that are not read; to leave them out: --ignore '*.png'"
    )
    rest = "\n".join(lines[2:])
    for named in ("empty.csv: the file is empty", "gone.txt: a link to nothing", "linked: a link to a folder"):  # fmt: skip
        assert named in rest
    assert (
        lines[-1]
        == f"Error: 7 set aside in {tmp_path / 'ix' / 'rejects.jsonl'}; everything else is indexed"
    )
    kept = [json.loads(line) for line in (tmp_path / "ix/rejects.jsonl").read_text().splitlines()]
    assert sorted(Path(record["file"]).name for record in kept) == [
        "README", "empty.csv", "gone.txt", "linked", "old.doc", "p.png", "q.PNG",
    ]  # fmt: skip


def test_what_is_ignored_is_no_reject(tmp_path: Path) -> None:
    for name in ("a.txt", "b.png", "drafts/c.txt", "sub/drafts/d.txt", "sub/e.txt"):
        write(tmp_path / name, "text")
    found = read(tmp_path, options=ReadOptions(ignore=("*.png", "drafts/", "sub/e*")))
    assert (found.ids, found.rejects) == (["a.txt"], [])
    (note,) = found.notes
    counts = sorted(note.removeprefix("passed over: ").split(", "))
    assert counts == ["2 files named by --ignore", "2 folders named by --ignore"]


def test_a_folder_of_nothing_to_read_says_what_is_there(tmp_path: Path) -> None:
    write(tmp_path / "a.png", "x")
    with pytest.raises(DocumentError, match=r"holds no \.txt.*; there are: 1 \.png"):
        read(tmp_path)


def test_ids_that_come_twice_are_told_with_both_places(run: Command, tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", LINES)
    two = write(tmp_path / "two.csv", "id,text\n7,seven\n1,another\n")
    three = write(tmp_path / "three.json", '[{"id": "3", "text": "x"}, {"id": "7", "text": "y"}]')
    ended = run("index", "build", one, two, three, "-o", tmp_path / "ix", "--encoder", "hash")
    assert ended.code == 1
    assert f"set aside: {two}:3: the id '1' came before, at {one}:1, with other content; the first is kept" in ended.err  # fmt: skip
    assert f"set aside: {three}, item 2: the id '7' came before, at {two}:2, with" in ended.err
    kept = [json.loads(line) for line in (tmp_path / "ix/rejects.jsonl").read_text().splitlines()]
    assert [(Path(k["file"]).name, k["line"]) for k in kept] == [
        ("two.csv", 3),
        ("three.json", None),
    ]


def test_a_json_file_may_be_one_array_or_one_object(tmp_path: Path) -> None:
    write(tmp_path / "a.json", '[\n {"id": "1", "text": "x"},\n 3,\n {"id": "2", "text": "y"}\n]')
    write(tmp_path / "b.json", '{\n "id": "3",\n "text": ["one", "two"]\n}')
    write(tmp_path / "c.json", '{"id": "4", "text": "a line"}\n{"id": "5", "text": "a line"}')
    found = read(tmp_path)
    assert found.ids == ["1", "2", "3", "4", "5"]
    assert found.texts[2] == "one\n\ntwo"
    assert found.rejects == [("a.json, item 2", "a JSON object is expected, not int")]


def test_settings_of_markdown_are_fields(tmp_path: Path) -> None:
    write(tmp_path / "a.md", '---\ntitle: A\ndate: 1880-05-01\ntags: [x, "y z"]\nprice: 3.50\nempty:\n---\nText.')  # fmt: skip
    write(tmp_path / "b.md", '+++\ntitle = "B"\ndate = 1880-05-01\ndraft = true\n+++\nText.')
    write(tmp_path / "c.md", "---\ntitle: C\na: &x [1]\nb: *x\n---\nText.")
    a, b, c = read(tmp_path).documents
    assert a.fields == {"date": "1880-05-01", "tags": '["x", "y z"]', "price": "3.50"}
    assert b.fields == {"date": "1880-05-01", "draft": "true"}
    assert (c.title, c.text) == ("C", "Text.")


def test_many_rejects_of_a_file_are_one_line(run: Command, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "id,text\n" + "x\n" * 40 + "1,good\n")
    ended = run("index", "build", file, "-o", tmp_path / "ix", "--encoder", "hash")
    assert ended.err.splitlines()[0] == (
        f"set aside: {file}:2: 1 columns; the header has 2 (and 39 more of this file)"
    )
