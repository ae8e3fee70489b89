"""What a new user tripped over: each of these lost something, or said something that was not so."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

import pytest
from click.testing import CliRunner

import tandem
from configs.errors import DocumentError, IndexFolderError
from indexer.encoders.hash_encoder import HashEncoder
from indexer.storage.manifest import read_manifest
from indexer.text.rejects import Reject
from indexer.text.sources import read_documents
from indexer.written_encoder import mismatch


def built(place: Path) -> tandem.SearchIndex:
    documents = [
        {"id": "a", "text": "a hospital in Prague", "lang": "en", "score": "7"},
        {"id": "b", "text": "nemocnice v Praze", "lang": "cs"},
    ]
    return tandem.build(documents, place, encoder="hash", progress=False)


def test_a_folder_of_own_files_is_never_made_an_index(tmp_path: Path) -> None:
    own = [tmp_path / "journal" / "monday.md", tmp_path / "segment-1-plan.md", tmp_path / "trip.md"]
    own[0].parent.mkdir()
    for file in own:
        file.write_text("Monday in Vienna.")
    for overwrite in (False, True):
        with pytest.raises(
            IndexFolderError, match=r"no index and holds segment-1-plan\.md and 1 more"
        ):
            tandem.build(str(tmp_path), tmp_path, encoder="hash", overwrite=overwrite)
    assert all(file.is_file() for file in own)
    assert len(list(tmp_path.iterdir())) == 3


def test_an_own_file_named_like_a_segment_stays_in_an_index(tmp_path: Path) -> None:
    built(tmp_path / "ix").close()
    note = tmp_path / "ix" / "segment-1-plan.md"
    note.write_text("mine")
    built_again = tandem.build([{"id": "c", "text": "other"}], tmp_path / "ix", encoder="hash", overwrite=True)  # fmt: skip
    assert len(built_again) == 1 and note.is_file()


def test_what_is_no_document_is_set_aside_and_the_others_are_kept(tmp_path: Path) -> None:
    index = built(tmp_path / "ix")
    wrong = [
        None,
        {"id": "new", "text": "fine"},
        tandem.Document(5, "x"),  # type: ignore[arg-type]
        tandem.Document("n", None),  # type: ignore[arg-type]
        tandem.Document("f", "text", fields={"n": 5}),  # type: ignore[dict-item]
    ]
    with pytest.warns(UserWarning, match=r"document 1.*None"):
        change = index.add(wrong)  # type: ignore[arg-type]
    assert (change.added, change.rejected) == (1, 4)
    assert "new" in index and "f" not in index


def test_one_document_may_be_added_by_itself(tmp_path: Path) -> None:
    index = built(tmp_path / "ix")
    assert index.add({"id": "9", "text": "alone"}).added == 1
    assert index.add(tandem.Document("10", "alone too")).added == 1


def test_a_closed_index_says_so(tmp_path: Path) -> None:
    with built(tmp_path / "ix") as index:
        pass
    with pytest.raises(IndexFolderError, match="the index is closed"):
        index.search("hospital")


def test_a_quote_left_open_does_not_swallow_rows_unseen(tmp_path: Path) -> None:
    file = tmp_path / "open.csv"
    file.write_text('id,text\n1,first\n2,"forgot to close\n3,third\n4,fourth\n')
    rejects: list[Reject] = []
    assert [d.id for d in read_documents([str(file)], rejects.append)] == ["1"]
    assert "a quote is left open: the row goes on to line 5" in rejects[0].reason
    whole = tmp_path / "whole.csv"
    whole.write_text('id,text\n1,"two\nlines"\n2,"5"" disk\nand ""more"""')
    assert [d.id for d in read_documents([str(whole)], rejects.append)] == ["1", "2"]
    assert len(rejects) == 1


def test_language_is_a_field_to_count_and_sort_by(tmp_path: Path) -> None:
    index = built(tmp_path / "ix")
    assert index.facets("hospital nemocnice", "lang") == {"lang": {"cs": 1, "en": 1}}
    assert [hit.document.lang for hit in index.search("hospital nemocnice", sort="lang")] == [
        "cs",
        "en",
    ]


def test_a_field_named_as_a_column_has_a_column_of_its_own(tmp_path: Path) -> None:
    built(tmp_path / "ix").close()
    found = CliRunner().invoke(
        tandem.tandem, ["search", "hospital", "-i", str(tmp_path / "ix"), "--format", "csv"]
    )
    rows = list(csv.DictReader(io.StringIO(found.stdout.lstrip("\ufeff"))))
    assert rows[0]["rank"] == "1"
    assert rows[0]["score (field)"] == "7" and rows[0]["score"] != "7"


def test_a_query_that_begins_with_a_dash_is_told_how_to_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built(tmp_path / "ix").close()
    with pytest.raises(SystemExit):
        tandem.main(["search", "-docks", "-i", str(tmp_path / "ix")])
    assert "stands last, after --" in capsys.readouterr().err


def test_a_query_file_is_not_sent_to_an_option_that_search_lacks(tmp_path: Path) -> None:
    from indexer.text.topics import read_topics

    file = tmp_path / "queries.txt"
    file.write_bytes("Žluťoučký kůň úpěl ďábelské ódy\n".encode("cp1250") * 5)
    with pytest.raises(DocumentError, match="save the file as UTF-8") as caught:
        read_topics(file)
    assert "--encoding" not in str(caught.value)


def test_a_folder_that_sync_refuses_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("a hospital in Prague")
    call = ["index", "sync", str(tmp_path / "source"), "-i", str(tmp_path / "own")]
    ended = CliRunner().invoke(tandem.tandem, [*call, "--encoder", "hash"])
    assert isinstance(ended.exception, IndexFolderError)
    assert [file.name for file in (tmp_path / "own").iterdir()] == ["notes.txt"]


def test_a_text_that_is_an_object_is_called_so(tmp_path: Path) -> None:
    lines = '{"id": "a", "text": {"body": "x"}}\n{"id": "b", "text": "a hospital"}\n'
    (tmp_path / "d.jsonl").write_text(lines)
    rejects: list[Reject] = []
    kept = list(read_documents([str(tmp_path / "d.jsonl")], rejects.append))
    assert [document.id for document in kept] == ["b"]
    assert rejects[0].reason.startswith("text is an object (body), and text is a string")


def test_an_index_of_older_weights_says_so_and_how_to_build_it_anew(tmp_path: Path) -> None:
    built(tmp_path / "i").close()
    entry = read_manifest(tmp_path / "i").encoder
    older = dataclasses.replace(entry, fingerprint="older")
    said = mismatch(HashEncoder(), older)
    assert said is not None
    assert said.startswith(f"written with other weights or prompts of the encoder {entry.name}")
    assert "tandem index build --from INDEX -o NEW" in said
    assert mismatch(HashEncoder(), entry) is None
