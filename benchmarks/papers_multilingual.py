"""Reimers and Gurevych 2020: likeness within and across languages, mining, translations, and language bias.

The systems are the encoders that ship, multilingual-e5-small as it comes, and that same model trained by the recipe as
published: both sides of a pair led to an English teacher's vector by mean squared error, without a language-neutral space.
"""

from __future__ import annotations

import json
import lzma
import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import bucc
from benchmarks.papers_running import Scale, tandem, tandem_json, train
from configs.tables import markdown_table

__all__ = ["Multilingual"]

E5, PUBLISHED = "multilingual-e5-small as it comes", "the same, trained as published"
A_LANGUAGE = {f"as published, {count:,} pairs a language": count for count in (1_000, 5_000)}
"""The paper's Table 6: how many pairs."""
LANGUAGES, ONE_KIND = 23, 2_000  # of the parallel files; pairs a language of a row of Table 5
KINDS = {
    "as published, everyday sentences alone": ("tatoeba-",),
    "as published, scripture alone": ("bible-",),
    "as published, lessons alone": ("ms-",),
    "as published, software alone": (
        "kde-", "gnome-", "ui-l10n", "mozilla-", "mediawiki-", "joomla", "godot-", "php-", "fastapi-", "keepassxc", "tldr-",
    ),
}  # fmt: skip
"""The paper's Table 5: which corpora, by how their names begin."""
STS = ("en", "de", "es", "zh")
LOW = {"kat": "Georgian", "swh": "Swahili", "tgl": "Tagalog", "tat": "Tatar"}
KIND = ("BUCC", "STS en", "STS other", "STS across", "lost in one pool", "KorSTS")
PAPER = {
    # XLM-R taught by SBERT-paraphrases; of BUCC the mean of four languages, with a teacher of NLI and STSb
    "STS en": 88.8,
    "KorSTS": 81.5,
    "Georgian": 73,
    "Swahili": 85,
    "Tagalog": 86,
    "Tatar": 55,
}


