"""The layers of a compact transformer (`indexer.encoders.transformer_encoder`), computed.

    onnxruntime    on a CPU, from the 8-bit blocks as they are stored
    torch          on a GPU, in float32

A body is BERT (Devlin et al. 2019), or ELECTRA (Clark et al. 2020), which widens its inputs first: each layer is
attention, then two matrices with a GELU between them, each of the two added to what came in and normalised after.
Shapes: b texts, l tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import BackendError, MissingExtra
from indexer.schema import Matrix
from indexer.threads import cores, onnxruntime

if TYPE_CHECKING:
    import torch

__all__ = ["Engine", "Layers", "onnx_engine", "torch_engine"]

Array = NDArray[np.float32]
Engine = Callable[[Sequence[Array]], Matrix]
"""Token vectors of each text, (l, width) each -> one vector a text (b, dim), not of unit length."""

TOKENS_GPU = 32_768  # tokens of a batch, padding included


@dataclass(frozen=True, slots=True)
class Layers:
    """The numbers of a body, by the names of the compact format, and its shape.

    `norm`; `widen`, where inputs are narrower than the layers; for each layer i `i.qkv`, `i.out`, `i.up`, `i.down`,
    `i.norm1`, `i.norm2`. Each has a `.bias` (out,); a norm a `.weight` (dim,); a matrix either `.weight` (in, out)
    float32 or, in 8 bits, `.blocks` (out, in / block, block) uint8 around 128 with `.scale` (out, in / block).
    """

    tensors: Mapping[str, NDArray[Any]]
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

    def weight(self, name: str) -> Array:
        """The matrix `name`, (in, out) float32."""
        blocks = self.tensors.get(f"{name}.blocks")
        if blocks is None:
            return self.tensors[f"{name}.weight"]
        scale = self.tensors[f"{name}.scale"][:, :, None]
        whole = (blocks.astype(np.float32) - 128) * scale  # (out, in / block, block)
        return np.ascontiguousarray(whole.reshape(len(blocks), -1).T)


def onnx_engine(body: Layers, graph: Path) -> Engine:
    """The body in onnxruntime; `graph` is the folder's body.onnx, which holds no numbers of its own.

    Texts are computed one by one, on as many threads as there are cores: no text is padded, none depends on its
    neighbours, and no thread waits for another one.
    """
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_external_initializers(
        list(body.tensors),
        [runtime.OrtValue.ortvalue_from_numpy(one) for one in body.tensors.values()],
    )
    try:
        session = runtime.InferenceSession(
            graph.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises its own
        raise BackendError(
            f"{graph}: onnxruntime {runtime.__version__} cannot use it ({' '.join(str(error).split())[:200]}); "
            "upgrade onnxruntime, or export the encoder again"
        ) from error

    def one(inputs: Array) -> Matrix:
        (vector,) = session.run(None, {"inputs": inputs[None]})
        return np.asarray(vector, np.float32)  # (1, dim)

    def encode(texts: Sequence[Array]) -> Matrix:
        if len(texts) == 1 or cores() == 1:
            return np.concatenate([one(text) for text in texts])
        with ThreadPoolExecutor(min(cores(), len(texts))) as pool:
            return np.concatenate(list(pool.map(one, texts)))

    return encode


def torch_engine(body: Layers, device: str) -> Engine:
    """The body in torch, on `device` (cuda, cuda:1, mps, cpu). Raises BackendError when it is not there."""
    try:
        import torch
        from torch.nn import functional
    except ImportError as error:
        raise MissingExtra("torch", "models", f"encoder.device {device}") from error
    given: dict[str, Array] = {}
    for name, one in body.tensors.items():
        if name.endswith(".blocks"):
            given[f"{name[:-7]}.weight"] = body.weight(name[:-7])
        elif not name.endswith(".scale"):
            given[name] = one
    try:
        tensors = {name: torch.from_numpy(one).to(device) for name, one in given.items()}
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

    def batch(texts: Sequence[Array]) -> Matrix:
        length = max(map(len, texts))
        inputs = np.zeros((len(texts), length, texts[0].shape[1]), np.float32)
        mask = np.zeros((len(texts), length), np.float32)
        for row, text in enumerate(texts):
            inputs[row, : len(text)] = text
            mask[row, : len(text)] = 1
        with torch.inference_mode():
            seen = torch.from_numpy(mask).to(device)
            hidden = norm(torch.from_numpy(inputs).to(device), "norm")  # (b, l, width)
            if body.widens:
                hidden = linear(hidden, "widen")
            attended = seen[:, None, None, :].bool()
            for i in range(body.layers):
                heads = linear(hidden, f"{i}.qkv").view(len(texts), length, 3, body.heads, -1)
                query, key, value = heads.permute(2, 0, 3, 1, 4)
                mixed = functional.scaled_dot_product_attention(
                    query, key, value, attn_mask=attended
                )
                mixed = mixed.transpose(1, 2).reshape(len(texts), length, body.dim)
                hidden = norm(hidden + linear(mixed, f"{i}.out"), f"{i}.norm1")
                wide = functional.gelu(linear(hidden, f"{i}.up"))
                hidden = norm(hidden + linear(wide, f"{i}.down"), f"{i}.norm2")
            if body.pooling == "cls":
                pooled = hidden[:, 0]
            else:
                pooled = (hidden * seen[:, :, None]).sum(1) / seen.sum(1, keepdim=True)
            return np.asarray(pooled.cpu().numpy(), np.float32)

    def encode(texts: Sequence[Array]) -> Matrix:
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        vectors = np.empty((len(texts), body.dim), np.float32)
        start = 0
        while start < len(order):  # longest first, so that a batch has texts of about one length
            chosen = order[start : start + max(1, TOKENS_GPU // len(texts[order[start]]))]
            vectors[chosen] = batch([texts[place] for place in chosen])
            start += len(chosen)
        return vectors

    return encode
