"""Every setting of the training recipes, with its default and meaning.

One dataclass a command (`DistillSettings` for `tandem train distill`...), each made of the same parts:
what the student is, what it reads, what tells it is getting better, and how the loop runs. Values are
checked where they are read, so that a wrong one is told before a model is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from configs.training_corpora import CorporaSettings, CorpusSettings

__all__ = [
    "AlarmSettings",
    "ContrastiveSettings",
    "DistillSettings",
    "HeldOutSettings",
    "RelevanceSettings",
    "RetromaeSettings",
    "RunSettings",
    "StudentSettings",
    "TextSettings",
]


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """When a run has collapsed and must stop."""

    enabled: bool = True
    grace: int = 2
    """Evaluations, the one before the first step included, that are never judged."""
    cosine: float = 0.95
    """Highest mean cosine of two different held-out texts, unless it is falling."""
    rank: float = 3.0
    """Lowest effective rank of the held-out vectors (directions), unless it is rising."""
    accuracy: float = 0.5
    """Lowest share of the best translation accuracy so far."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How the loop runs, whatever the recipe."""

    epochs: float = 1.0
    """Passes over the examples; ignored when `steps` is given."""
    steps: int = 0
    """Steps to take; 0: what `epochs` come to."""
    batch_size: int = 64
    """Examples in a step."""
    learning_rate: float = 2e-5
    """AdamW's highest learning rate."""
    embedding_rate: float = 0.0
    """Highest rate of the token vectors, by an Adam of their own that touches only the rows of a step;
    0: as all other weights. For large vocabularies."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls to zero after the warm-up."""
    warmup: float = 0.1
    """Share of the steps over which the rate rises from zero."""
    warmup_steps: int = 0
    """Steps over which it rises, in place of that share; 0: by the share."""
    weight_decay: float = 0.01
    """AdamW's decay of weight matrices; biases and layer norms are left alone."""
    clip: float = 1.0
    """Longest gradient, by its norm; 0: not clipped."""
    bucket: bool = False
    """Whether batches are made of texts of like length, which saves padding. Leave it where texts of
    one batch are each other's negatives: such a batch would teach the model length rather than topic."""
    seed: int = 1
    """Decides the order of examples, dropout and new weights; on a CPU a run repeats to the bit."""
    device: str = "auto"
    """`auto` (a GPU when there is one), `cpu`, `cuda` or `cuda:N`."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto`: bfloat16 (or float16) on a GPU, float32 on a CPU."""
    evaluate_every: int = 500
    """Steps between looks at the held-out texts."""
    checkpoint_every: int = 500
    """Steps between checkpoints; the newest and the one before are kept."""
    patience: int = 0
    """Evaluations without a better score before the run stops; 0: it runs to its end."""
    alarm: AlarmSettings = field(default_factory=AlarmSettings)

    def __post_init__(self) -> None:
        _at_least("batch_size", self.batch_size, 1)
        _at_least("evaluate_every", self.evaluate_every, 1)
        _at_least("checkpoint_every", self.checkpoint_every, 1)
        _at_least("steps", self.steps, 0)
        _at_least("warmup_steps", self.warmup_steps, 0)
        if self.steps == 0 and self.epochs <= 0:
            raise ValueError(f"epochs must be above 0, not {self.epochs}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of the steps in [0, 1), not {self.warmup}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if self.embedding_rate < 0:
            raise ValueError(f"embedding_rate must be 0 or more, not {self.embedding_rate}")


@dataclass(frozen=True, slots=True)
class StudentSettings:
    """What is trained: a model that exists (`model`), or a new body of the shape below."""

    model: str = ""
    """A folder or a sentence-transformers name; empty: a new body."""
    body: str = ""
    """A model whose layers are kept under the new `tokenizer`, each of whose tokens starts as a mean of
    the body's words nearest to it; empty: layers of random weights."""
    bridge: str = "fast"
    """The static student that tells which words are near (with `body`): `default`, or a folder."""
    architecture: Literal["bert", "distilbert", "electra"] = "bert"
    """`electra`: as bert, with token vectors of `embedding_width`, widened by one layer."""
    embedding_width: int = 128
    """Of an electra body, as that of the Small Czech models of 2023: most of a small body is its table."""
    layers: int = 12
    width: int = 256
    """Width of the hidden layers; the feed-forward layers are four times as wide."""
    heads: int = 4
    tokenizer: str = ""
    """The tokenizer.json (or a folder with one) of a new body; `tandem train tokenizer` makes one, and
    `default` is the one of the student in the package."""
    pooling: Literal["mean", "cls"] = "mean"
    """How a new body's token vectors become one."""
    max_tokens: int = 128
    """Longest text that is read, in tokens."""
    dropout: float = 0.1
    """A new body's dropout, and that of a `body` under a new tokenizer."""

    def __post_init__(self) -> None:
        if not self.model and self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be shared among {self.heads} heads")


@dataclass(frozen=True, slots=True)
class TextSettings:
    """One file of plain sentences, or several of one kind."""

    path: str
    """A text file (plain, gz, xz) with a sentence a line, a TSV of such, or a pattern (`en-*.tsv.xz`)."""
    column: int = 0
    """The TSV's column that holds the sentence, counted from 1; 0: the whole line."""
    limit: int = 0
    """Sentences read from each file, from the top; 0: all."""

    def __post_init__(self) -> None:
        if self.column < 0 or self.limit < 0:
            raise ValueError("column and limit must not be negative")


@dataclass(frozen=True, slots=True)
class HeldOutSettings:
    """What tells that the student is getting better."""

    pairs: tuple[CorpusSettings, ...] = ()
    """Files of parallel sentences: the score is translation accuracy, the mean of both ways and of
    the languages."""
    scored: str = ""
    """A TSV of text, text, similarity, or JSON lines of s1, s2, score: the score is Spearman's
    correlation."""
    best: Literal["accuracy", "mse"] = "accuracy"
    """Which figure of held-out pairs the kept weights are the best by: translation accuracy, or the mean squared error
    to the teacher's vectors (distill alone)."""
    aside: int = 200
    """With neither of these: pairs of each language that are kept from training, at most a tenth."""
    limit: int = 1000
    """Pairs of each file that are looked at."""

    def __post_init__(self) -> None:
        if self.pairs and self.scored:
            raise ValueError("give held-out pairs or a scored file, not both")
        if self.aside < 0 or self.limit < 2:
            raise ValueError("aside must be 0 or more, and limit 2 or more")
        if self.best == "mse" and self.scored:
            raise ValueError("best: mse is a figure of held-out pairs; a scored file has none")


@dataclass(frozen=True, slots=True)
class DistillSettings:
    """`tandem train distill`: a teacher's space, taught through translations."""

    teacher: str = "all-MiniLM-L6-v2"
    """The model whose vectors are copied: a folder or a sentence-transformers name."""
    student: StudentSettings = field(default_factory=StudentSettings)
    corpora: CorporaSettings = field(default_factory=CorporaSettings)
    """Parallel sentences; the first side is in the language the teacher knows."""
    held_out: HeldOutSettings = field(default_factory=HeldOutSettings)
    projection: Literal["none", "linear", "dense", "pca"] = "none"
    """Where the widths differ. `linear`: a layer from the student's width to the teacher's, used in
    training only. `dense`: the same layer, kept in the student, whose vectors then have the teacher's
    width. `pca`: the teacher's vectors are cut to the student's width along their principal axes."""
    unit_teacher: bool = True
    """Whether the teacher's vectors are brought to unit length; false: they are copied as the teacher gives them."""
    teacher_reads: Literal["source", "both"] = "source"
    """`source`: the wanted vector is T(s). `both`: the mean of T(s) and T(t), for a multilingual teacher, which is then any
    encoder that `--encoder` takes, in its language-neutral space and with its own prompts. The student's vectors are compared
    in that space, and it reads each batch with one of its prompts, drawn anew."""
    sides: Literal["both", "target"] = "both"
    """`both`: S(s) and S(t) near T(s); `target`: only S(t)."""
    source_share: float = 0.0
    """With sides `target`: share of the examples of which S(s) is taken in place of S(t), so that the
    teacher's language is kept at less than the price of `both`."""
    unaccented: float = 0.0
    """With sides `target`: share of the examples whose Latin text is read without accents, as it is often typed; the wanted
    vector stays that of the accented text."""
    passages: int = 0
    """Passages to put together, of 2 to 6 pairs of one source and language each; 0: sentences only."""
    passage_share: float = 0.1
    """Share of the examples that are such passages."""
    contrastive_weight: float = 0.0
    """Weight, beside the squared error's 1, of telling T(s) of an example from those of the batch."""
    temperature: float = 0.05
    """Of that contrastive loss."""
    near: float = 1.0
    """Cosine of two wanted vectors above which they are no negatives of each other in the contrastive loss; 1: all are."""
    start_weight: float = 0.0
    """Share of the student's weights before training in the finished ones, which are the weighted mean of both (Wortsman et
    al. 2022): it keeps what the student knew before. For a student that was opened (`student.model`)."""
    teacher_precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is three times faster on a CPU that has AVX512_BF16, and as good (cosine 0.999)."""
    lowercase: bool = False
    """Fold case before the teacher reads; fewer texts are different. For an uncased teacher only."""
    cache: str = ""
    """Folder of the teacher's vectors, kept by content; empty: inside the output folder."""
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        if not 0 <= self.source_share < 1:
            raise ValueError(f"source_share is a share in [0, 1), not {self.source_share}")
        if not 0 <= self.passage_share < 1:
            raise ValueError(f"passage_share is a share in [0, 1), not {self.passage_share}")
        if (self.source_share or self.unaccented) and self.sides == "both":
            raise ValueError(
                "source_share and unaccented are for sides: target; both reads every source"
            )
        if self.unaccented < 0 or self.source_share + self.unaccented >= 1:
            raise ValueError("source_share and unaccented are shares that must leave some of 1")
        if self.teacher_reads == "both" and (self.projection != "none" or not self.unit_teacher):
            raise ValueError("teacher_reads: both knows neither projection nor unit_teacher: false")
        if not 0 <= self.start_weight < 1 or (self.start_weight and not self.student.model):
            raise ValueError(
                "start_weight is a share in [0, 1), and needs a student.model to start from"
            )
        if not 0 <= self.near <= 1:
            raise ValueError(f"near is a cosine in [0, 1], not {self.near}")
        if self.contrastive_weight < 0 or self.temperature <= 0:
            raise ValueError("contrastive_weight must be 0 or more, and temperature above 0")


@dataclass(frozen=True, slots=True)
class ContrastiveSettings:
    """`tandem train simcse|infocse|rankcse|tsdae|infonce|mnr`: likeness learned without scores."""

    student: StudentSettings = field(default_factory=StudentSettings)
    texts: tuple[TextSettings, ...] = ()
    """Sentences, for simcse, infocse, rankcse and tsdae."""
    corpora: CorporaSettings = field(default_factory=CorporaSettings)
    """Pairs that mean the same, for infonce and mnr; for the others every side is a sentence."""
    held_out: HeldOutSettings = field(default_factory=HeldOutSettings)
    temperature: float = 0.05
    """Of the softmax over a batch."""
    both_ways: bool = False
    """Also tell the source from the batch's sources, given the target (infonce, mnr)."""
    matryoshka: tuple[int, ...] = ()
    """First dimensions of the vector, such as [128, 64], each of which is trained to do by itself as well as the whole
    (Kusupati et al. 2022). Empty: the whole alone."""
    read_at_once: int = 0
    """Texts that the student reads at a time, so that a batch may be larger than the memory: gradients are cached (GradCache,
    Gao et al. 2021), which takes a second forward pass (infonce, mnr). 0: the whole batch."""
    teacher: str = ""
    """The model whose ranking of a batch is copied (rankcse), or that gives the source side's vectors,
    so that the student reads the target side alone (infonce, mnr; BanglaEmbed)."""
    second_teacher: str = ""
    """Another model whose similarities are mixed with those of `teacher` before they are ranked (rankcse)."""
    teacher_share: float = 0.5
    """Share of `teacher` in that mixture."""
    projection: Literal["none", "pca"] = "none"
    """Where a teacher of the source side is wider than the student: `pca` cuts its space."""
    ranking: Literal["listnet", "listmle"] = "listnet"
    """How the teacher's ranking is copied (rankcse)."""
    ranking_temperature: float = 0.05
    """Of the student's scores in the ranking; the teacher's is half of it, as in the paper."""
    consistency_weight: float = 1.0
    """Of the divergence between two dropout masks' rankings (rankcse)."""
    ranking_weight: float = 1.0
    """Of the teacher's ranking (rankcse)."""
    training_head: bool = False
    """Whether a layer with tanh stands between the sentence vector and the loss, in training only, as SimCSE's
    unsupervised form has it (simcse, infocse, rankcse)."""
    masked_share: float = 0.4
    """Of a sentence's tokens that are hidden and restored (infocse)."""
    masked_weight: float = 1e-5
    """Of restoring them, beside the contrastive loss's 1 (infocse)."""
    deleted_share: float = 0.6
    """Of a sentence's words that are taken out before it is read (tsdae); 0.6 is the paper's."""
    cache: str = ""
    """Folder of the teacher's vectors; empty: inside the output folder."""
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        if self.temperature <= 0 or self.ranking_temperature <= 0:
            raise ValueError("temperatures must be above 0")
        if not 0 < self.deleted_share < 1:
            raise ValueError(f"deleted_share is a share in (0, 1), not {self.deleted_share}")
        if not 0 < self.teacher_share < 1:
            raise ValueError(f"teacher_share is a share in (0, 1), not {self.teacher_share}")
        if self.read_at_once < 0:
            raise ValueError(f"read_at_once must be 0 (all) or more, not {self.read_at_once}")
        if self.read_at_once and self.matryoshka:
            raise ValueError("read_at_once and matryoshka do not go together; leave one out")
        if any(width < 1 for width in self.matryoshka):
            raise ValueError(f"matryoshka are numbers of dimensions, not {list(self.matryoshka)}")
        if self.second_teacher and not self.teacher:
            raise ValueError("second_teacher is mixed with a teacher, and none is named")
        if not 0 < self.masked_share < 1 or self.masked_weight < 0:
            raise ValueError("masked_share is a share above 0, and masked_weight 0 or more")


@dataclass(frozen=True, slots=True)
class RetromaeSettings:
    """`tandem train retromae`: pre-training on plain text."""

    student: StudentSettings = field(default_factory=StudentSettings)
    texts: tuple[TextSettings, ...] = ()
    """Sentences and passages, one a line."""
    aside: int = 500
    """Texts kept from training: the score is the share of their tokens that the decoder restores from
    the sentence vector."""
    encoder_mask: float = 0.3
    """Share of the tokens hidden from the encoder."""
    decoder_mask: float = 0.5
    """Share of the tokens hidden from each place of the decoder."""
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        if not (0 < self.encoder_mask < 1 and 0 < self.decoder_mask <= 1):
            raise ValueError("encoder_mask and decoder_mask are shares above 0")


@dataclass(frozen=True, slots=True)
class RelevanceSettings:
    """`tandem train relevance`: queries and graded documents."""

    student: StudentSettings = field(default_factory=StudentSettings)
    train: str = ""
    """A DaReCzech file: a TSV with a header and the columns query, doc, label."""
    held_out: str = ""
    """Another such file: the score is precision at 10, as the paper counts it."""
    limit: int = 0
    """Records read of `train`; 0: all."""
    loss: Literal["cosine", "margin", "margin_mse"] = "cosine"
    """`cosine`: the cosine of query and document is the grade; the margin losses: its order."""
    margin: float = 0.3
    """Lead in cosine of a document one whole grade better."""
    documents: int = 8
    """Documents of one query in a step, drawn anew each time."""
    pairs: bool = False
    """Whether an example is one query with one document, each read once an epoch, and `run.batch_size` counts such pairs
    (with loss cosine), as the models of 2023 were trained."""
    run: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        if self.pairs and self.loss != "cosine":
            raise ValueError(
                f"loss {self.loss} compares documents of one query; with pairs take cosine"
            )


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
