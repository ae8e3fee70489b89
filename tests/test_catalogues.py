"""Parallel corpora out of translation catalogues."""

from __future__ import annotations

import gzip
import json
import lzma
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner

from configs.errors import ConfigError, DocumentError
from training.cli import train
from training.data.catalogues import inflected, read_catalogues


def compiled(messages: dict[str, str]) -> bytes:
    """What msgfmt writes (GNU gettext's manual, The Format of GNU MO Files)."""
    pairs = [(a.encode(), b.encode()) for a, b in sorted(messages.items())]
    start = 28 + 16 * len(pairs)
    tables, body = [b"", b""], b""
    for side in (0, 1):
        for pair in pairs:
            tables[side] += struct.pack("<2I", len(pair[side]), start + len(body))
            body += pair[side] + b"\0"
    head = struct.pack(
        "<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, start + len(body)
    )
    return head + tables[0] + tables[1] + body


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    messages = tmp_path / "game/locale/hu/LC_MESSAGES"
    messages.mkdir(parents=True)
    (messages / "game.mo").write_bytes(
        compiled(
            {
                "": "Content-Type: text/plain; charset=UTF-8\n",
                "_Save <b>all</b> files": "Az összes fájl _mentése",
                "menu\x04Open": "Megnyitás",
                "%d house\0%d houses": "%d ház\0%d ház",
                "First part.\n\nSecond part.": "Első rész.\n\nMásodik rész.",
                "Same": "Same",
                "100 %": "100 %",
            }
        )
    )
    words = tmp_path / "words"
    words.mkdir()
    entries = "octopus /ˈɒktəpəs/ <n>\nmustekala, kahdeksanraajainen\na sea animal\nto run <v>\n1. juosta (nopeasti)\n2. pyörittää\n"
    (words / "eng-fin.dict.dz").write_bytes(gzip.compress(entries.encode()))
    (words / "ell-eng.dict").write_text("σπίτι /spˈiti/\nhouse, home\n", "utf-8")
    site = tmp_path / "site"
    site.mkdir()
    english: dict[str, object] = {
        str(n): text for n, text in enumerate(("water", "fire", "tree", "house"))
    }
    thai: dict[str, object] = {str(n): text for n, text in enumerate(("น้ำ", "ไฟ", "ต้นไม้", "บ้าน"))}
    english |= {"b": {"message": "A small boat"}, "c": "Not done yet"}
    thai |= {"b": {"message": "เรือลำเล็ก"}, "c": "Still not done", "d": "x"}
    (site / "en.json").write_text(json.dumps(english))
    (site / "th.json").write_text(json.dumps(thai))
    (site / "settings.json").write_text("[of no language, and not read]")
    for code, name, keys in (
        ("en", "bear", ["bear", "animal"]),
        ("nb", "bjørn", ["bjørn", "dyr"]),
    ):
        place = tmp_path / "cldr" / code
        place.mkdir(parents=True)
        content = {"annotations": {"annotations": {"B": {"tts": [name], "default": keys}}}}
        (place / "annotations.json").write_text(json.dumps(content))
    return tmp_path


def test_each_kind_of_catalogue_gives_clean_pairs(folder: Path) -> None:
    found = read_catalogues(folder)
    assert set(found.pairs["hu"]) == {
        ("Save all files", "Az összes fájl mentése"),
        ("Open", "Megnyitás"),
        ("house", "ház"),
        ("First part.", "Első rész."),
        ("Second part.", "Második rész."),
    }
    assert set(found.pairs["fi"]) == {
        ("octopus", "mustekala"),
        ("octopus", "kahdeksanraajainen"),
        ("to run", "juosta"),
        ("to run", "pyörittää"),
    }
    assert set(found.pairs["el"]) == {("house", "σπίτι"), ("home", "σπίτι")}
    # what nobody translated is in another script
    assert set(found.pairs["th"]) == {
        ("water", "น้ำ"),
        ("fire", "ไฟ"),
        ("tree", "ต้นไม้"),
        ("house", "บ้าน"),
        ("A small boat", "เรือลำเล็ก"),
    }
    assert set(found.pairs["no"]) == {("bear", "bjørn"), ("bear, animal", "bjørn, dyr")}
    assert found.left_out == 3  # Same, 100 %, and the one in another script


def test_a_catalogue_is_read_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    folder = tmp_path / "sv/LC_MESSAGES"
    folder.mkdir(parents=True)
    content = compiled({"": "Content-Type: text/plain; charset=ISO-8859-1\n", "An island": "X"})
    (folder / "a.mo").write_bytes(content.replace(b"X\0", b"\xd6\0"))
    assert list(read_catalogues(tmp_path).pairs["sv"]) == [("An island", "Ö")]


def test_forms_of_translated_words_are_pairs_too() -> None:
    pairs = [
        ("house", "talo"),
        ("building", "Talo"),
        ("home", "talo"),
        ("in the houses", "Taloissa oli kylmä"),
    ]
    assert inflected(pairs, "fi") == [("house", "taloissa"), ("building", "taloissa")]
    assert inflected([("house", "maison")], "xx") == []


def test_the_command_writes_what_training_reads(folder: Path) -> None:
    out = folder / "pairs"
    folders = [str(folder / name) for name in ("game", "words", "site", "cldr")]
    done = CliRunner().invoke(
        train, ["catalogues", *folders, "-o", str(out), "--lang", "hu", "--lang", "fi"]
    )
    assert done.exit_code == 0, done.output
    assert "9 pairs in 2 languages (hu 5, fi 4)" in done.output
    assert sorted(path.name for path in out.iterdir()) == ["en-fi.tsv.xz", "en-hu.tsv.xz"]
    rows = lzma.decompress((out / "en-fi.tsv.xz").read_bytes()).decode().splitlines()
    assert rows[0] == "words\toctopus\tmustekala"

    few = CliRunner().invoke(
        train, ["catalogues", *folders, "-o", str(out), "--most", "2", "--json"]
    )
    told = json.loads(few.output)
    assert told["pairs"] == {"el": 2, "fi": 2, "hu": 2, "no": 2, "th": 2}


def test_what_is_no_catalogue_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder of catalogues"):
        read_catalogues(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match=r"empty: holds no catalogue; XX/LC_MESSAGES"):
        read_catalogues(empty)
    (folder / "game/locale/hu/LC_MESSAGES/game.mo").write_bytes(b"no messages at all")
    with pytest.raises(DocumentError, match=r"game\.mo: cannot be read as a catalogue"):
        read_catalogues(folder / "game")
    (folder / "site/th.json").write_text("[]")
    with pytest.raises(
        DocumentError, match=r"th\.json: .* \(a JSON object of messages is expected"
    ):
        read_catalogues(folder / "site")
    (folder / "site/th.json").write_text("{")
    with pytest.raises(DocumentError, match=r"th\.json: cannot be read as a catalogue"):
        read_catalogues(folder / "site")
    unknown = CliRunner().invoke(
        train, ["catalogues", str(folder), "-o", str(tmp_path), "--lang", "hungarian"]
    )
    assert isinstance(unknown.exception, ConfigError)
    assert "did you mean hu?" in str(unknown.exception)
