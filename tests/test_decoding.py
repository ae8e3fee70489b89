"""Files that are not UTF-8: detected, named, or set aside with the cure."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import read, write

from configs.errors import ConfigError
from indexer.text.decoding import check_encoding
from indexer.text.sources import ReadOptions

CZECH = "Stará dřevěná lávka přes řeku je už několik týdnů zavřená, protože ji poškodila povodeň. Úřady slíbily opravu do jara."
GERMAN = "Die alte Brücke über den Fluss ist für mehrere Wochen gesperrt, weil das Hochwasser sie beschädigt hat. Die Fähre fährt täglich."
RUSSIAN = "Старый деревянный мост через реку закрыт на несколько недель, потому что его повредило наводнение."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(CZECH, "cp1250"), (CZECH, "iso8859-2"), (GERMAN, "cp1252"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r")],
)  # fmt: skip
def test_text_files_in_older_encodings_are_detected_and_told(
    tmp_path: Path, text: str, encoding: str
) -> None:
    found = read(write(tmp_path / "a.txt", text.encode(encoding)))
    assert found.texts == [text]
    assert found.notes == [
        f"read as {encoding}, which was detected: a.txt; name another encoding with --encoding"
    ]


def test_a_table_is_set_aside_with_the_encoding_to_name(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", f"id,text\n1,{CZECH!r}\n2,plain\n".encode("cp1250"))
    found = read(file)
    assert found.ids == ["2"]
    (place, reason) = found.rejects[0]
    assert place == "a.csv:2"
    assert (
        "it looks like cp1250: save the file as UTF-8, or read it with --encoding cp1250" in reason
    )


@pytest.mark.parametrize("encoding", ["cp1250", "detect"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_named_encoding_and_detect_read_tables_and_lines(
    tmp_path: Path, encoding: str, name: str
) -> None:
    rows = {"a.csv": f'id,text\n1,"{CZECH}"\n', "a.jsonl": f'{{"id": "1", "text": "{CZECH}"}}\n'}
    write(tmp_path / name, rows[name].encode("cp1250"))
    write(tmp_path / "utf8.jsonl", f'{{"id": "2", "text": "{GERMAN}"}}\n')
    found = read(tmp_path, options=ReadOptions(encoding))
    assert found.texts == [CZECH, GERMAN]
    assert found.rejects == []
    assert bool(found.notes) == (encoding == "detect")


def test_one_damaged_line_of_a_utf8_file_is_one_reject(tmp_path: Path) -> None:
    lines = [f'{{"id": "{n}", "text": "dům číslo {n}"}}\n'.encode() for n in range(50)]
    lines[30] = lines[30].replace("ů".encode(), b"\xff")
    found = read(write(tmp_path / "a.jsonl", b"".join(lines)))
    assert len(found.documents) == 49
    assert found.rejects[0][0] == "a.jsonl:31"


def test_too_few_letters_to_tell_an_encoding_are_not_guessed(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.txt", b"a\n\xff\xff"))
    assert found.rejects == [
        (
            "a.txt:2",
            "no UTF-8; save the file as UTF-8, or name its encoding with --encoding, for example cp1250",
        )
    ]


def test_utf16_without_its_mark_is_read_when_named(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", GERMAN.encode("utf-16-le"))
    write(tmp_path / "b.jsonl", f'{{"id": "b", "text": "{CZECH}"}}\n'.encode("utf-16-le"))
    write(tmp_path / "c.txt", RUSSIAN)
    assert len(read(tmp_path).rejects) > 1
    found = read(tmp_path, options=ReadOptions("utf-16-le"))
    assert found.texts == [GERMAN, CZECH, RUSSIAN]


def test_a_damaged_utf16_line_is_set_aside_and_the_rest_is_read(tmp_path: Path) -> None:
    lines = [f'{{"id": "{n}", "text": "x{n}"}}\n'.encode("utf-16-le") for n in range(3)]
    lines[1] = lines[1][:10] + b"\x00\xdc" + lines[1][10:]  # half a surrogate pair
    found = read(write(tmp_path / "a.jsonl", b"\xff\xfe" + b"".join(lines)))
    assert found.ids == ["0", "2"]
    assert found.rejects == [("a.jsonl:2", "no utf-16: the file is damaged")]


def test_json_lines_that_end_with_a_carriage_return(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.jsonl", '{"id": 1, "text": "x"}\r{"id": 2, "text": "y"}\r'))
    assert found.ids == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("cp125O", "did you mean cp125"), ("rot13", "no such encoding"), ("zip", "no such encoding")],
)
def test_an_unknown_encoding_is_an_error_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        check_encoding(name)