class Multilingual:
    """The rows of this paper's tables, by the name of the system."""

    rows = ("fast", "accurate", E5, PUBLISHED, *A_LANGUAGE, *KINDS)

    def __init__(self, scale: Scale, work: Path, data: Path) -> None:
        self.scale, self.work, self.data = scale, work, data
        work.mkdir(parents=True, exist_ok=True)

    def measured(self, name: str) -> dict[str, Any]:
        """The figures of a system, its model made first."""
        if name == E5:
            return self.figures(str(self.plain()))
        if name in (PUBLISHED, *A_LANGUAGE, *KINDS):
            out = self.published(name)
            result = json.loads((out / "result.json").read_text("utf-8"))
            kept = {key: result[key] for key in ("examples", "steps", "metric", "before", "score")}
            minutes = round(float((out / "minutes").read_text("utf-8")), 1)
            return self.figures(str(out / "model")) | {"minutes": minutes, "training": kept}
        return self.figures(name)

    def figures(self, encoder: str) -> dict[str, Any]:
        dev = self.data / "dev"
        options = ["--encoder", encoder, "--set", "encoder.neutral=false"]
        files = [str(dev / "stsb-multi-mt" / f"stsb.{lang}.test.jsonl.gz") for lang in STS]
        bias = tandem_json("eval", "bias", *files, *options)["result"]
        found = {one["name"]: 100 * one["spearman"] for one in bias["sets"]}
        alone = {lang: found[f"stsb.{lang}.test"] for lang in STS}
        korean = str(dev / "kor-sts-nli" / "korsts.test.jsonl.gz")
        kor = tandem_json("eval", "sts", korean, *options)["result"][0]["spearman"]
        pairs = [str(dev / "tatoeba" / f"tatoeba-laser.eng-{code}.tsv.gz") for code in LOW]
        low = tandem_json("eval", "tatoeba", *pairs, *options)["result"]  # their mean is the last
        mined = tandem_json(
            "eval", "bitext", "bucc", str(self.mining() / "cs-en.test"),
            "--train", str(self.mining() / "cs-en.training"), *options,
        )["result"]  # fmt: skip
        figures = {
            "STS en": alone["en"],
            "STS other": statistics.fmean(alone[lang] for lang in STS if lang != "en"),
            "STS across": statistics.fmean(v for name, v in found.items() if " x " in name),
            "lost in one pool": 100 * (bias["expected"] - bias["actual"]),
            "KorSTS": 100 * kor,
            "BUCC": 100 * mined[0]["test"]["f1"],
        } | {LOW[code]: 100 * one["mean"] for code, one in zip(LOW, low, strict=False)}
        return {name: round(value, 2) for name, value in figures.items()}

    def mining(self) -> Path:
        """A mining set in BUCC's format, hidden among fewer sentences than the full one."""
        folder = self.work / "bucc"
        if not (folder / "cs-en.training.gold").is_file():
            sizes = bucc.Sizes() if not self.scale.sentences else bucc.Sizes(500, 2_500, 250, 1_500)
            bucc.make(self.data, folder, sizes)
        return folder

    def plain(self) -> Path:
        out = self.work / "e5"
        if not (out / "modules.json").is_file():
            tandem("train", "export", "multilingual-e5-small", "-o", str(out), "--format", "sentence-transformers")  # fmt: skip
        return out

    def published(self, name: str) -> Path:
        """The folder of the student that the recipe as published makes of the pairs that `name` says."""
        out = self.work / ("published" if name == PUBLISHED else re.sub(r"[^a-z0-9]+", "-", name))
        if (out / "minutes").is_file():
            return out
        files = [
            {"path": str(self.data / folder / "en-*.tsv.xz")}
            for folder in ("parallel", "parallel-more")
            if list((self.data / folder).glob("en-*.tsv.xz"))
        ]
        whole = self.scale.multilingual
        pairs = LANGUAGES * A_LANGUAGE.get(name, ONE_KIND if name in KINDS else 0) or whole
        settings: dict[str, object] = {
            "teacher": "all-MiniLM-L6-v2",
            "student.model": str(self.plain()),
            "corpora.files": files,
            "corpora.exclude": [str(self.data / "dev")],
            "corpora.pairs": min(pairs, whole) if whole else pairs,
            # on its way from e5's space to the teacher's, the student finds fewer translations than at its start
            "run.alarm.enabled": False,
        }
        if name in KINDS:
            weights = dict.fromkeys(self.others(KINDS[name]), 0.0)
            settings["corpora.source_weights"] = weights
        if whole:  # every row reads as many pairs, few of them several times; else the published rate and epochs
            settings |= {
                "student.max_tokens": 64,
                "held_out.aside": 20,
                "run.batch_size": self.scale.batch,
                "run.epochs": max(1, round(whole / pairs)),
                "run.warmup_steps": 20,
                "run.evaluate_every": 100,
                "run.embedding_rate": 1e-4,
                "run.patience": 0,
            } | dict(self.scale.settings.get("multilingual", {}))
        train("distill", "multilingual-distillation-xlmr", out, settings)
        return out

    def others(self, kinds: tuple[str, ...]) -> set[str]:
        """The sources of the parallel files whose names begin with none of `kinds`."""
        found: set[str] = set()
        for folder in ("parallel", "parallel-more"):
            for file in sorted((self.data / folder).glob("en-*.tsv.xz")):
                with lzma.open(file, "rt", encoding="utf-8", newline="\n") as stream:
                    found |= {line.partition("\t")[0] for line in stream}
        return {source for source in found if not source.startswith(kinds)}

    @staticmethod
    def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
        """A column for each measurement; the paper's figures in the last row."""
        kinds = [*KIND[1:], KIND[0], *LOW.values()]
        lines = [
            [name, *(f"{figures[kind]:.1f}" for kind in kinds), _minutes(figures)]
            for name, figures in rows.items()
        ]
        paper = [f"{PAPER[kind]:g}" if kind in PAPER else "" for kind in kinds]
        return markdown_table(["system", *kinds, "minutes"], [*lines, ["the paper", *paper, ""]])


def _minutes(figures: Mapping[str, Any]) -> str:
    return f"{figures['minutes']:.0f}" if "minutes" in figures else ""
