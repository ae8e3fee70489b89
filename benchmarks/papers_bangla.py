"""BanglaEmbed (Kabir et al. 2024): six-layer students that read Bengali, taught by an English model through translations.

What is measured is made of Bengali that people wrote, since no labelled Bengali is at hand: paraphrases are two translations
of one English sentence, and beside each stands a sentence that shares as many letters as any other; the likeness of two
sentences is what the teacher says of their English sides. There is no text labelled as hate speech, so that task is left out.
"""

from __future__ import annotations

import json
import lzma
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers_running import Scale, set_options, tandem, tandem_json, train
from configs.tables import markdown_table
from eval.sentences.tables import read_rows
from indexer.encoders.opening import open_encoder

__all__ = ["Bangla"]

SEED = 2024
TEACHER = "all-MiniLM-L6-v2"
LIKE, NEAR = (
    400,
    5,
)  # pairs of the likeness set; among so many nearest a sentence's partner is drawn, for half of them
PUBLISHED: Mapping[str, object] = {
    "run.batch_size": 4,
    "run.learning_rate": 5e-5,
    "run.epochs": 10,
}
FASTER: Mapping[str, object] = {
    "run.batch_size": 64,
    "run.learning_rate": 3e-4,
    "run.epochs": 10,
}


@dataclass(frozen=True, slots=True)
class _Row:
    recipe: str
    config: str
    settings: Mapping[str, object] = field(default_factory=dict)


ROWS = {
    "MSE, as published": _Row("distill", "banglaembed-mse", PUBLISHED),
    "MSE, batches of 64": _Row("distill", "banglaembed-mse", FASTER),
    "MNR, as published": _Row("mnr", "banglaembed-mnr", PUBLISHED),
    "MNR, batches of 64": _Row("mnr", "banglaembed-mnr", FASTER),
}


