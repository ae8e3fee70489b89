"""The layers of a compact transformer (`indexer.encoders.transformer_encoder`): three ways to compute one function.

    numpy          in every installation
    onnxruntime    where it is installed: twice as fast, from the same numbers, which it is handed
    torch          on a GPU

All compute in float32. Their vectors are equal to about 1e-6.

A body is BERT (Devlin et al. 2019), or ELECTRA (Clark et al. 2020), which widens its inputs first: each layer is attention, then two matrices with a GELU between them,
each of the two added to what came in and normalised after. Shapes: b texts, l tokens, h heads.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import BackendError, MissingExtra
from indexer.schema import Matrix
from indexer.threads import cores

if TYPE_CHECKING:
    import torch

__all__ = ["Engine", "Layers", "numpy_engine", "onnx_engine", "torch_engine"]

Array = NDArray[np.float32]
Engine = Callable[[Array, Array], Matrix]
"""(inputs (b, l, width of the token vectors), mask (b, l) of 1 and 0) -> one vector a text (b, dim), not of unit length."""


@dataclass(frozen=True, slots=True)
class Layers:
    """The numbers of a body, by the names of the compact format, and its shape.

    `norm`; `widen`, where inputs are narrower than the layers; for each layer i `i.qkv`, `i.out`, `i.up`, `i.down`, `i.norm1`, `i.norm2`: `.weight` (in, out)
    or (dim,) of a norm, and `.bias`. The queries' part of qkv is divided by sqrt(dim / heads) already.
    """

    tensors: Mapping[str, Array]
    layers: int
    heads: int
    epsilon: float
    pooling: str
    """`mean` or `cls`."""

    @property
    def dim(self) -> int:
        """Width of the layers, and of a text's vector."""
        return len(self.tensors["widen.bias" if self.widens else "norm.bias"])

    @property
    def widens(self) -> bool:
        return "widen.bias" in self.tensors


def numpy_engine(body: Layers) -> Engine:
    """The body in numpy."""
    tensors = body.tensors

    def linear(rows: Array, name: str) -> Array:
        out: Array = rows @ tensors[f"{name}.weight"]
        out += tensors[f"{name}.bias"]
        return out

    def norm(rows: Array, name: str) -> Array:
        rows -= rows.mean(axis=1, keepdims=True)
        spread = np.einsum("ij,ij->i", rows, rows) / rows.shape[1] + body.epsilon
        rows /= np.sqrt(spread, dtype=np.float32)[:, None]
        rows *= tensors[f"{name}.weight"]
        rows += tensors[f"{name}.bias"]
        return rows

    def encode(inputs: Array, mask: Array) -> Matrix:
        texts, length, narrow = inputs.shape
        hidden = norm(inputs.reshape(-1, narrow).copy(), "norm")  # (b l, narrow)
        if body.widens:
            hidden = linear(hidden, "widen")
        dim = body.dim
        away = ((mask - 1) * np.float32(1e9))[
            :, None, None, :
        ]  # (b, 1, 1, l): padding is not attended
        for i in range(body.layers):
            heads = linear(hidden, f"{i}.qkv").reshape(texts, length, 3, body.heads, -1)
            query, key, value = heads.transpose(2, 0, 3, 1, 4)  # each (b, h, l, dim / h)
            scores: Array = query @ key.swapaxes(2, 3)  # (b, h, l, l)
            scores += away
            scores -= scores.max(axis=-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=-1, keepdims=True)
            mixed = (scores @ value).swapaxes(1, 2).reshape(-1, dim)
            mixed = linear(mixed, f"{i}.out")
            mixed += hidden
            hidden = norm(mixed, f"{i}.norm1")
            wide = linear(_gelu(linear(hidden, f"{i}.up")), f"{i}.down")
            wide += hidden
            hidden = norm(wide, f"{i}.norm2")
        return _pooled(hidden.reshape(texts, length, dim), mask, body.pooling)

    return encode


def _pooled(hidden: Array, mask: Array, pooling: str) -> Matrix:
    """Sum (the direction of the mean) or first of each text's token vectors (b, l, dim): (b, dim)."""
    if pooling == "cls":
        return np.ascontiguousarray(hidden[:, 0])
    return np.asarray(np.einsum("bld,bl->bd", hidden, mask), np.float32)


