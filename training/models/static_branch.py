"""A static student beside a transformer: what the first knows, the second need not learn.

    S(x) = unit( unit(t(x)) + s(x) W )

t (width,) is the transformer's vector of a text, s (dim,) the static student's and W (dim, width) turns
the one's space into the other's. W starts as the matrix that brings s nearest to the teacher, in least
squares, and is trained with the transformer; the table of s is not. So the transformer learns what a sum of
token vectors misses, word order and sense, and rare words stay as good as the table has them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from configs.errors import ConfigError
from indexer.encoders.opening import open_encoder
from indexer.encoders.static_encoder import StaticEncoder
from indexer.schema import Matrix
from training.models.tokenizers import SPECIAL

__all__ = ["FILE", "StaticBranch", "least_squares", "open_static"]

FILE = "beside.safetensors"
"""In a student's folder, next to what sentence-transformers writes there."""


class StaticBranch(torch.nn.Module):
    """The last module of a sentence-transformers model: adds the static student's part.

    It reads token numbers, so the static student's tokenizer must be the model's own; the tokens around a
    text, which the static student does not see, have no part. `matrix` is W.
    """

    table: Tensor

    def __init__(self, static: StaticEncoder, matrix: NDArray[np.float32]) -> None:
        super().__init__()
        self.model, self.fingerprint = static.model, static.fingerprint
        self.matrix = torch.nn.Parameter(torch.from_numpy(np.array(matrix, np.float32)))
        table, numbers = static.table(), static.vocabulary()
        around = [spelling for role in SPECIAL if role != "unk_token" for spelling in SPECIAL[role]]
        table[[numbers[token] for token in around if token in numbers]] = 0
        # not among what a checkpoint keeps: it is read anew
        self.register_buffer("table", torch.from_numpy(table), persistent=False)

    def get_embedding_dimension(self) -> int:
        """The width, as sentence-transformers asks for it."""
        return int(self.matrix.shape[1])

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        ids, mask = features["input_ids"], features["attention_mask"]
        known = ids < len(self.table)
        own = features["sentence_embedding"].float()
        with torch.autocast(ids.device.type, enabled=False):
            sums = torch.nn.functional.embedding_bag(
                torch.where(known, ids, 0),
                self.table,
                mode="sum",
                per_sample_weights=(mask.bool() & known).float(),
            )
            static = torch.nn.functional.normalize(sums) @ self.matrix
            whole = torch.nn.functional.normalize(own) + static
            features["sentence_embedding"] = torch.nn.functional.normalize(whole)
        return features

    def write(self, folder: Path) -> None:
        """Write W, and which static student it is for, into a student's folder."""
        from safetensors.torch import save_file

        facts = {"model": self.model, "fingerprint": self.fingerprint}
        save_file({"matrix": self.matrix.detach().cpu().contiguous()}, folder / FILE, facts)

    @classmethod
    def read(cls, folder: Path) -> StaticBranch:
        """What `write` wrote. Raises ConfigError where the static student is not the one it was made for."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(folder / FILE, "np") as file:
                facts, matrix = file.metadata(), file.get_tensor("matrix")
        except SafetensorError as error:
            raise ConfigError(f"{folder / FILE}: cannot be read ({error})") from error
        static = open_static(facts["model"])
        if static.fingerprint != facts["fingerprint"]:
            raise ConfigError(
                f"model {folder}: was trained beside the static student {facts['model']} of fingerprint "
                f"{facts['fingerprint']}, and that is {static.fingerprint} here; put that one back, or "
                "train again"
            )
        return cls(static, matrix)


def open_static(model: str) -> StaticEncoder:
    """The static student `model`. Raises ConfigError for an encoder of another kind."""
    static = open_encoder(model)
    if not isinstance(static, StaticEncoder):
        raise ConfigError(
            f"student.beside {model}: it is no static student; give default or a folder "
            "that tandem train export wrote from tandem train static"
        )
    return static


def least_squares(vectors: Matrix, targets: Matrix, ridge: float = 1e-3) -> NDArray[np.float32]:
    """W (dim, width) with |vectors W - targets|^2 + ridge n |W|^2 least, of (n, dim) and (n, width)."""
    wide = vectors.astype(np.float64)
    square = wide.T @ wide + ridge * len(wide) / wide.shape[1] * np.eye(wide.shape[1])
    return np.linalg.solve(square, wide.T @ targets).astype(np.float32)
