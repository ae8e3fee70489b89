"""Bednář et al. 2023: small Czech models, each method trained on real text."""

from __future__ import annotations

import csv
import json
import lzma
import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers_running import Scale, set_options, tandem, tandem_json, train
from configs.tables import markdown_table

__all__ = ["CZECH", "Czech", "Row"]

SEED = 2023
PAPER = {
    # Bednář et al. 2023, zero-shot: mean Pearson r of three STS sets x 100, Costra accuracy
    "RetroMAE": (76.30, 69.66),
    "SimCSE after RetroMAE": (78.66, 69.63),
    "distilled": (84.25, 70.42),
    "SimCSE after distillation": (85.00, 71.12),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One model: the recipe that makes it, the row whose model it goes on from, and settings that differ."""

    name: str
    recipe: str
    start: str = ""
    settings: Mapping[str, object] = ()  # type: ignore[assignment]
    teacher: str = ""
    second_teacher: str = ""


CZECH = (
    Row("fast", ""),
    Row("accurate", ""),
    Row("RetroMAE", "retromae"),
    Row("SimCSE after RetroMAE", "simcse", "RetroMAE"),
    Row("InfoCSE after RetroMAE", "infocse", "RetroMAE"),
    Row("InfoCSE, masked words weigh 0.005", "infocse", "RetroMAE", {"masked_weight": 0.005}),
    Row("TSDAE after RetroMAE", "tsdae", "RetroMAE"),
    Row("distilled", "distill", "RetroMAE"),
    Row("SimCSE after distillation", "simcse", "distilled"),
    Row("RankCSE (ListNet)", "rankcse", "RetroMAE", {"ranking": "listnet"}, "distilled"),
    Row("RankCSE (ListMLE)", "rankcse", "RetroMAE", {"ranking": "listmle"}, "distilled"),
    Row(
        "RankCSE, two teachers",
        "rankcse",
        "RetroMAE",
        {"ranking": "listnet"},
        "distilled",
        "SimCSE after distillation",
    ),
)

_ROWS = {row.name: row for row in CZECH}


class Czech:
    """Bednář et al. 2023: a body of 12 layers, 256 wide, under a vocabulary of its own."""

    rows = tuple(row.name for row in CZECH)

    def __init__(self, scale: Scale, work: Path, data: Path) -> None:
        self.scale, self.work, self.data = scale, work, data
        work.mkdir(parents=True, exist_ok=True)

    def measured(self, name: str) -> dict[str, Any]:
        """The figures of a row, its model made first."""
        row = _ROWS[name]
        if not row.recipe:
            return self.figures(row.name)
        model = self.model(row)
        result = json.loads((model.parent / "result.json").read_text("utf-8"))
        return self.figures(str(model)) | {
            "minutes": round(float((model.parent / "minutes").read_text("utf-8")), 1),
            "training": {
                name: result[name] for name in ("examples", "steps", "metric", "before", "score")
            },
        }

    def figures(self, encoder: str) -> dict[str, Any]:
        """Czech STS, the mean of two sets as the paper's three, and Costra."""
        pearson = {}
        for kind in ("headlines", "images"):
            found = tandem_json("eval", "sts", str(self.sts(kind)), "--encoder", encoder)
            pearson[kind] = round(100 * found["result"][0]["pearson"], 2)
        costra = self.data / "dev" / "costra" / "costra-1.1.tsv.gz"
        found = tandem_json("eval", "costra", "--data", str(costra), "--encoder", encoder)
        return {
            "sts": round(statistics.fmean(pearson.values()), 2),
            "sts_sets": pearson,
            "costra": {
                k: round(100 * v, 2) for k, v in found["result"].items() if isinstance(v, float)
            },
        }

    def sts(self, kind: str) -> Path:
        """All pairs of one kind in one file: the training and test parts together, as the paper measures them."""
        path = self.work / f"sts.{kind}.jsonl.gz"
        if not path.is_file():
            parts = sorted((self.data / "dev" / "sts-czech").glob(f"sts-cs.*.{kind}.jsonl.gz"))
            path.write_bytes(
                b"".join(part.read_bytes() for part in parts)
            )  # of gzip's members one file
        return path

    def model(self, row: Row) -> Path:
        """The folder of a row's model; those that it needs are made before it."""
        out = self.work / re.sub(r"[^a-z0-9.]+", "-", row.name.lower()).strip("-")
        if (out / "minutes").is_file():
            return out / "model"
        settings: dict[str, object] = {
            "run.batch_size": self.scale.batch,
            "run.epochs": 1,
            "run.patience": 0,
        }
        if row.recipe == "distill":
            settings["run.learning_rate"] = 2e-4
        settings |= dict(self.scale.settings.get(row.recipe, {})) | dict(row.settings)
        if row.start:
            settings["student.model"] = str(self.model(_ROWS[row.start]))
            settings["student.tokenizer"] = ""
        else:
            settings["student.tokenizer"] = str(self.tokenizer())
        if row.teacher:
            settings["teacher"] = str(self.model(_ROWS[row.teacher]))
            if row.second_teacher:
                settings["second_teacher"] = str(self.model(_ROWS[row.second_teacher]))
        elif row.recipe == "distill":
            settings |= {"teacher": "all-MiniLM-L6-v2", "projection": "linear"}
        if row.recipe == "distill":
            settings["corpora.files"] = [
                {"path": str(self.pairs(self.scale.sentences)), "target": "cs"}
            ]
        else:
            count = self.scale.pretraining if row.recipe == "retromae" else self.scale.sentences
            settings["texts"] = [{"path": str(self.pairs(count)), "column": 3}]
        train(row.recipe, f"small-czech-{row.recipe}", out, settings)
        return out / "model"

    def tokenizer(self) -> Path:
        """A vocabulary of Czech and English."""
        path = self.work / "tokenizer.json"
        if not path.is_file():
            pairs = self.pairs(self.scale.pretraining)
            changes = {
                "corpora.files": [{"path": str(pairs), "target": "cs"}],
                "size": self.scale.pieces,
                "words": 0,
            }
            tandem("train", "tokenizer", "-o", str(path), *set_options(changes))
        return path

    def pairs(self, count: int) -> Path:
        """English and Czech sentences drawn from all sources alike, those of the evaluations left out; 0: all."""
        path = self.work / f"{count or 'all'}.en-cs.tsv"
        if not path.is_file():
            lines = list(self._lines())
            order = np.random.default_rng(SEED).permutation(len(lines))
            chosen = order[: count or None]
            path.write_text("".join(lines[i] for i in chosen), "utf-8", newline="\n")
        return path

    def _lines(self) -> Iterator[str]:
        """Sentences of 20 characters and more; no scripture, which is archaic, and each Czech one once."""
        seen: set[str] = set()
        for folder in ("parallel", "parallel-more"):
            file = self.data / folder / "en-cs.tsv.xz"
            if not file.is_file():
                continue
            with lzma.open(file, "rt", encoding="utf-8", newline="\n") as stream:
                for source, english, czech in csv.reader(
                    stream, delimiter="\t", quoting=csv.QUOTE_NONE
                ):
                    if (
                        20 <= len(czech) <= self.scale.longest
                        and not source.startswith("bible")
                        and czech not in seen
                    ):
                        seen.add(czech)
                        yield f"{source}\t{english}\t{czech}\n"

    @staticmethod
    def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
        """The rows that were made, each beside the paper's."""
        lines = []
        for name, figures in rows.items():
            sts, costra = PAPER.get(name, (None, None))
            ours = figures["costra"]["mean_without_basic_and_modality"]
            lines.append([
                name, f"{figures['sts']:.1f}", f"{sts:.1f}" if sts else "", f"{ours:.1f}",
                f"{costra:.1f}" if costra else "", f"{figures['minutes']:.0f}" if "minutes" in figures else "",
            ])  # fmt: skip
        header = ["method", "Czech STS, Pearson", "the paper", "Costra", "the paper", "minutes"]
        return markdown_table(header, lines)
