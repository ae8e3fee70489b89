"""The static student: a table of token vectors, summed over a text and scaled to unit length.

It answers in microseconds on a CPU and needs no torch. A folder of it holds

    config.json        name, dim, bits, fingerprint, and the size and sha256 of the other two
    tokenizer.json     of the tokenizers library; it folds case and compatibility forms
    model.safetensors  `rows` int8 or float16 (tokens, dim), or uint8 (tokens, dim / 2) with two 4-bit
                       numbers a byte; `scale` float32 (tokens,): how much one unit of a row's numbers is

How a token counts in a text is in the length of its row, which training learned (`training.static`).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from configs.errors import ConfigError
from indexer.schema import Kind, Matrix
from indexer.vectors import unit_rows

__all__ = ["FORMAT", "StaticEncoder", "unpacked"]

FORMAT = "tandem-static-1"

# Texts tokenized at a time: the encodings of so many short texts stay in the cache.
BATCH = 4096
# Token rows gathered at a time: 4 MB of float32 at 256 dimensions.
TOKENS = 4096
# Pieces between white space whose tokens are kept (some 60 MB), and the longest of them, in characters:
# longer ones are sentences of scripts without spaces, which do not come again.
REMEMBERED, LONGEST = 200_000, 24


class StaticEncoder:
    """Texts to vectors by a table. Build it with `load`; a vector depends on its own text only."""

    max_tokens: int | None = None

    def __init__(
        self,
        tokenizer: Tokenizer,
        rows: NDArray[np.int8] | NDArray[np.float16],
        scale: NDArray[np.float32],
        name: str,
        fingerprint: str,
        model: str = "",
    ) -> None:
        self.name = name
        self.model = model or name  # what `open_encoder` opens it by
        self.fingerprint = fingerprint
        self.dim = rows.shape[1]
        self._tokenizer = tokenizer
        self._rows = rows  # (tokens, dim)
        self._scale = np.ascontiguousarray(scale, dtype=np.float32)  # (tokens,)
        self._pieces: dict[str, bytes] = {}  # a piece's tokens, int32
        self._older: dict[str, bytes] = {}

    @classmethod
    def load(cls, folder: Path | str, model: str = "") -> StaticEncoder:
        """Open a folder, known by `model` to those who open it again.

        Raises ConfigError naming the file that is missing, damaged or of another kind.
        """
        folder = Path(folder)
        config = _config(folder)
        for name, facts in config["files"].items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != facts["bytes"]:
                size = path.stat().st_size if path.is_file() else "no"
                raise ConfigError(
                    f"encoder {folder}: {name} has {size} bytes where {facts['bytes']} are expected; "
                    "copy or export the folder again"
                )
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            rows, scale = _tensors(folder / "model.safetensors", int(config["bits"]))
        except Exception as error:  # both libraries raise plain Exception
            raise ConfigError(
                f"encoder {folder}: cannot be read ({error}); export it again"
            ) from error
        if rows.shape != (len(scale), int(config["dim"])) or len(rows) < tokenizer.get_vocab_size():
            raise ConfigError(
                f"encoder {folder}: a table of {rows.shape} does not fit {config['dim']} dimensions and "
                f"{tokenizer.get_vocab_size()} tokens; export it again"
            )
        tokenizer.no_truncation()
        tokenizer.no_padding()
        name, fingerprint = str(config["name"]), str(config["fingerprint"])
        return cls(tokenizer, rows, scale, name, fingerprint, model or str(folder.absolute()))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(encoding) for encoding in self._tokenized(texts)]

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        sums = np.zeros((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), BATCH):
            for row, ids in enumerate(self._ids(texts[start : start + BATCH]), start):
                for first in range(0, len(ids), TOKENS):
                    tokens = ids[first : first + TOKENS]
                    # einsum and not BLAS, whose rounding depends on its threads
                    sums[row] += np.einsum(
                        "i,ij->j", self._scale[tokens], self._rows[tokens].astype(np.float32)
                    )
        return unit_rows(sums)

    def table(self) -> Matrix:
        """The token vectors that are summed, (tokens, dim) float32; not of unit length."""
        return self._rows * self._scale[:, None]

    def _ids(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """The tokens of each text. The tokenizer splits at white space before all else, so it is asked
        for each piece between white space once: most words of a collection come again and again.
        """
        if (
            len(self._pieces) > REMEMBERED
        ):  # the rarer half is forgotten, the other comes back from it
            self._older, self._pieces = (
                self._pieces,
                {},
            )  # not cleared: another thread may be reading
        known, older = self._pieces, self._older
        split = [text.split() for text in texts]
        wanted = set(itertools.chain.from_iterable(split))
        table = {piece: known[piece] for piece in wanted if piece in known}
        fresh = {piece: older[piece] for piece in wanted - table.keys() if piece in older}
        missing = list(wanted - table.keys() - fresh.keys())
        for piece, encoding in zip(missing, self._tokenized(missing), strict=True):
            fresh[piece] = np.array(encoding.ids, np.int32).tobytes()
        known.update((piece, ids) for piece, ids in fresh.items() if len(piece) <= LONGEST)
        table.update(fresh)
        return [
            np.frombuffer(b"".join(map(table.__getitem__, pieces)), np.int32) for pieces in split
        ]

    def _tokenized(self, texts: Sequence[str]) -> list[Encoding]:
        try:
            return self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        except (
            TypeError,
            UnicodeEncodeError,
        ):  # half of a surrogate pair, which is no text in UTF-8
            whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
            return self._tokenizer.encode_batch_fast(whole, add_special_tokens=False)


def unpacked(pairs: NDArray[np.uint8]) -> NDArray[np.int8]:
    """(tokens, dim / 2) bytes, each two numbers of -8 to 7 (low half first), to (tokens, dim) int8."""
    rows = np.empty((len(pairs), pairs.shape[1] * 2), np.int8)
    rows[:, 0::2] = (pairs & 15).view(np.int8)
    rows[:, 1::2] = (pairs >> 4).view(np.int8)
    rows -= 8
    return rows


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        found = config["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"encoder {folder}: config.json is missing or no static student's ({error}); "
            "give a folder that `tandem train export` wrote"
        ) from error
    if found != FORMAT:
        raise ConfigError(f"encoder {folder}: format is {found!r}, not {FORMAT!r}; export it again")
    return dict(config)


def _tensors(path: Path, bits: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    from safetensors.numpy import load_file

    tensors = load_file(path)
    rows: NDArray[np.int8] = unpacked(tensors["rows"]) if bits == 4 else tensors["rows"]
    scale: NDArray[np.float32] = tensors["scale"].astype(np.float32)
    return rows, scale
