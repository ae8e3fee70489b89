"""Parallel corpora: every kind of file, what is refused and how it is said, overlap, sampling."""

from __future__ import annotations

import gzip
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pytest

from configs.errors import ConfigError, DocumentError
from configs.training_corpora import CorporaSettings, CorpusSettings
from training.data.corpora import read_pairs, wrong_language
from training.data.overlap import evaluation_texts, fold

ROWS: list[tuple[str, ...]] = [("a dog", "pes"), ("a cat", "kočka"), ("a  house ", "dům")]


def read(*paths: Path | str, **changes: object) -> list[tuple[str, str]]:
    pairs = read_pairs(settings(*paths, **changes))
    return list(zip(pairs.sources, pairs.targets, strict=True))


def settings(*paths: Path | str, **changes: object) -> CorporaSettings:
    return CorporaSettings(
        files=tuple(CorpusSettings(str(path)) for path in paths),
        **changes,  # type: ignore[arg-type]
    )


def tsv(path: Path, rows: list[tuple[str, ...]]) -> Path:
    text = "".join("\t".join(row) + "\n" for row in rows)
    if path.suffix == ".xz":
        path.write_bytes(lzma.compress(text.encode()))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("name", ["en-cs.tsv", "en-cs.tsv.gz", "x.en-cs.tsv.xz"])
def test_a_tsv_of_two_columns_is_read_however_packed(tmp_path: Path, name: str) -> None:
    tsv(tmp_path / name, ROWS)
    assert read(tmp_path / name) == [("a dog", "pes"), ("a cat", "kočka"), ("a house", "dům")]


def test_three_columns_name_the_source(tmp_path: Path) -> None:
    tsv(tmp_path / "en-cs.tsv", [("news", *ROWS[0]), ("film", *ROWS[1])])
    pairs = read_pairs(settings(tmp_path / "*.tsv", source_weights={"film": 0}))
    assert pairs.origins == ("news",) and pairs.targets == ["pes"] and pairs.languages == ("cs",)


def test_moses_files_and_their_zip_are_one_corpus(tmp_path: Path) -> None:
    (tmp_path / "Tatoeba.cs-en.en").write_text("a dog\na cat\n", "utf-8")
    (tmp_path / "Tatoeba.cs-en.cs").write_text("pes\nkočka\n", "utf-8")
    with zipfile.ZipFile(tmp_path / "cs-en.zip", "w") as archive:
        for side in ("en", "cs"):
            archive.write(tmp_path / f"Tatoeba.cs-en.{side}", f"Tatoeba.cs-en.{side}")
    expected = [("a dog", "pes"), ("a cat", "kočka")]
    assert read(tmp_path / "Tatoeba.cs-en") == expected
    assert read(tmp_path / "cs-en.zip") == expected


def test_moses_sides_of_different_length_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.cs-en.en").write_text("a dog\na cat\n", "utf-8")
    (tmp_path / "x.cs-en.cs").write_text("pes\n", "utf-8")
    with pytest.raises(DocumentError, match="the cs side ends at line 1 before the other"):
        read(tmp_path / "x.cs-en")


@pytest.mark.filterwarnings("ignore")
def test_a_hugging_face_set_is_read_by_its_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "talks-en-cs"
    folder.mkdir()
    lines = [
        '{"english": "a dog", "non_english": "pes"}',
        '{"english": "a cat", "non_english": "k"}',
    ]
    (folder / "train.jsonl").write_text("\n".join(lines), "utf-8")
    assert read(f"hf:{folder}") == [("a dog", "pes"), ("a cat", "k")]


def test_a_missing_column_is_told_with_count_and_line(tmp_path: Path) -> None:
    tsv(tmp_path / "en-cs.tsv", [*ROWS, ("a mouse",), ("a hen", "")])
    with pytest.raises(
        DocumentError, match="2 of 5 rows cannot be used, the first at line 4: 1 col"
    ):
        read(tmp_path / "en-cs.tsv")


def test_a_few_bad_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    tsv(tmp_path / "en-cs.tsv", [*ROWS, ("", "myš")])
    pairs = read_pairs(settings(tmp_path / "en-cs.tsv", bad_share=0.5))
    assert len(pairs) == 3 and pairs.reports[0].bad == 1


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    whole = lzma.compress(b"a dog\tpes\n" * 1000)
    (tmp_path / "en-cs.tsv.xz").write_bytes(whole[:-30])
    with pytest.raises(DocumentError, match="is the file whole"):
        read(tmp_path / "en-cs.tsv.xz")


def test_no_file_and_no_language_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read(tmp_path / "gone.en-cs")
    tsv(tmp_path / "talks.tsv", ROWS)
    with pytest.raises(ConfigError, match="set target"):
        read(tmp_path / "talks.tsv")
    with pytest.raises(ConfigError, match="at least one path"):
        read()


