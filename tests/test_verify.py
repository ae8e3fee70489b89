"""`verify` finds what is wrong and says which file; `recover_documents` reads what can be read."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from index_world import SPLIT, CountingEncoder, build, by_id, contents, documents, problems

from configs.errors import IndexFolderError, TandemError
from configs.settings import DenseSettings
from indexer.build import add_documents, build_index, compact, delete_documents
from indexer.cli import index as command
from indexer.folder import IndexFolder
from indexer.schema import Document
from indexer.storage.manifest import MANIFEST, checksum, read_manifest
from indexer.verify import recover_documents, verify

STATE = {
    item.id: item for item in [*documents(range(3, 40)), *documents(range(100, 108), version=1)]
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two segments, a FAISS file, tantivy's, deletion marks. The documents are STATE."""
    path = tmp_path_factory.mktemp("sound") / "index"
    items = documents(range(40))
    build_index(
        path,
        items,
        CountingEncoder(),
        passages=SPLIT,
        dense=DenseSettings("HNSW8"),
        model="hash:16",
    )
    add_documents(path, documents(range(100, 108), version=1), CountingEncoder())
    delete_documents(path, ["d0", "d1", "d2"])
    assert problems(path, STATE) == []
    assert len(read_manifest(path).segments) == 2
    return path


@pytest.fixture
def index(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "index"))


def files(path: Path) -> list[str]:
    return sorted(read_manifest(path).files)


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """The manifest with a lie, and a checksum that fits it."""
    values = json.loads((path / MANIFEST).read_text("utf-8"))
    values.pop("checksum")
    change(values)
    values["checksum"] = checksum(values)
    (path / MANIFEST).write_text(json.dumps(values), "utf-8")


def test_a_sound_index_has_no_problems(index: Path) -> None:
    assert verify(index) == []


def test_verify_reads_every_byte_once(index: Path) -> None:
    seen: list[int] = []
    verify(index, seen.append)
    assert sum(seen) == sum(entry.size for entry in read_manifest(index).files.values())


def test_a_flipped_bit_is_found_in_every_file_and_the_file_named(index: Path) -> None:
    rng = random.Random(0)
    for name in files(index):
        data = bytearray((index / name).read_bytes())
        place, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
        data[place] ^= bit
        (index / name).write_bytes(data)
        assert verify(index) == [f"{name}: its content is not what was written (wrong SHA-256)"]
        data[place] ^= bit
        (index / name).write_bytes(data)
    assert verify(index) == []


def test_a_truncated_file_is_found_by_name_and_is_not_opened(index: Path) -> None:
    for name in files(index):
        whole = (index / name).read_bytes()
        (index / name).write_bytes(whole[:-1])
        said = f"{len(whole) - 1:,} bytes, but {len(whole):,} were written"
        assert verify(index) == [f"{name}: {said}"]
        with pytest.raises(IndexFolderError, match=f"{Path(name).name}: damaged: {said}"):
            IndexFolder.open(index, CountingEncoder(), "cpu")
        (index / name).write_bytes(whole)


def test_a_missing_file_is_found_by_name_and_the_index_is_not_opened(index: Path) -> None:
    for name in files(index):
        (index / name).rename(index / "aside")
        assert verify(index) == [f"{name}: missing"]
        with pytest.raises(IndexFolderError, match=f"{Path(name).name} is missing"):
            IndexFolder.open(index, CountingEncoder(), "cpu")
        (index / "aside").rename(index / name)


def test_every_damaged_file_is_named(index: Path) -> None:
    first, second = files(index)[:2]
    (index / first).unlink()
    (index / second).write_bytes(b"")
    assert [line.partition(":")[0] for line in verify(index)] == [first, second]


def test_a_flipped_bit_anywhere_in_the_manifest_is_found(index: Path) -> None:
    data = (index / MANIFEST).read_bytes()
    rng = random.Random(1)
    for _ in range(200):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (index / MANIFEST).write_bytes(damaged)
        try:
            unchanged = json.loads(damaged.decode("utf-8")) == json.loads(data)
        except ValueError:
            unchanged = False
        if unchanged:  # a tab for a blank between two values
            continue
        found = verify(index)
        assert len(found) == 1
        assert MANIFEST in found[0]
        with pytest.raises(IndexFolderError, match=MANIFEST):
            IndexFolder.open(index, CountingEncoder(), "cpu")


