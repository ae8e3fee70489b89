"""An index folder is data, never code: whatever stands in it, opening it harms nothing outside it."""

from __future__ import annotations

import ast
import json
import os
import random
import resource
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from index_world import DIM, SPLIT, CountingEncoder, build, by_id, documents, problems
from test_verify import rewrite, sha256

from configs.errors import ConfigError, IndexFolderError, TandemError
from configs.settings import DenseSettings
from indexer.build import add_documents, build_index, compact, delete_documents
from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.opening import open_encoder
from indexer.folder import IndexFolder
from indexer.schema import Document
from indexer.search.dense import read_ann
from indexer.storage.arrays import load_array
from indexer.storage.manifest import MANIFEST, read_manifest
from indexer.storage.store import open_database
from indexer.verify import recover_documents, verify
from retriever.retriever import Retriever

ROOT = Path(__file__).resolve().parent.parent
ITEMS = documents(range(30))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "index"
    build_index(path, ITEMS, CountingEncoder(), passages=SPLIT, dense=DenseSettings("IVF4,SQ8"))
    return path


@pytest.fixture
def index(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "index"))


def refused(path: Path) -> str:
    with pytest.raises(IndexFolderError) as error:
        IndexFolder.open(path, CountingEncoder(), "cpu")
    return str(error.value)


def vouch(path: Path, name: str) -> None:
    """Have the manifest say that a file is as it should be."""
    entry = {"size": (path / name).stat().st_size, "sha256": sha256(path / name)}
    rewrite(path, lambda values: values["files"].update({name: entry}))


# -- no pickle -------------------------------------------------------------------------------------


def test_no_module_of_the_index_can_read_a_pickle() -> None:
    sources = [
        file for room in ("indexer", "retriever", "webui") for file in (ROOT / room).rglob("*.py")
    ]
    assert len(sources) > 20
    banned = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
    for file in sources:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                assert not banned & {alias.name.split(".")[0] for alias in node.names}, file
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in banned, file
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if called.split(".")[-1] in ("load", "save") and called.startswith("np."):
                    assert given.get("allow_pickle") == "False", f"{file}:{node.lineno}"
                assert called not in ("eval", "exec", "compile", "__import__"), file
                assert called.split(".")[-1] != "enable_load_extension", file
                if called == "torch.load":
                    assert given.get("weights_only") == "True", f"{file}:{node.lineno}"


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("name", ["deleted-1.npy", "segment-1/passages.npy"])
def test_an_array_of_objects_is_refused_and_nothing_in_it_runs(
    index: Path, tmp_path: Path, name: str
) -> None:
    bomb = np.array([Bomb(tmp_path / "harm")] * 60, dtype=object)
    np.save(index / name, bomb, allow_pickle=True)
    vouch(index, name)
    assert "damaged" in refused(index)
    assert verify(index)
    list(recover_documents(index, lambda line: None))
    assert not (tmp_path / "harm").exists()


def test_an_archive_in_the_place_of_an_array_is_refused(index: Path) -> None:
    np.savez(index / "x.npz", a=np.zeros(60, bool))
    (index / "x.npz").rename(index / "deleted-1.npy")
    vouch(index, "deleted-1.npy")
    assert "damaged" in refused(index)
    assert verify(index)


def test_a_database_with_a_program_for_a_table_is_refused(index: Path) -> None:
    file = index / "segment-1" / "documents.sqlite"
    file.unlink()
    made = sqlite3.connect(file)
    made.executescript(
        "CREATE VIEW documents AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT i AS number, 'a' AS id, '' AS title, 'x' AS text, '' AS url, 'en' AS lang, "
        "'' AS fields, x'00' AS hash, 0 AS row, 1 AS passages FROM n"
    )
    made.close()
    vouch(index, "segment-1/documents.sqlite")
    assert "has no table of documents" in refused(index)
    assert any("has no table of documents" in line for line in verify(index))
    said: list[str] = []
    assert list(recover_documents(index, said.append)) == []
    assert "has no table of documents" in said[0]


