"""What a run reads, looked for before anything is computed: all that is missing is told at once, with its cure."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from configs.errors import ConfigError

__all__ = ["check_needs"]

MODELS = (
    "model",
    "body",
    "teacher",
    "second_teacher",
)  # settings that name a model, by folder or by a name that a hub knows
FILES = ("path", "tokenizer", "train", "held_out", "scored")  # and those that name files
BUILT_IN = ("", "default", "fast", "accurate")


def check_needs(settings: Any, configurations: Collection[str] = ()) -> None:
    """Raises ConfigError that names every file and folder of `settings` that is not there, and how to get each.

    `configurations` are those that ship: a folder that one of them makes comes with its command. Names of models that a hub may know are not looked for: only what can be nothing but a folder.
    """
    missing = [
        f"{where} {value}: {cure}"
        for where, name, value in _paths(settings, "")
        if (cure := _cure(name, value, configurations))
    ]
    if missing:
        head = "this run reads what is not here:" if len(missing) > 1 else "this run reads"
        raise ConfigError("\n  ".join([head, *missing]) if len(missing) > 1 else missing[0])


def _paths(settings: Any, where: str) -> Iterator[tuple[str, str, str]]:
    """(setting, its last name, value) of all that name a model or a file."""
    for field in dataclasses.fields(settings):
        value, at = getattr(settings, field.name), f"{where}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from _paths(value, f"{at}.")
        elif isinstance(value, str) and field.name in (*MODELS, *FILES):
            yield at, field.name, value
        elif isinstance(value, tuple):
            for i, entry in enumerate(value):
                if dataclasses.is_dataclass(entry):
                    yield from _paths(entry, f"{at}[{i}].")


def _cure(name: str, value: str, configurations: Collection[str]) -> str:
    """How to get what is missing; empty where it is there, or may be."""
    if value in BUILT_IN or value.startswith("hf:"):
        return ""
    path = Path(value)
    if any(sign in value for sign in "*?["):
        found = any(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
    else:
        # the common start of a Moses pair is a file of neither name
        found = path.exists() or (name == "path" and any(path.parent.glob(f"{path.name}.*")))
    if found:
        return ""
    made = _recipe(path, configurations)
    if name in MODELS:
        local = path.is_absolute() or value.startswith(".") or len(path.parts) > 2
        if not local:
            return ""  # a hub may know it
        return f"no such folder; {made or 'give a folder, or the name of a model'}"
    if name == "tokenizer":
        return (
            f"no such file; make one with: tandem train tokenizer -o {value} --set size=32000 "
            "--set 'corpora.files=[{path: YOUR-en-XX.tsv}]'"
        )
    if name in ("train", "held_out"):
        return "no such file; give a DaReCzech TSV (its authors send it on request)"
    if name == "scored":
        return "no such file; give a TSV of text, text, score"
    return (
        "no such file; give your own: parallel sentences as SOURCE-TAB-TARGET lines, or plain texts"
    )


def _recipe(path: Path, configurations: Collection[str]) -> str:
    """The command that makes a model folder which a configuration of Tandem names."""
    if path.name != "model" or path.parent.name not in configurations:
        return ""
    config = path.parent.name
    words = config.split("-")
    recipe = {"mse": "distill", "distillation": "distill"}.get(words[-1], words[-1])
    return f"make it with: tandem train {recipe} --config {config} -o {path.parent}"
