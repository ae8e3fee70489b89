"""RetroMAE: its masks, its decoder's view, and that the sentence vector comes to hold the sentence."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import pytest
import torch
from training_world import tiny, topic_texts, write_alike

from configs.errors import ConfigError
from configs.training import RetromaeSettings, RunSettings, TextSettings
from training.data.plain_texts import read_scored
from training.models.opening import open_model
from training.models.students import open_student
from training.recipes.held_out import Scored
from training.recipes.retromae import Decoder, hide, retromae, visible


@pytest.mark.parametrize("architecture", ["bert", "electra"])
def test_pre_training_brings_sentences_of_one_topic_together(
    tmp_path: Path, architecture: Literal["bert", "electra"]
) -> None:
    """No two sentences that are compared share a word: what they have in common was learned from which
    words stand together, through the sentence vector alone."""
    (tmp_path / "texts.txt").write_text("\n".join(topic_texts(800)), "utf-8")
    settings = RetromaeSettings(
        student=dataclasses.replace(tiny(tmp_path), architecture=architecture, embedding_width=48),
        texts=(TextSettings(str(tmp_path / "texts.txt")),),
        aside=100,
        run=RunSettings(
            steps=160,
            batch_size=32,
            learning_rate=3e-3,
            evaluate_every=80,
            checkpoint_every=160,
            device="cpu",
        ),
    )
    topics = Scored(*read_scored(str(write_alike(tmp_path / "sts.tsv", 200, "topic")), 200))
    before = topics.evaluate(open_student(settings.student, "cpu", settings.run.seed)).score
    result = retromae(settings, tmp_path / "run")
    after = topics.evaluate(open_model(result.model)).score
    assert abs(before) < 0.15
    assert after > before + 0.15
    assert result.before is not None and result.before < 0.1
    assert result.score is not None and result.score > 0.5  # of the tokens, restored


def test_a_share_of_each_rows_real_tokens_is_hidden() -> None:
    real = torch.tensor([[False, *[True] * 10, False], [False, True, False, *[False] * 9]])
    hidden = hide(real, 0.3, torch.Generator().manual_seed(1))
    assert hidden.sum(dim=1).tolist() == [3, 1]
    assert not (hidden & ~real).any()


def test_no_place_of_the_decoder_sees_itself_or_padding_and_all_see_the_vector() -> None:
    real = torch.ones(2, 40, dtype=torch.bool)
    real[:, -5:] = False
    seen = visible(real, 0.5, torch.Generator().manual_seed(1))
    assert seen.shape == (2, 40, 41)
    assert seen[:, :, 0].all()
    tokens = seen[:, :, 1:]
    assert not tokens.diagonal(dim1=1, dim2=2).any()
    assert not tokens[:, :, -5:].any()
    assert tokens[:, :, :-5].float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert (tokens[0, 0] != tokens[0, 1]).any()  # another half for each place


def test_what_a_place_may_not_see_does_not_change_it() -> None:
    torch.manual_seed(1)
    decoder = Decoder(width=8, heads=2, places=4).eval()
    vector, tokens = torch.randn(1, 8), torch.randn(1, 3, 8)
    seen = torch.ones(1, 3, 4, dtype=torch.bool)
    seen[0, 0, 2] = False  # place 0 does not see token 1
    changed = tokens.clone()
    changed[0, 1] += 5.0
    one, two = decoder(vector, tokens, seen), decoder(vector, changed, seen)
    assert torch.equal(one[0, 0], two[0, 0])
    assert not torch.allclose(one[0, 2], two[0, 2])


def test_no_texts_and_a_student_without_a_body_are_refused(tmp_path: Path) -> None:
    settings = RetromaeSettings(student=tiny(tmp_path), run=RunSettings(device="cpu"))
    with pytest.raises(ConfigError, match="no file is named"):
        retromae(settings, tmp_path / "run")
    gone = dataclasses.replace(settings, texts=(TextSettings(str(tmp_path / "gone.txt")),))
    with pytest.raises(ConfigError, match=r"gone.txt: no such file"):
        retromae(gone, tmp_path / "run")
