"""The commands `tandem index ...` on es://NAME, against a real Elasticsearch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tandem import main


@pytest.fixture
def address(
    elasticsearch_name: str,
    elasticsearch_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    monkeypatch.setenv("TANDEM_ES_HOSTS", elasticsearch_url)
    monkeypatch.chdir(tmp_path)
    return f"es://{elasticsearch_name}"


def lines(*records: dict[str, str]) -> str:
    Path("notes.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return "notes.jsonl"


NOTES = (
    {"id": "a", "text": "The hospital stands near the river.", "lang": "en"},
    {"id": "b", "text": "Nemocnice stojí u řeky.", "lang": "cs"},
    {"id": "c", "text": "Bread is baked at dawn.", "lang": "en"},
)
BUILD = ("index", "build", "--encoder", "hash", "--set", "elasticsearch.replicas=0")


def failure(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(str(ended.value.code))


def test_build_add_info_verify_and_delete(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([*BUILD, lines(*NOTES), "-o", address])
    assert f"tandem search 'your query' -i {address}" in capsys.readouterr().out
    main(
        [
            "index",
            "add",
            lines({"id": "d", "text": "Cellos are tuned.", "lang": "en"}),
            "-i",
            address,
        ]
    )
    assert "1 document added" in capsys.readouterr().out
    main(["index", "info", address])
    shown = capsys.readouterr().out
    assert "documents  4\n" in shown
    assert "English 3, Czech 1" in shown
    assert "int8_hnsw" in shown
    main(["index", "info", address, "--json"])
    assert json.loads(capsys.readouterr().out)["documents"] == 4
    main(["index", "verify", address])
    assert capsys.readouterr().out == f"{address}: whole\n"
    main(["index", "delete", "-i", address, "a", "d"])
    assert "2 documents deleted; 2 remain" in capsys.readouterr().out


def test_what_is_set_aside_lies_in_a_file_named_after_the_index(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = lines(*NOTES, {"id": "", "text": "no id"})
    assert failure(*BUILD, source, "-o", address) == 1
    file = Path(f"{address.removeprefix('es://')}.rejects.jsonl")
    assert json.loads(file.read_text())["line"] == 4
    assert str(file) in capsys.readouterr().err
    main(["index", "verify", address])


def test_a_cluster_becomes_a_folder_and_a_folder_a_cluster(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*BUILD, lines(*NOTES), "-o", address])
    main(["index", "build", "--encoder", "hash", "--from", address, "-o", "copy.index"])
    main([*BUILD, "--from", "copy.index", "-o", address, "--overwrite"])
    capsys.readouterr()
    main(["index", "info", address, "--json"])
    assert json.loads(capsys.readouterr().out)["languages"] == {"en": 2, "cs": 1}


def test_what_goes_wrong_is_a_line_with_the_cure_and_exit_code_1(
    address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert failure("index", "info", address) == 1
    assert "no such index; make one with: tandem index build SOURCE" in capsys.readouterr().err
    assert failure("index", "compact", address) == 2
    assert "Elasticsearch merges its segments by itself" in capsys.readouterr().err
    monkeypatch.setenv("TANDEM_ES_HOSTS", "http://127.0.0.1:9")
    assert failure("index", "verify", address) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "http://127.0.0.1:9: Elasticsearch cannot be reached" in told


def test_settings_name_the_cluster_too(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        failure("index", "info", address, "--set", "elasticsearch.hosts=[http://127.0.0.1:9]") == 1
    )
    assert "http://127.0.0.1:9:" in capsys.readouterr().err
    assert failure("index", "info", address, "--set", "elasticsearch.timeout=0") == 2
    assert "timeout must be above 0" in capsys.readouterr().err
