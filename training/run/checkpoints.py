"""Checkpoints that a kill or a full disk cannot spoil.

    FOLDER/step-00000500/   weights.safetensors, optimizer.safetensors, state.json
    FOLDER/best-00000400/   weights.safetensors: of the best score that a kept checkpoint knows of

Each is written under another name, synced, and renamed; the newest two checkpoints stay. There is no
pickle in them: tensors are safetensors, the rest is JSON.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from configs.errors import TandemError

__all__ = [
    "Checkpoint",
    "newest",
    "put_back",
    "restore",
    "save",
    "save_best",
    "trained_tensors",
]

KEEP = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One that was written whole. `state` is the loop's own account of the run."""

    path: Path
    step: int
    state: Mapping[str, Any]


def trained_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Every parameter and saved buffer by name; one that two places share, once."""
    saved = set(module.state_dict())
    tensors: dict[str, Tensor] = dict(module.named_parameters())
    tensors |= {name: value for name, value in module.named_buffers() if name in saved}
    return {name: value.detach() for name, value in tensors.items()}


def put_back(module: nn.Module, file: Path) -> None:
    """Copy the tensors of a weights.safetensors into `module`, which must have the same ones."""
    saved, own = load_file(file), trained_tensors(module)
    if saved.keys() != own.keys():
        strange = sorted(saved.keys() ^ own.keys())
        raise TandemError(
            f"{file}: belongs to another model ({len(strange)} tensors: {strange[0]})"
        )
    for name, tensor in own.items():
        if saved[name].shape != tensor.shape:
            raise TandemError(
                f"{file}: {name} has shape {tuple(saved[name].shape)}, the model {tuple(tensor.shape)}"
            )
        tensor.copy_(saved[name])


def save(
    folder: Path,
    step: int,
    module: nn.Module,
    optimizers: Sequence[Optimizer],
    state: Mapping[str, Any],
) -> None:
    """Write the checkpoint of `step`, then remove all but the newest two and their best weights.

    Raises TandemError when it cannot be written; those written before are untouched.
    """
    flat = {
        f"{place}.{number}.{key}": torch.as_tensor(value)
        for place, optimizer in enumerate(optimizers)
        for number, entry in optimizer.state_dict()["state"].items()
        for key, value in entry.items()
    }
    files = {"weights.safetensors": trained_tensors(module), "optimizer.safetensors": flat}
    _write(folder / f"step-{step:08}", files, state)
    kept = _all(folder)[-KEEP:]
    wanted = {path.name for path in kept}
    wanted |= {f"best-{_state(path).get('best_step', -1):08}" for path in kept}
    for path in folder.iterdir():
        if path.name not in wanted:
            shutil.rmtree(path)


def save_best(folder: Path, step: int, module: nn.Module) -> None:
    """Write the weights of the best score so far, at `step`."""
    _write(folder / f"best-{step:08}", {"weights.safetensors": trained_tensors(module)}, {})


def newest(folder: Path) -> Checkpoint | None:
    """The last checkpoint written whole, or None."""
    paths = _all(folder)
    if not paths:
        return None
    return Checkpoint(paths[-1], int(paths[-1].name[5:]), _state(paths[-1]))


def restore(checkpoint: Checkpoint, module: nn.Module, optimizers: Sequence[Optimizer]) -> None:
    """Set `module` and `optimizers` to what they were when `checkpoint` was saved."""
    put_back(module, checkpoint.path / "weights.safetensors")
    saved = load_file(checkpoint.path / "optimizer.safetensors")
    for place, optimizer in enumerate(optimizers):
        whole = optimizer.state_dict()
        whole["state"] = {}
        for name, tensor in saved.items():
            owner, number, key = name.split(".", 2)
            if int(owner) == place:
                # SparseAdam counts its steps in an int, and in a tensor its rates would round otherwise
                whole_number = tensor.ndim == 0 and tensor.dtype == torch.int64
                value = int(tensor) if whole_number else tensor
                whole["state"].setdefault(int(number), {})[key] = value
        optimizer.load_state_dict(whole)


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*")) if folder.is_dir() else []


def _state(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((path / "state.json").read_text("utf-8"))
    return state


def _write(target: Path, files: Mapping[str, dict[str, Tensor]], state: Mapping[str, Any]) -> None:
    """All of `files` and state.json under a passing name, synced, then renamed to `target`."""
    passing = target.parent / f".writing-{target.name}"
    try:
        shutil.rmtree(passing, ignore_errors=True)
        passing.mkdir(parents=True)
        for name, tensors in files.items():
            save_file({key: value.contiguous() for key, value in tensors.items()}, passing / name)
            _sync(passing / name)
        (passing / "state.json").write_text(json.dumps(state), "utf-8")
        _sync(passing / "state.json")
        _sync(passing)
        shutil.rmtree(target, ignore_errors=True)  # of a run that was killed after this step
        passing.rename(target)
        _sync(target.parent)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(passing, ignore_errors=True)
        before = _all(target.parent)
        kept = f"{before[-1].name} is whole" if before else "there is none before it"
        raise TandemError(
            f"{target}: the checkpoint cannot be written ({error}); {kept}; "
            "make room and run the same command again"
        ) from error


def _sync(path: Path) -> None:
    """Ask the system to put a file or a folder's entries on the disk now."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
