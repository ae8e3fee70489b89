"""The collapse alarm: what it measures, when it sounds, and a run that it stops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from training_world import tiny, topic_texts, write_alike

from configs.training import (
    AlarmSettings,
    ContrastiveSettings,
    HeldOutSettings,
    RunSettings,
    TextSettings,
)
from training.recipes.contrastive import contrastive
from training.run.collapse_alarm import Collapse, Health, collapse, health

CROSS = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)


def test_a_cross_uses_two_directions() -> None:
    found = health(CROSS)
    assert found.cosine == pytest.approx(-1 / 3)  # of 12 ordered pairs, 4 are opposite
    assert found.rank == pytest.approx(2.0)
    assert found.accuracy is None


def test_one_point_has_cosine_one_and_no_direction() -> None:
    found = health(np.ones((5, 3)))
    assert found.cosine == pytest.approx(1.0)
    assert found.rank == 0.0


def test_unequal_directions_count_by_the_entropy_of_their_shares() -> None:
    # centred singular values in the shares 3/4 and 1/4
    angle = np.arctan(1 / 3)
    rows = np.array([[np.cos(a), np.sin(a)] for a in (angle, -angle, np.pi - angle, np.pi + angle)])
    wanted = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert health(rows).rank == pytest.approx(wanted)


def test_translation_accuracy_is_taken_both_ways() -> None:
    source = np.array([[1, 0], [0, 1]], np.float32)
    target = np.array([[1, 0], [0.9, 0.1]], np.float32)
    found = health(source, target)
    # (0, 1) is nearest to (.9, .1) of the targets; (.9, .1) is nearest to (1, 0) of the sources
    assert (found.forward, found.back) == (1.0, 0.5)
    assert found.accuracy == 0.75


GOOD = Health(0.1, 50.0, 0.8, 0.8)
SETTINGS = AlarmSettings(grace=1)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (Health(0.97, 50.0, 0.8, 0.8), "mean cosine of 0.970"),
        (Health(0.1, 1.5, 0.8, 0.8), "1.5 directions"),
        (Health(0.1, 50.0, 0.3, 0.3), "fell to 0.300 from 0.800"),
        (Health(float("nan"), float("nan")), "not numbers"),
    ],
)
def test_each_sign_sounds_the_alarm(now: Health, words: str) -> None:
    assert words in (collapse([GOOD, now], SETTINGS) or "")


def test_a_healthy_run_is_left_alone() -> None:
    assert collapse([GOOD, Health(0.2, 40.0, 0.7, 0.7)], SETTINGS) is None


def test_the_first_evaluations_are_not_judged() -> None:
    assert collapse([GOOD, Health(0.99, 1.0)], AlarmSettings(grace=2)) is None


def test_a_high_cosine_that_falls_is_a_young_student() -> None:
    young = [Health(0.999, 2.0), Health(0.99, 2.5), Health(0.98, 2.9)]
    assert collapse(young, SETTINGS) is None


def test_an_alarm_that_is_off_is_silent() -> None:
    assert collapse([GOOD, Health(1.0, 0.0, 0.0, 0.0)], AlarmSettings(enabled=False)) is None


def collapsing(folder: Path, rate: float) -> ContrastiveSettings:
    (folder / "texts.txt").write_text("\n".join(topic_texts(200)), "utf-8")
    return ContrastiveSettings(
        student=tiny(folder),
        texts=(TextSettings(str(folder / "texts.txt")),),
        held_out=HeldOutSettings(scored=str(write_alike(folder / "sts.tsv", 40, "topic"))),
        run=RunSettings(
            steps=40,
            batch_size=16,
            learning_rate=rate,
            warmup=0.0,
            schedule="constant",
            evaluate_every=5,
            checkpoint_every=5,
            device="cpu",
        ),
    )


def test_a_run_that_collapses_is_stopped_with_a_plain_message(tmp_path: Path) -> None:
    with pytest.raises(Collapse, match=r"has collapsed at step \d+: .*lower run.learning_rate"):
        contrastive("simcse", collapsing(tmp_path, 1.0), tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()
