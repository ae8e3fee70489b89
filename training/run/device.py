"""Where a run computes, and how precisely."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

import torch

from configs.errors import ConfigError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["keep_memory", "pick_device", "pick_precision", "suit_attention"]


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


def suit_attention(model: SentenceTransformer) -> None:
    """Plain matrix products for attention: what a CPU does fastest in bfloat16.

    The backward pass of torch's fused attention takes 1.6 times as long there (128 texts of 28
    tokens, six layers of 384, torch 2.13).
    """
    body = getattr(model[0], "auto_model", None)
    if body is not None and hasattr(body, "set_attn_implementation"):
        body.set_attn_implementation("eager")


# Of glibc's malloc.h: give memory back to the system beyond so many bytes, and map so many blocks by themselves.
TRIM_THRESHOLD, MMAP_MAX = -1, -4


def keep_memory() -> bool:
    """Have glibc keep what tensors leave behind for the next step; False where there is no glibc.

    By itself it maps every large tensor anew and gives it back, and the system clears each page each time:
    of a step of 128 texts of some 150 tokens (six layers of 384, two busy cores) that was half the time.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another libc
        return False
    return bool(mallopt(TRIM_THRESHOLD, 2**31 - 1)) and bool(mallopt(MMAP_MAX, 0))