def test_a_text_of_an_evaluation_set_is_taken_out_and_counted(tmp_path: Path) -> None:
    held = tmp_path / "tatoeba"
    held.mkdir()
    tsv(held / "test.tsv", [("The dog barks!", "Der Hund bellt."), ("yes", "ja")])
    rows: list[tuple[str, ...]] = [
        ("the DOG barks", "pes štěká"),
        ("yes", "ano"),
        ("A cat sleeps.", "Kočka spí."),
    ]
    tsv(tmp_path / "en-cs.tsv", rows)
    pairs = read_pairs(settings(tmp_path / "en-cs.tsv", exclude=(str(held),)))
    assert pairs.sources == ["yes", "A cat sleeps."]  # three letters make no leak
    assert pairs.reports[0].overlap == {"tatoeba": 1}
    with pytest.raises(DocumentError, match="tatoeba 1"):
        read(tmp_path / "en-cs.tsv", exclude=(str(held),), overlap="refuse")
    with pytest.raises(ConfigError, match="does not exist"):
        evaluation_texts([str(tmp_path / "nowhere")])


def test_fold_ignores_case_width_space_and_punctuation() -> None:
    assert fold("Ｈello, World!") == fold("hello world") == "helloworld"
    assert fold("Škola") == "škola"


CZECH = "Tohle je docela obyčejná česká věta číslo {}, která má dost písmen na to, aby se poznala."
GERMAN = "Das ist ein ganz gewöhnlicher deutscher Satz Nummer {}, der lang genug ist, um ihn zu erkennen."
ENGLISH = "This is a perfectly ordinary English sentence number {}, long enough to be recognised."


def test_a_corpus_in_another_language_is_refused_by_share(tmp_path: Path) -> None:
    rows = [(ENGLISH.format(i), (GERMAN if i % 10 else CZECH).format(i)) for i in range(60)]
    tsv(tmp_path / "en-cs.tsv", list(rows))
    with pytest.raises(DocumentError, match=r"10% of 60 texts are in cs, and 90% in de"):
        read(tmp_path / "en-cs.tsv")
    assert len(read(tmp_path / "en-cs.tsv", language_share=0.05)) == 60


def test_a_language_is_right_when_most_of_it_is() -> None:
    assert wrong_language([CZECH.format(i) for i in range(40)], "cs", 0.3) == ""
    assert wrong_language([CZECH.format(i) for i in range(40)], "yi", 0.3) == ""  # not detectable


def test_limits_hold_for_files_and_sources(tmp_path: Path) -> None:
    rows = [("bible" if i % 2 else "news", f"text {i}", f"věta {i}") for i in range(100)]
    path = tsv(tmp_path / "en-cs.tsv", list(rows))
    pairs = read_pairs(settings(path, source_limits={"bible": 5}))
    counts = np.bincount(pairs.origin)
    assert dict(zip(pairs.origins, counts.tolist(), strict=True)) == {"news": 50, "bible": 5}
    few = CorporaSettings(files=(CorpusSettings(str(path), limit=7),))
    assert len(read_pairs(few)) == 7
    assert read_pairs(few, seed=3).sources == read_pairs(few, seed=3).sources


def test_an_epoch_holds_each_pair_as_often_as_its_weight_says(tmp_path: Path) -> None:
    rows = [("rare" if i < 10 else "common", f"text {i}", f"věta {i}") for i in range(40)]
    path = tsv(tmp_path / "en-cs.tsv", list(rows))
    pairs = read_pairs(settings(path, source_weights={"rare": 3.0}))
    rows_drawn = pairs.draw(60, seed=1, epoch=0)
    times = np.bincount(rows_drawn, minlength=40)
    # the weights sum to 10 * 3 + 30, so of 60 draws each rare pair gets 3 and each common one 1
    assert times[:10].tolist() == [3] * 10 and times[10:].tolist() == [1] * 30
    assert (pairs.draw(60, 1, 0) == rows_drawn).all()
    assert not (pairs.draw(60, 1, 1) == rows_drawn).all()


def test_temperature_0_draws_languages_alike(tmp_path: Path) -> None:
    tsv(tmp_path / "en-cs.tsv", [(f"text {i}", f"věta {i}") for i in range(90)])
    tsv(tmp_path / "en-de.tsv", [(f"other {i}", f"Satz {i}") for i in range(10)])
    pairs = read_pairs(settings(tmp_path / "*.tsv", temperature=0.0))
    sums = np.bincount(pairs.language, weights=pairs.weight)
    np.testing.assert_allclose(sums, [50, 50])


def test_nothing_held_out_is_trained_on(tmp_path: Path) -> None:
    rows = [(f"text {i // 2}", f"věta {i}") for i in range(200)]  # each English text twice
    path = tsv(tmp_path / "en-cs.tsv", list(rows))
    train, held = read_pairs(settings(path)).split(10, seed=1)
    assert len(held) == 10 and len(train) + len(held) < 200
    assert not set(train.sources) & set(held.sources)


def test_the_shared_corpora_overlap_is_counted(shared_data: Path) -> None:
    pairs = read_pairs(
        settings(
            shared_data / "parallel/en-tt.tsv.xz",
            exclude=(str(shared_data / "dev"), str(shared_data / "ntrex128")),
        )
    )
    report = pairs.reports[0]
    assert report.read == 3138 and len(pairs) == report.kept < report.read
    assert report.overlap["tatoeba"] == 2