LIES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "documents": (lambda m: m.update(documents=44), "44 documents"),
    "documents and languages": (
        lambda m: m.update(documents=44, languages={"en": 44}),
        "documents says 44, but there are 45",
    ),
    "languages": (
        lambda m: m.update(languages={"cs": 45}),
        "languages.cs says 45, but there are 0",
    ),
    "passages": (lambda m: m.update(passages=m["passages"] - 1), "but its segments have"),
    "passages and deleted": (
        lambda m: m.update(passages=m["passages"] - 1, deleted=m["deleted"] + 1),
        "passages says",
    ),
    "a size": (
        lambda m: m["files"]["segment-1/passages.npy"].update(size=1),
        "segment-1/passages.npy: ",
    ),
    "a checksum": (
        lambda m: m["files"]["segment-1/vectors.f32"].update(sha256="0" * 64),
        "segment-1/vectors.f32: its content is not what was written",
    ),
    "a file left out": (
        lambda m: m["files"].pop("segment-1/passages.npy"),
        "segment-1/passages.npy is not among its files",
    ),
    "a file that is not": (
        lambda m: m["files"].update({"segment-9/x": {"size": 1, "sha256": ""}}),
        "segment-9/x: missing",
    ),
    "dimensions": (lambda m: m["encoder"].update(dim=8), "passages of 8 dimensions have"),
    "dimensions of nothing": (lambda m: m["encoder"].update(dim=0), "encoder.dim is 0"),
    "segments in another order": (
        lambda m: m["segments"].reverse(),
        "are out of order",
    ),
    "a segment twice": (
        lambda m: m["segments"].append(m["segments"][0]),
        "are out of order",
    ),
    "documents of a segment": (
        lambda m: m["segments"][0].update(documents=39),
        "segment-1/passages.npy is not of 39 documents",
    ),
    "rows of the FAISS file": (
        lambda m: m["dense_index"].update(covered=m["dense_index"]["covered"] - 1),
        "dense-1.faiss: ",
    ),
    "more rows than there are": (
        lambda m: m["dense_index"].update(covered=10**12),
        "the FAISS file is for 1,000,000,000,000 passages",
    ),
    "a negative number": (lambda m: m.update(generation=-1), "generation is -1"),
    "the marks of another commit": (
        lambda m: m.update(deletions="segment-1/passages.npy"),
        "passages.npy: an array",
    ),
    "an unknown key": (lambda m: m.update(program="x"), "there is no setting program"),
    "a number for a text": (lambda m: m.update(created=5), "created must be str"),
    "another format": (lambda m: m.update(format=99), "format 99"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies_is_found_out(index: Path, lie: str) -> None:
    change, said = LIES[lie]
    rewrite(index, change)
    found = verify(index)
    assert found
    assert any(said in line for line in found), found


def test_vectors_that_are_none_are_found_though_every_checksum_fits(index: Path) -> None:
    name = "segment-1/vectors.f32"
    vectors = np.fromfile(index / name, "<f4")
    vectors[5] = np.nan
    vectors.tofile(index / name)
    rewrite(index, lambda m: m["files"][name].update(sha256=sha256(index / name)))
    assert verify(index) == ["vectors.f32: row 0 is not of unit length"]


def test_tantivys_files_of_an_earlier_commit_are_found(index: Path) -> None:
    before = read_manifest(index)
    add_documents(index, documents([200]), CountingEncoder())
    shutil.rmtree(index / read_manifest(index).lexical_folder)
    build(index / "other", documents(range(4)))
    folder = read_manifest(index / "other").lexical_folder
    shutil.copytree(index / "other" / folder, index / "lexical-99")

    def lie(values: dict[str, Any]) -> None:
        values["lexical_folder"] = "lexical-99"
        kept = {k: v for k, v in values["files"].items() if not k.startswith("lexical-")}
        for file in (index / "lexical-99").iterdir():
            if not file.name.startswith("."):
                entry = {"size": file.stat().st_size, "sha256": sha256(file)}
                kept[f"lexical-99/{file.name}"] = entry
        values["files"] = kept

    rewrite(index, lie)
    live = before.passages + 3  # d200 has three
    assert verify(index) == [f"lexical-99: 7 passages, but there are {live}"]


def sha256(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


# -- recovery --------------------------------------------------------------------------------------


def recovered(path: Path) -> tuple[dict[str, Document], list[str]]:
    said: list[str] = []
    return by_id(recover_documents(path, said.append)), said


def test_a_sound_index_is_recovered_whole_and_in_silence(index: Path) -> None:
    assert recovered(index) == (STATE, [])


def test_without_vectors_postings_and_faiss_file_every_document_is_recovered(index: Path) -> None:
    for name in files(index):
        if name.startswith("lexical") or name.endswith((".f32", ".faiss")):
            (index / name).write_bytes(b"damaged")
    assert recovered(index) == (STATE, [])


def test_without_a_manifest_segments_and_marks_are_found_by_name(index: Path) -> None:
    (index / MANIFEST).unlink()
    found, said = recovered(index)
    assert found == STATE
    assert len(said) == 1


def test_without_marks_the_deleted_come_back_and_that_is_said(index: Path) -> None:
    (index / read_manifest(index).deletions).unlink()
    found, said = recovered(index)
    assert found == STATE | by_id(documents(range(3)))
    assert "deleted documents come back" in said[0]


def test_the_newest_version_is_taken_when_segments_are_found_by_name(tmp_path: Path) -> None:
    build(tmp_path, documents(range(20)))
    for version in range(1, 12):  # up to segment-12, which sorts before segment-2 as a text
        add_documents(tmp_path, documents([4], version), CountingEncoder())
    (tmp_path / MANIFEST).unlink()
    next(tmp_path.glob("deleted-*.npy")).unlink()
    found, _ = recovered(tmp_path)
    assert found == by_id(documents(range(20))) | by_id(documents([4], 11))


def test_documents_beside_a_damaged_page_are_recovered(tmp_path: Path) -> None:
    build(tmp_path, documents(range(2000)))
    file = tmp_path / "segment-1" / "documents.sqlite"
    with file.open("r+b") as damaged:
        damaged.seek(10 * 8192)
        damaged.write(b"\xff" * 8192)
    found, said = recovered(tmp_path)
    everything = by_id(documents(range(2000)))
    assert all(everything[id_] == item for id_, item in found.items())
    lost = 2000 - len(found)
    assert 0 < lost < 200
    assert any(f"{lost} documents could not be read" in line for line in said)


def test_a_database_that_is_none_is_said_and_the_other_segment_recovered(index: Path) -> None:
    (index / "segment-1" / "documents.sqlite").write_bytes(b"no database at all" * 1000)
    found, said = recovered(index)
    assert found == by_id(documents(range(100, 108), version=1))
    assert "segment-1/documents.sqlite" in said[0]


def test_random_damage_never_breaks_verify_or_recovery(sound: Path, tmp_path: Path) -> None:
    rng = random.Random(2)
    names = [*files(sound), MANIFEST]
    for round_ in range(25):
        path = Path(shutil.copytree(sound, tmp_path / str(round_)))
        for name in rng.sample(names, 3):
            data = bytearray((path / name).read_bytes())
            for _ in range(rng.randint(1, 20)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            (path / name).write_bytes(data[: rng.randint(len(data) // 2, len(data))])
        assert verify(path)
        recovered(path)
        with contextlib.suppress(TandemError):
            IndexFolder.open(path, CountingEncoder(), "cpu").close()
        shutil.rmtree(path)


def test_a_schema_that_is_no_text_is_said_and_passed_over(index: Path) -> None:
    file = index / "segment-1" / "documents.sqlite"
    data = file.read_bytes()
    assert b"CREATE TABLE documents" in data
    file.write_bytes(data.replace(b"CREATE TABLE documents", b"CREATE \xbb\xbbBLE documents"))
    found, said = recovered(index)
    assert any("segment-1/documents.sqlite" in line for line in said)
    assert found.keys() < STATE.keys()
    with pytest.raises(IndexFolderError):
        IndexFolder.open(index, CountingEncoder(), "cpu")


def test_the_command_recovers_into_a_new_index(index: Path, tmp_path: Path) -> None:
    (index / "segment-1" / "vectors.f32").write_bytes(b"")
    run = CliRunner().invoke(command, ["verify", str(index)])
    assert run.exit_code == 1
    assert "damaged: segment-1/vectors.f32: 0 bytes" in run.output
    assert f"tandem index build --from {index}" in run.output
    new = tmp_path / "new"
    run = CliRunner().invoke(
        command, ["build", "--from", str(index), "-o", str(new), "--encoder", "hash:16"]
    )
    assert run.exit_code == 0, run.output
    assert contents(new) == STATE
    run = CliRunner().invoke(command, ["verify", str(new)])
    assert (run.exit_code, run.output.strip()) == (0, f"{new}: whole")


@pytest.mark.parametrize("lost", [True, False])
def test_an_index_is_not_recovered_into_itself(index: Path, lost: bool) -> None:
    if lost:
        (index / MANIFEST).unlink()
    run = CliRunner().invoke(
        command,
        ["build", "--from", str(index), "-o", str(index), "--encoder", "hash:16", "--overwrite"],
    )
    assert run.exit_code == 2
    assert "name another folder" in run.output
    assert recovered(index)[0] == STATE  # nothing of it was swept away


def test_damage_is_not_carried_into_a_new_commit(index: Path) -> None:
    with (index / "segment-1" / "vectors.f32").open("ab") as file:
        file.write(b"more")
    writers: list[Callable[[], object]] = [
        lambda: add_documents(index, documents([200]), CountingEncoder()),
        lambda: delete_documents(index, ["d5"]),
        lambda: compact(index),
    ]
    for write in writers:
        with pytest.raises(IndexFolderError, match="damaged"):
            write()