class Bangla:
    """The rows of this paper's table, by the name of the system."""

    rows = ("fast", "accurate", *ROWS)

    def __init__(self, scale: Scale, work: Path, data: Path) -> None:
        self.scale, self.work, self.data = scale, work, data
        work.mkdir(parents=True, exist_ok=True)

    def measured(self, name: str) -> dict[str, Any]:
        """The figures of a system, its model made first."""
        if name not in ROWS:
            return self.figures(name)
        out = self.student(name)
        result = json.loads((out / "result.json").read_text("utf-8"))
        kept = {key: result[key] for key in ("examples", "steps", "metric", "before", "score")}
        minutes = round(float((out / "minutes").read_text("utf-8")), 1)
        return self.figures(str(out / "model")) | {"minutes": minutes, "training": kept}

    def figures(self, encoder: str) -> dict[str, Any]:
        train, test = self.paraphrases()
        options = ["--encoder", encoder, "--set", "encoder.neutral=false"]
        found = tandem_json("eval", "paraphrase", str(test), "--train", str(train), *options)
        like = tandem_json("eval", "sts", str(self.likeness()), *options)["result"][0]
        return {
            "paraphrase": found["result"],
            "spearman": round(100 * like["spearman"], 2),
            "pearson": round(100 * like["pearson"], 2),
        }

    def student(self, name: str) -> Path:
        """The folder of a trained student."""
        row, out = ROWS[name], self.work / name.lower().replace(", ", "-").replace(" ", "-")
        if (out / "minutes").is_file():
            return out
        settings: dict[str, object] = {
            "teacher": TEACHER,
            "student.body": TEACHER,  # six layers, as DistilBERT's, under the Bengali vocabulary
            "student.tokenizer": str(self.tokenizer()),
            "corpora.files": [{"path": str(self.pairs()), "target": "bn"}],
            "held_out.aside": 200,
            "run.patience": 0,
        }
        train(row.recipe, row.config, out, settings | dict(row.settings))
        return out

    def tokenizer(self) -> Path:
        """A vocabulary of Bengali."""
        path = self.work / "tokenizer.json"
        if not path.is_file():
            files = [{"path": str(self._written("all.en-bn.tsv", self._pairs())), "target": "bn"}]
            changes = {"corpora.files": files, "size": self.scale.pieces, "words": 0}
            tandem("train", "tokenizer", "-o", str(path), *set_options(changes))
        return path

    def pairs(self) -> Path:
        """English and Bengali sentences to train on, none of them of the paraphrases."""
        path = self.work / f"{self.scale.bangla or 'all'}.en-bn.tsv"
        if not path.is_file():
            several = {english for english, *_ in self._several()}
            pairs = [pair for pair in self._pairs() if pair[0] not in several]
            order = np.random.default_rng(SEED).permutation(len(pairs))
            self._written(path.name, (pairs[i] for i in order[: self.scale.bangla or None]))
        return path

    def paraphrases(self) -> tuple[Path, Path]:
        """Bengali sentences in twos with 1 for two translations of one sentence and 0 for two that look alike; the
        threshold is chosen on the first file."""
        files = self.work / "paraphrases.train.tsv", self.work / "paraphrases.test.tsv"
        if not all(file.is_file() for file in files):
            several = self._several()
            firsts = [first for _, first, _ in several]
            alike = _alike(firsts)
            for half, file in enumerate(files):
                rows = [
                    line
                    for n, (_, first, second) in enumerate(several)
                    if n % 2 == half
                    for line in ((first, second, "1"), (first, firsts[alike[n]], "0"))
                ]
                self._written(file.name, rows)
        return files

    def likeness(self) -> Path:
        """Bengali sentences in twos, with the cosine of their English sides by the teacher."""
        path = self.work / "likeness.tsv"
        if not path.is_file():
            file = self.data / "dev" / "indian-parallel" / "indian-test.en-bn.tsv.gz"
            english = {row.values[1]: row.values[0] for row in read_rows(file, ("en", "bn"))}
            rng = np.random.default_rng(SEED)
            bengali = sorted(text for text in english if 20 <= len(text) <= 150)
            texts = [bengali[i] for i in rng.permutation(len(bengali))[:LIKE]]
            vectors = open_encoder(TEACHER).encode([english[text] for text in texts])
            cosines = vectors @ vectors.T
            rows = []
            for n, text in enumerate(texts):
                near = np.argsort(-cosines[n])[1 : NEAR + 1] if n % 2 else np.arange(len(texts))
                other = int(rng.choice(near[near != n]))
                rows.append((text, texts[other], f"{cosines[n, other]:.4f}"))
            self._written(path.name, rows)
        return path

    def _pairs(self) -> Iterator[tuple[str, str]]:
        """(English, Bengali) of the parallel files, of a length to be sentences; each once."""
        seen: set[tuple[str, str]] = set()
        for folder in ("parallel", "parallel-more"):
            file = self.data / folder / "en-bn.tsv.xz"
            if not file.is_file():
                continue
            with lzma.open(file, "rt", encoding="utf-8", newline="\n") as stream:
                for line in stream:
                    _, english, bengali = line.rstrip("\n").split("\t")
                    if 15 <= len(bengali) <= self.scale.longest and (english, bengali) not in seen:
                        seen.add((english, bengali))
                        yield english, bengali

    def _several(self) -> list[tuple[str, str, str]]:
        """English sentences of four words and more with two Bengali translations that share less than 0.7 of their words."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for english, bengali in self._pairs():
            if len(english.split()) >= 4:
                found[english].append(bengali)
        return [
            (english, texts[0], other)
            for english, texts in sorted(found.items())
            for other in texts[1:2]
            if _shared(texts[0].split(), other.split()) < 0.7
        ]

    def _written(self, name: str, rows: Iterable[Sequence[str]]) -> Path:
        path = self.work / name
        if not path.is_file():
            path.write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8", newline="\n")
        return path

    @staticmethod
    def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
        """A row a system: paraphrases at 0.8 and at the threshold of the training half, and likeness."""
        lines = []
        for name, one in rows.items():
            at, best = one["paraphrase"]["fixed"], one["paraphrase"]["best"]
            lines.append([
                name, f"{100 * at['accuracy']:.1f}", f"{100 * at['f1']:.1f}", f"{100 * best['accuracy']:.1f}",
                f"{100 * best['f1']:.1f}", f"{one['spearman']:.1f}", f"{one['minutes']:.0f}" if "minutes" in one else "",
            ])  # fmt: skip
        header = [
            "system", "accuracy at 0.8", "F1", "accuracy at the best threshold", "F1", "likeness, Spearman", "minutes",
        ]  # fmt: skip
        return markdown_table(header, lines)


def _shared(one: Sequence[str], other: Sequence[str]) -> float:
    """The words of both among the words of either."""
    return len(set(one) & set(other)) / len(set(one) | set(other))


def _alike(texts: Sequence[str]) -> list[int]:
    """For each text the other one that shares most of its groups of three letters."""
    groups = [Counter(text[i : i + 3] for i in range(len(text) - 2)) for text in texts]
    names = {group: n for n, group in enumerate({g for each in groups for g in each})}
    table = np.zeros((len(texts), len(names)), np.float32)
    for row, each in enumerate(groups):
        table[row, [names[group] for group in each]] = 1
    table /= np.sqrt(table.sum(axis=1, keepdims=True)) + 1e-9
    cosines = table @ table.T
    np.fill_diagonal(cosines, -1)
    return [int(best) for best in cosines.argmax(axis=1)]
