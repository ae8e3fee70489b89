"""Where a run computes, and how precisely."""

from __future__ import annotations

import torch

from configs.errors import ConfigError

__all__ = ["pick_device", "pick_precision"]


def pick_device(wanted: str) -> torch.device:
    """`auto`: a GPU when there is one. Raises ConfigError for a GPU that is not there."""
    there = torch.cuda.is_available()
    if wanted == "auto":
        return torch.device("cuda" if there else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ConfigError(
            f"run.device {wanted!r}: known are auto, cpu, cuda, cuda:0, ..."
        ) from error
    if device.type == "cuda" and (not there or (device.index or 0) >= torch.cuda.device_count()):
        raise ConfigError(
            f"run.device {wanted}: torch sees {torch.cuda.device_count()} GPUs; use cpu or auto"
        )
    return device


def pick_precision(wanted: str, device: torch.device) -> torch.dtype:
    """The type of the forward pass; weights and optimiser states are always float32."""
    if wanted == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if wanted == "float16" and device.type != "cuda":
        raise ConfigError("run.precision float16 needs a GPU; use bfloat16 or float32 on a CPU")
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