def test_the_schema_of_a_database_is_not_trusted(index: Path) -> None:
    database = open_database(index / "segment-1" / "documents.sqlite")
    assert database.execute("PRAGMA trusted_schema").fetchone() == (0,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.execute("DELETE FROM documents")
    database.close()


# -- paths -----------------------------------------------------------------------------------------

PATHS = ["../other", "/etc/passwd", "a/../../b", "..", "C:\\x", "a\\b", "", "a//b", "~/x", "a\0b"]
PLACES: dict[str, Callable[[dict[str, Any], str], object]] = {
    "segment": lambda m, name: m["segments"][0].update(folder=name),
    "deletions": lambda m, name: m.update(deletions=name),
    "lexical": lambda m, name: m.update(lexical_folder=name),
    "dense": lambda m, name: m["dense_index"].update(file=name),
    "files": lambda m, name: m["files"].update({name: {"size": 1, "sha256": "0"}}),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_path_in_a_manifest_cannot_leave_the_folder(index: Path, place: str) -> None:
    whole = (index / MANIFEST).read_bytes()
    for name in PATHS:
        (index / MANIFEST).write_bytes(whole)
        rewrite(index, lambda values, name=name: PLACES[place](values, name))  # type: ignore[misc]
        for message in (refused(index), *verify(index)):
            assert "leaves the folder; this index is not to be trusted" in message
        with pytest.raises(IndexFolderError, match="not to be trusted"):
            compact(index)
        with pytest.raises(IndexFolderError, match="not to be trusted"):
            delete_documents(index, ["d1"])


@pytest.mark.parametrize(
    "name", ["segment-1", "segment-1/documents.sqlite", "deleted-1.npy", "lexical-1/meta.json"]
)
def test_a_link_out_of_the_folder_is_not_followed(index: Path, tmp_path: Path, name: str) -> None:
    (index / name).rename(tmp_path / "outside")
    (index / name).symlink_to(tmp_path / "outside")
    assert "out of the index folder; this index is not to be trusted" in refused(index)
    assert any("out of the index folder" in line for line in verify(index))
    if "segment" in name:
        said: list[str] = []
        assert list(recover_documents(index, said.append)) == []
        assert any("a link out of the index folder" in line for line in said)


def test_a_linked_index_folder_itself_is_fine(index: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(index)
    assert problems(tmp_path / "link", by_id(ITEMS)) == []
    add_documents(tmp_path / "link", documents([90]), CountingEncoder())
    assert problems(index, by_id([*ITEMS, *documents([90])])) == []


def test_a_writer_writes_through_no_link(index: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    folder = tmp_path / "folder"

    links = [
        ("lock.json", precious),
        ("manifest.json.new", precious),
        ("journal", folder),
        ("journal/vectors.f32", precious),
        ("journal/journal.json", precious),
        ("deleted-%d.npy", precious),
        ("segment-%d", folder),
        ("lexical-%d", folder),
    ]
    for number, (pattern, target) in enumerate(links):
        name = pattern.replace("%d", str(read_manifest(index).generation + 1))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "keys.bin").write_bytes(b"precious")
        precious.write_bytes(b"precious")
        (index / name).parent.mkdir(exist_ok=True)
        (index / name).symlink_to(target)
        add_documents(index, documents([200 + number]), CountingEncoder())
        assert precious.read_bytes() == b"precious", name
        assert (folder / "keys.bin").read_bytes() == b"precious", name
        assert sorted(entry.name for entry in folder.iterdir()) == ["keys.bin"], name
        expected = by_id([*ITEMS, *documents(range(200, 201 + number))])
        assert problems(index, expected) == [], name


def test_a_persons_own_files_in_the_folder_are_left_alone(index: Path) -> None:
    (index / "notes.txt").write_text("mine", "utf-8")
    (index / "segments").mkdir()
    compact(index)
    assert (index / "notes.txt").read_text("utf-8") == "mine"
    assert (index / "segments").is_dir()


# -- sizes -----------------------------------------------------------------------------------------


@pytest.fixture
def little_memory() -> Any:
    """No more than 2 GiB beyond what this process has mapped now."""
    mapped = int(Path("/proc/self/statm").read_text("utf-8").split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + 2**31, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux only")


def header(shape: str, descr: str = "'|b1'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@needs_proc
@pytest.mark.parametrize(
    "shape",
    ["(10**12,)", "(1000000000000,)", "(-1,)", "(2**70,)", "(60, 10000000000)", "(", "'x'", "()"],
)
def test_an_array_that_claims_an_absurd_size_takes_no_memory(
    index: Path, little_memory: None, shape: str
) -> None:
    (index / "deleted-1.npy").write_bytes(header(shape) + bytes(60))
    vouch(index, "deleted-1.npy")
    assert "damaged" in refused(index)
    assert verify(index)
    with pytest.raises(ValueError, match=r"deleted-1\.npy"):
        load_array(index / "deleted-1.npy", np.dtype(bool), 60)


@needs_proc
@pytest.mark.parametrize("change", ["dim", "passages", "covered", "size"])
def test_a_manifest_that_claims_an_absurd_size_takes_no_memory(
    index: Path, little_memory: None, change: str
) -> None:
    huge = 10**15

    def lie(values: dict[str, Any]) -> None:
        if change == "dim":
            values["encoder"]["dim"] = huge
        elif change == "passages":
            values["segments"][0]["passages"] = values["passages"] = huge
            values["files"]["segment-1/vectors.f32"]["size"] = huge * DIM * 4
        elif change == "covered":
            values["dense_index"]["covered"] = huge
        else:
            values["files"]["segment-1/documents.sqlite"]["size"] = huge

    rewrite(index, lie)
    assert "damaged" in refused(index)
    assert verify(index)


@needs_proc
def test_a_faiss_file_that_claims_an_absurd_size_takes_no_memory(
    index: Path, little_memory: None
) -> None:
    manifest = read_manifest(index)
    name = manifest.dense_index.file
    assert name is not None
    data = (index / name).read_bytes()
    covered = manifest.dense_index.covered
    read_ann(index / name, DIM, covered)
    refusals = 0
    for place in range(0, len(data) - 8, 8 if len(data) < 4096 else len(data) // 512):
        damaged = data[:place] + struct.pack("<Q", 2**37) + data[place + 8 :]
        (index / name).write_bytes(damaged)
        try:
            read_ann(index / name, DIM, covered)
        except IndexFolderError:
            refusals += 1
    assert refusals > 0


@pytest.mark.parametrize("factory", ["IVF4,PQ8x4fsr", "HNSW8"])
def test_a_damaged_faiss_file_is_refused_before_faiss_reads_it(
    factory: str, tmp_path: Path
) -> None:
    path = tmp_path / "index"
    build_index(path, ITEMS, CountingEncoder(), passages=SPLIT, dense=DenseSettings(factory))
    file = path / "dense-1.faiss"
    data = bytearray(file.read_bytes())
    for place in (len(data) // 4, len(data) // 2):
        data[place] ^= 1
        file.write_bytes(data)
        assert "dense-1.faiss: damaged: not as it was written" in refused(path)


def test_a_huge_manifest_is_not_read(index: Path) -> None:
    with (index / MANIFEST).open("ab") as file:
        file.truncate(20 * 2**30)  # sparse: it takes no room on the disk either
    assert "larger than any manifest" in refused(index)
    assert "larger than any manifest" in verify(index)[0]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"format": 1' + "0" * 5000 + "}", "\ud800", "null", '"x"', "{}", "[]"]
)
def test_a_manifest_that_is_none_is_refused_in_a_line(index: Path, text: str) -> None:
    (index / MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert MANIFEST in refused(index)
    assert len(verify(index)) == 1
    assert by_id(recover_documents(index, lambda line: None)) == by_id(ITEMS)


def test_a_pipe_in_the_place_of_a_file_does_not_hang(index: Path) -> None:
    for name in (MANIFEST, "deleted-1.npy"):
        aside = index / "aside"
        (index / name).rename(aside)
        os.mkfifo(index / name)
        if name != MANIFEST:
            rewrite(index, lambda m: m["files"]["deleted-1.npy"].update(size=0))
        assert "damaged" in refused(index)
        assert verify(index)
        (index / name).unlink()
        aside.rename(index / name)


def test_an_encoder_of_absurd_width_is_refused() -> None:
    for model in ("hash:99999999999", "hash:65537", "hash:7"):
        with pytest.raises(ConfigError, match=r"between 8 and 65,536 dimensions"):
            open_encoder(model)
    assert HashEncoder(65_536).dim == 65_536


# -- damage that the sizes do not show -------------------------------------------------------------

SEARCHER = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from index_world import CountingEncoder
from configs.errors import TandemError
from retriever.retriever import Retriever

for line in sys.stdin:
    path = Path(line.strip())
    try:
        reader = Retriever.open(path, CountingEncoder(), device="cpu")
        for query in ("number7 part0", "here is", "number29"):
            for mode in ("lexical", "dense", "hybrid"):
                reader.search(query, 10, mode)
        print("found", flush=True)
    except TandemError as error:
        print("refused", flush=True)
    except BaseException as error:
        print(type(error).__name__, error, flush=True)
"""


@pytest.mark.parametrize("rounds", [40, pytest.param(400, marks=pytest.mark.stress)])
def test_a_search_over_damaged_files_fails_in_a_line_or_not_at_all(
    sound: Path, tmp_path: Path, rounds: int
) -> None:
    names = sorted(read_manifest(sound).files)
    rng = random.Random(3)
    paths = []
    for number in range(rounds):
        path = Path(shutil.copytree(sound, tmp_path / str(number)))
        name = names[number % len(names)]
        data = bytearray((path / name).read_bytes())
        for _ in range(rng.choice([1, 3, 50])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (path / name).write_bytes(data)
        paths.append(path)
    done = subprocess.run(
        [sys.executable, "-c", SEARCHER, str(Path(__file__).parent)],
        input="".join(f"{path}\n" for path in paths),
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    answers = done.stdout.splitlines()
    if len(answers) < rounds:
        culprit = names[len(answers) % len(names)]
        pytest.fail(f"{culprit}: exit {done.returncode}: {done.stderr[-1000:]}")
    assert set(answers) <= {"found", "refused"}, answers
    assert "refused" in answers


def test_terms_and_texts_that_look_like_programs_are_only_texts(tmp_path: Path) -> None:
    texts = [
        "'; DROP TABLE documents; --",
        "<script>alert(1)</script>",
        "${jndi:ldap://x} {{7*7}} %s %n",
        "AND OR NOT ( [ { \" ' : ^ ~ * ?",
    ]
    items = [Document(f"'; {n} --", text, text[:20], lang="en") for n, text in enumerate(texts)]
    items.append(Document("plain", "winter", lang="en", fields={"'; DROP": "x' OR '1'='1"}))
    build(tmp_path, items)
    assert verify(tmp_path) == []
    reader = Retriever.open(tmp_path, CountingEncoder(), device="cpu")
    assert reader.collection.documents([item.id for item in items]) == by_id(items)
    for query in [*texts, "field:value", 'words:"a" OR *:*', "documents"]:
        try:
            for hit in reader.search(query, 5, "lexical"):
                assert hit.document == by_id(items)[hit.document.id]
        except TandemError as error:
            assert "no word to search for" in str(error)
    delete_documents(tmp_path, [items[0].id])
    assert sorted(reader.collection.document_ids()) == sorted(item.id for item in items)
    assert json.loads((tmp_path / MANIFEST).read_text("utf-8"))["documents"] == 4
