"""A static student beside a transformer: the sum by hand, training, export, and a student that is another."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from training_world import sentences, tiny, tokenizer_file, write_pairs

from configs.errors import ConfigError
from configs.training import DistillSettings, HeldOutSettings, RunSettings
from configs.training_corpora import CorporaSettings, CorpusSettings
from indexer.encoders.opening import open_encoder
from indexer.encoders.transformer_encoder import CompactEncoder
from indexer.vectors import unit_rows

torch = pytest.importorskip("torch", reason="extra `train` not installed")
pytest.importorskip("sentence_transformers", reason="extra `train` not installed")
pytest.importorskip("onnx", reason="extra `train` not installed")

PAIRS = sentences(60)
TEXTS = [text for pair in PAIRS[:10] for text in pair]
WIDTH, DIM = 64, 24


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static student of the tiny world's tokenizer, of random rows."""
    from training.export.static_student import export_static

    place = tmp_path_factory.mktemp("static")
    file = tokenizer_file(place)
    rows = np.random.default_rng(5).standard_normal(
        (len(json.loads(file.read_text())["model"]["vocab"]), DIM)
    )
    export_static(rows.astype(np.float32), file, place / "student", name="rows", bits=16)
    return place / "student"


@pytest.fixture(scope="module")
def settings(static: Path, tmp_path_factory: pytest.TempPathFactory) -> DistillSettings:
    """A teacher of its own width, so that no projection stands between."""
    from training.models.students import new_body
    from training.recipes.outputs import write_student

    world = tmp_path_factory.mktemp("world")
    write_pairs(world / "en-xx.tsv", PAIRS)
    student = dataclasses.replace(tiny(world), max_tokens=64)  # passages are longer than sentences
    write_student(new_body(student, "cpu", 9), world / "teacher")
    return DistillSettings(
        teacher=str(world / "teacher"),
        student=dataclasses.replace(student, beside=str(static)),
        corpora=CorporaSettings(files=(CorpusSettings(str(world / "en-xx.tsv")),)),
        held_out=HeldOutSettings(aside=6),
        passages=20,
        run=RunSettings(steps=40, batch_size=16, learning_rate=2e-3, evaluate_every=20,
                        checkpoint_every=20, device="cpu"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(settings: DistillSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from training.recipes.distill import distill

    place = tmp_path_factory.mktemp("run")
    result = distill(settings, place)
    assert result.score is not None and result.before is not None and result.score > result.before
    return place


def by_hand(run: Path, static: Path, texts: list[str], factor: float = 1.0) -> np.ndarray:
    """unit(unit(t) + factor s W), with t of the plain folder that sentence-transformers opens."""
    from safetensors.numpy import load_file
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(run / "model"), device="cpu")
    own = unit_rows(np.asarray(plain.encode(texts, show_progress_bar=False)))
    matrix = load_file(run / "model" / "beside.safetensors")["matrix"]
    return unit_rows(own + factor * open_encoder(str(static)).encode(texts) @ matrix)


def test_the_sum_is_that_of_both_wherever_it_is_computed(
    run: Path, static: Path, tmp_path: Path
) -> None:
    from training.export.transformer_student import export_compact, student_of

    wanted = by_hand(run, static, TEXTS)
    student = student_of(run)
    found = np.asarray(student.encode(TEXTS, show_progress_bar=False))
    assert np.abs(found - wanted).max() < 1e-5
    export_compact(student, tmp_path / "out", name="beside", bits=16)
    encoder = open_encoder(str(tmp_path / "out"))
    assert np.abs(encoder.encode(TEXTS) - wanted).max() < 2e-3  # float16
    assert (encoder.dim, encoder.max_tokens) == (WIDTH, None)
    assert not encoder.encode(["", " "]).any()

    from training.models.model_parts import restored

    again = np.asarray(restored(tmp_path / "out").encode(TEXTS, show_progress_bar=False))
    assert np.abs(again - encoder.encode(TEXTS)).max() < 1e-5


def test_a_run_goes_on_from_a_student_with_one_beside(
    settings: DistillSettings, run: Path, tmp_path: Path
) -> None:
    from training.models.static_branch import StaticBranch
    from training.recipes.distill import distill

    student = dataclasses.replace(settings.student, model=str(run / "model"))
    more = dataclasses.replace(
        settings,
        student=student,
        held_out=HeldOutSettings(aside=0),
        run=dataclasses.replace(settings.run, steps=2),
    )
    distill(more, tmp_path)
    before, after = (
        StaticBranch.read(place / "model").matrix.detach().numpy() for place in (run, tmp_path)
    )
    assert 0 < np.abs(after - before).max() < 0.1  # trained on, not fitted anew


def test_another_static_student_in_its_place_is_told(
    run: Path, static: Path, tmp_path: Path
) -> None:
    from training.export.static_student import export_static
    from training.export.transformer_student import export_compact, student_of
    from training.models.opening import open_model

    export_compact(student_of(run), tmp_path / "out", name="beside", bits=16)
    rows = open_encoder(str(static)).table()  # type: ignore[attr-defined]
    kept = {file.name: file.read_bytes() for file in static.iterdir()}
    try:
        export_static(2 * rows[:, ::-1], static / "tokenizer.json", static, name="rows", bits=16)
        with pytest.raises(ConfigError, match="put that one back"):
            open_encoder(str(tmp_path / "out"))
        with pytest.raises(ConfigError, match="put that one back"):
            open_model(str(run / "model"))
    finally:
        for name, data in kept.items():
            (static / name).write_bytes(data)
    assert isinstance(open_encoder(str(tmp_path / "out")), CompactEncoder)


def test_what_cannot_stand_beside_is_told(
    settings: DistillSettings, static: Path, tmp_path: Path
) -> None:
    from training.recipes.distill import distill

    for beside, message in (("hash:16", "no static student"), ("default", "not the student's")):
        student = dataclasses.replace(settings.student, beside=beside)
        with pytest.raises(ConfigError, match=message):
            distill(dataclasses.replace(settings, student=student), tmp_path / beside)
    narrow = dataclasses.replace(
        settings, student=dataclasses.replace(settings.student, width=32), projection="linear"
    )
    with pytest.raises(ConfigError, match="teacher's width"):
        distill(narrow, tmp_path / "narrow")


def test_the_static_student_can_count_more(run: Path, static: Path, tmp_path: Path) -> None:
    import tandem
    from training.export.dispatch import Export, export_student

    tandem.main(
        ["train", "export", str(run), "-o", str(tmp_path / "out"), "--bits", "16", "--beside", "2"]
    )
    one, two = by_hand(run, static, TEXTS, 1.0), by_hand(run, static, TEXTS, 2.0)
    found = open_encoder(str(tmp_path / "out")).encode(TEXTS)
    assert np.abs(found - two).max() < 2e-3 < np.abs(found - one).max()
    plain = tmp_path / "plain"
    (plain / "model").mkdir(parents=True)
    for file in (run / "model").rglob("*"):
        if file.is_file() and file.name != "beside.safetensors":
            place = plain / "model" / file.relative_to(run / "model")
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(file.read_bytes())
    with pytest.raises(ConfigError, match="no static student beside"):
        export_student(plain, tmp_path / "other", Export("compact", beside=2.0), lambda _: None)


def test_it_is_no_folder_of_sentence_transformers(run: Path, tmp_path: Path) -> None:
    from training.export.transformer_student import export_float, student_of

    with pytest.raises(ConfigError, match="--format compact"):
        export_float(student_of(run), tmp_path / "out")


def test_least_squares_finds_the_turn() -> None:
    from training.models.static_branch import least_squares

    rng = np.random.default_rng(1)
    rows = unit_rows(rng.standard_normal((500, 8)).astype(np.float32))
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0].astype(np.float32)
    assert np.abs(least_squares(rows, rows @ turn, ridge=0.0) - turn).max() < 1e-4


def test_passages_are_of_one_source_and_have_their_share() -> None:
    from training.data.corpora import Pairs
    from training.data.joined_passages import with_passages

    count = 40
    origin = np.array([i % 2 for i in range(count)], np.int16)
    language = np.array([i // 20 for i in range(count)], np.int16)
    pairs = Pairs([f"s{i}" for i in range(count)], [f"t{i}" for i in range(count)], language, origin,
                  np.ones(count), ("de", "fr"), ("a", "b"), ())  # fmt: skip
    whole = with_passages(pairs, 30, 0.25, seed=3)
    assert len(whole) == 70 and whole.weight.sum() == pytest.approx(70)
    assert whole.weight[count:].sum() / whole.weight.sum() == pytest.approx(0.25)
    for row in range(count, 70):
        parts = [int(word[1:]) for word in whole.sources[row].split()]
        assert 2 <= len(parts) <= 6
        assert [f"t{i}" for i in parts] == whole.targets[row].split()
        assert {(origin[i], language[i]) for i in parts} == {
            (whole.origin[row], whole.language[row])
        }
    short = with_passages(pairs, 30, 0.25, seed=3, characters=3)
    assert all(len(text.split()) == 1 for text in short.sources[count:])
    assert with_passages(pairs, 0, 0.25, seed=3) is pairs


def test_the_one_in_the_package_reads_languages_and_the_end_of_a_long_text() -> None:
    encoder = open_encoder("accurate")
    assert (encoder.dim, encoder.max_tokens) == (384, None)
    english = ["The hospital is open.", "Our football team lost the match.", "The soup is too hot."]
    czech = [
        "Nemocnice je otevřená.",
        "Naše fotbalové mužstvo prohrálo zápas.",
        "Polévka je moc horká.",
    ]
    assert (encoder.encode(english) @ encoder.encode(czech).T).argmax(axis=1).tolist() == [0, 1, 2]
    long = "The weather stays as it is. " * 60  # beyond what the transformer reads
    ends = encoder.encode([long, long + "hospital " * 40])
    assert ends[0] @ ends[1] < 0.99