# Abramowitz and Stegun (1964), 7.1.26: erfc(z) for z >= 0 as a polynomial of 1 / (1 + pz) times
# exp(-z^2), off by at most 1.5e-7. numpy has no erf.
_P = 0.3275911
_FACTORS = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def _gelu(x: Array) -> Array:
    """x * (the share of a normal distribution that is below x), in place (Hendrycks, Gimpel 2016)."""
    z = np.abs(x)
    t = z * np.float32(_P * math.sqrt(0.5))
    t += 1
    np.reciprocal(t, out=t)
    tail = t * np.float32(_FACTORS[0])
    for factor in _FACTORS[1:]:
        tail += np.float32(factor)
        tail *= t
    square = np.multiply(z, z, out=t)
    square *= np.float32(-0.5)
    tail *= np.exp(square, out=square)  # erfc(|x| / sqrt 2)
    tail *= np.float32(0.5)
    tail *= z
    np.maximum(x, 0, out=x)
    x -= tail
    return x


def onnx_engine(body: Layers, graph: Path) -> Engine:
    """The body in onnxruntime; `graph` is the folder's body.onnx, which holds no numbers of its own."""
    onnxruntime: Any = importlib.import_module("onnxruntime")  # it ships no types
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    options.inter_op_num_threads = 1
    # threads that wait for work by spinning would take the cores from FAISS and from the readers
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_external_initializers(
        list(body.tensors),
        [onnxruntime.OrtValue.ortvalue_from_numpy(one) for one in body.tensors.values()],
    )
    try:
        session = onnxruntime.InferenceSession(
            graph.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises its own
        raise BackendError(
            f"{graph}: onnxruntime cannot use it ({' '.join(str(error).split())[:200]}); "
            "upgrade onnxruntime, or remove it (numpy does the same at half the speed)"
        ) from error

    def encode(inputs: Array, mask: Array) -> Matrix:
        (hidden,) = session.run(None, {"inputs": inputs, "mask": mask})
        return _pooled(hidden, mask, body.pooling)

    return encode


def torch_engine(body: Layers, device: str) -> Engine:
    """The body in torch, on `device` (cuda, cuda:1, mps, cpu). Raises BackendError when it is not there."""
    try:
        import torch
        from torch.nn import functional
    except ImportError as error:
        raise MissingExtra("torch", "models", f"encoder.device {device}") from error
    try:
        tensors = {name: torch.from_numpy(one).to(device) for name, one in body.tensors.items()}
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        reason = str(error).strip().partition("\n")[0]
        raise BackendError(
            f"encoder.device {device}: torch cannot use it ({reason}); set it to auto or cpu"
        ) from error

    def linear(rows: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(rows, tensors[f"{name}.weight"].T, tensors[f"{name}.bias"])

    def norm(rows: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return functional.layer_norm(rows, weight.shape, weight, bias, body.epsilon)

    def encode(inputs: Array, mask: Array) -> Matrix:
        with torch.inference_mode():
            seen = torch.from_numpy(mask).to(device)
            hidden = norm(torch.from_numpy(inputs).to(device), "norm")  # (b, l, dim)
            if body.widens:
                hidden = linear(hidden, "widen")
            texts, length, dim = hidden.shape
            attended = seen[:, None, None, :].bool()
            for i in range(body.layers):
                heads = linear(hidden, f"{i}.qkv").view(texts, length, 3, body.heads, -1)
                query, key, value = heads.permute(2, 0, 3, 1, 4)
                mixed = functional.scaled_dot_product_attention(
                    query, key, value, attn_mask=attended, scale=1.0
                )
                mixed = mixed.transpose(1, 2).reshape(texts, length, dim)
                hidden = norm(hidden + linear(mixed, f"{i}.out"), f"{i}.norm1")
                wide = functional.gelu(linear(hidden, f"{i}.up"))
                hidden = norm(hidden + linear(wide, f"{i}.down"), f"{i}.norm2")
            pooled = hidden[:, 0] if body.pooling == "cls" else (hidden * seen[:, :, None]).sum(1)
            found: Any = pooled.cpu().numpy()
            return np.asarray(found, np.float32)

    return encode
