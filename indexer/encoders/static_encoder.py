"""The static student: a table of token vectors, summed over a text and scaled to unit length.

It answers in microseconds on a CPU and needs no torch. A folder of it holds

    config.json        name, dim, bits, fingerprint, and the size and sha256 of the other two; `normalised` where
                       it was trained with texts that `indexer.text.spelling.normalise` had gone through;
                       `same_tokens`: fingerprints of earlier tables with this tokenizer, whose token numbers
                       in an index keep their meaning
    tokenizer.json.zst of the tokenizers library, packed (`tokenizer_files`), or plain tokenizer.json; it folds case
                       and compatibility forms
    model.safetensors  `rows` int8 or float16 (tokens, dim), or uint8 (tokens, dim / 2) with two 4-bit
                       numbers a byte; `scale` float32 (tokens,): how much one unit of a row's numbers is

How a token counts in a text is in the length of its row, which training learned (`training.recipes.static`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from configs.errors import ConfigError
from indexer.disk_cache import derived, tensors
from indexer.encoders import tokenizer_files
from indexer.encoders.unigram_tokenizer import STATIC, Unigram
from indexer.schema import Kind, Matrix
from indexer.text.spelling import normalise, visible
from indexer.text.word_cache import LONGEST, Pieces, Rows, portions
from indexer.vectors import unit_rows

__all__ = [
    "FORMAT",
    "StaticEncoder",
    "joined",
    "open_unigram",
    "refuse_cut",
    "replaced",
    "unpacked",
]

FORMAT = "tandem-static-1"

# Token rows gathered at a time: 4 MB of float32 at 256 dimensions.
TOKENS = 4096
REMEMBERED = (
    150_000  # pieces between white space whose tokens are kept, and as many older ones (40 MB each)
)
# Pieces missing in one call for which the tables of `indexer.encoders.unigram_tokenizer` pay (making them takes 0.2 s), and for
# which they pay when they have been made.
MANY, SOME = 2048, 128
# Letters in one call for which `indexer.text.word_cache` pays, where it has not read any yet and where it has.
LETTERS, FEWER = 100_000, 5000
NOT_KNOWN = np.array([-1], np.int32).tobytes()  # of a word that the tokenizer was not asked about


class StaticEncoder:
    """Texts to vectors by a table. Build it with `load`; a vector depends on its own text only."""

    max_tokens: int | None = None

    def __init__(
        self,
        tokenizer: Tokenizer | Path,
        rows: NDArray[Any],
        scale: NDArray[np.float32],
        name: str,
        fingerprint: str,
        model: str = "",
        folder: Path | None = None,
        unigram: Unigram | None = None,
        normalised: bool = False,
    ) -> None:
        """`tokenizer`: a path is opened when a text needs it, `unigram` being its model where that is known.

        `rows`: (tokens, dim), or (tokens, dim / 2) uint8 of two 4-bit numbers. `folder`: where all this was read from.
        `normalised`: it was trained with texts in which every letter has one form (`indexer.text.spelling`).
        """
        self.name = name
        self.model = model or name  # what `open_encoder` opens it by
        self.fingerprint = fingerprint
        self.dim = rows.shape[1] * (2 if rows.dtype == np.uint8 else 1)
        self.folder = folder
        self.normalised = normalised
        self._spelled = normalise if normalised else visible
        self._given = tokenizer
        self._stored = rows
        self._whole = None if rows.dtype == np.uint8 else rows
        self._scale = np.ascontiguousarray(scale, dtype=np.float32)  # (tokens,)
        self._pieces: dict[str, bytes] = {}  # a piece's tokens, int32
        self._older: dict[str, bytes] = {}
        self._unigram = unigram
        self._looked = unigram is not None  # whether there can be one
        self._making = threading.Lock()
        self._table: Pieces | None = None  # of the words of many texts
        self._asking = threading.Lock()

    @classmethod
    def load(cls, folder: Path | str, model: str = "", whole: bool = True) -> StaticEncoder:
        """Open a folder, known by `model` to those who open it again.

        `whole` False: nothing of the tokenizer is looked at before a text needs it. Raises ConfigError
        naming the file that is missing, damaged or of another kind.
        """
        folder = Path(folder)
        config = _config(folder)
        refuse_cut(folder, config["files"])
        try:
            file = tokenizer_files.find(folder)
            unigram = open_unigram(file) if whole else None
            known = unigram is not None or not whole
            tokenizer = None if known else tokenizer_files.open_tokenizer(file)
            rows, scale = _tensors(folder / "model.safetensors")
        except Exception as error:  # both libraries raise plain Exception
            raise ConfigError(
                f"encoder {folder}: cannot be read ({error}); export it again"
            ) from error
        tokens = tokenizer.get_vocab_size() if tokenizer is not None else len(unigram or ())
        dim = int(config["dim"]) // (2 if rows.dtype == np.uint8 else 1)
        if rows.shape != (len(scale), dim) or len(rows) < tokens:
            raise ConfigError(
                f"encoder {folder}: a table of {rows.shape} does not fit {config['dim']} dimensions and "
                f"{tokens} tokens; export it again"
            )
        return cls(
            tokenizer or file,
            rows,
            scale,
            str(config["name"]),
            str(config["fingerprint"]),
            model or str(folder.absolute()),
            folder,
            unigram,
            bool(config.get("normalised", False)),
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(encoding) for encoding in self._tokenized([*map(self._spelled, texts)])]

    def tokens(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """The token numbers of each text, in the order of the text: rows of `table`."""
        return [np.frombuffer(ids, np.int32) for ids in self._ids(texts)]

    def token_rows(self, texts: Sequence[str]) -> Rows:
        """The token numbers of each text, one text after another."""
        if not self._pays(texts):
            return _rows(self._ids(texts))
        model = self._model()
        assert model is not None
        parts, unsure = self._looked_up(texts, model)
        left = sorted(unsure)
        return replaced(joined(parts), left, _rows(self._ids([texts[i] for i in left])))

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        if not self._pays(texts):
            return self._vectors(_rows(self._ids(texts)))
        vectors, left = self.encode_most(texts)
        if left:
            vectors[left] = self._vectors(_rows(self._ids([texts[i] for i in left])))
        return vectors

    def _pays(self, texts: Sequence[str]) -> bool:
        """Whether there is so much to read that it is read together, where that can be."""
        letters = sum(map(len, texts))
        return letters >= (LETTERS if self._table is None else FEWER) and self._model() is not None

    def read(self, texts: Sequence[str]) -> tuple[Matrix, Rows]:
        """The vectors of `encode` and the token numbers of each text; each text is tokenised once."""
        vectors, rows, left = self.read_most(texts) if self._pays(texts) else self._read(texts)
        if not left:
            return vectors, rows
        vectors[left], others = self._read([texts[i] for i in left])[:2]
        return vectors, replaced(rows, left, others)

    def _read(self, texts: Sequence[str]) -> tuple[Matrix, Rows, list[int]]:
        rows = _rows(self._ids(texts))
        return self._vectors(rows), rows, []

    def read_most(self, texts: Sequence[str]) -> tuple[Matrix, Rows, list[int]]:
        """`read`, except for a few texts that only the tokenizers library can read: their indices are returned,
        their vectors and tokens are undefined.

        For a process that has not opened the tokenizer, which is the slower half of `load`.
        """
        model = self._model()
        if model is None or not texts:
            return self._read(texts)
        parts, left = self._looked_up(texts, model)
        vectors, done = np.empty((len(texts), self.dim), np.float32), 0
        for rows in parts:
            more = len(rows.borders) - 1
            vectors[done : done + more] = self._vectors(rows)
            done += more
        return vectors, joined(parts), sorted(left)

    def _looked_up(self, texts: Sequence[str], model: Unigram) -> tuple[list[Rows], set[int]]:
        """The tokens of the texts, in portions, and the indices of those that only the tokenizers library can read."""
        texts = [*map(self._spelled, texts)]
        parts: list[Rows] = []
        left = set[int]()
        for some in portions(texts):
            with self._asking:
                found, unsure = model.cut(texts[some])
                if self._table is None:
                    self._table = Pieces(lambda words, _: [_known(model.ids(words))], [np.int32])
                (rows,) = self._table.look_up(found, [0] * (len(found.borders) - 1))
            unknown = np.flatnonzero(rows.flat < 0)
            unsure += (np.searchsorted(rows.borders, unknown, side="right") - 1).tolist()
            left.update(some.start + i for i in unsure)
            parts.append(rows)
        return parts, left

    def encode_most(self, texts: Sequence[str]) -> tuple[Matrix, list[int]]:
        """The vectors of `read_most`, and the indices of the texts that it left out."""
        vectors, _, left = self.read_most(texts)
        return vectors, left

    def _vectors(self, rows: Rows) -> Matrix:
        """The vector of each text, from its tokens."""
        return unit_rows(self._sums(rows))

    def _sums(self, rows: Rows) -> Matrix:
        """The sum of each text's token vectors."""
        texts = len(rows.borders) - 1
        if texts >= SOME:
            _ = self._rows  # unpacked once, for many
        sums = np.zeros((texts, self.dim), dtype=np.float32)
        for row, (start, end) in enumerate(itertools.pairwise(rows.borders.tolist())):
            for first in range(start, end, TOKENS):
                tokens = rows.flat[first : min(first + TOKENS, end)]
                # einsum and not BLAS, whose rounding depends on its threads
                sums[row] += np.einsum("i,ij->j", self._scale[tokens], self._numbers(tokens))
        return sums

    @property
    def _rows(self) -> NDArray[Any]:
        """The table's numbers, (tokens, dim)."""
        if self._whole is None:
            self._whole = unpacked(self._stored)
        return self._whole

    def _numbers(self, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """The numbers of these tokens, (len(tokens), dim). A query has ten: the table is not unpacked for it."""
        if self._whole is None:
            return unpacked(self._stored[tokens]).astype(np.float32)
        return np.asarray(self._whole[tokens], np.float32)

    def sums(self, texts: Sequence[str]) -> Matrix:
        """The sum of the vectors of each text's tokens, not scaled: `encode` scales it to unit length."""
        return self._sums(_rows(self._ids(texts)))

    def median_length(self, most: int) -> float:
        """The median length of the vectors of (at most about `most`) tokens, evenly taken from the table."""
        tokens = np.arange(0, len(self._scale), max(1, len(self._scale) // most), dtype=np.int32)
        numbers = self._numbers(tokens) * self._scale[tokens, None]
        return float(np.median(np.linalg.norm(numbers, axis=1)))

    def vocabulary(self) -> dict[str, int]:
        """Each token's row of the table."""
        return self._tokenizer.get_vocab()

    def pieces(self) -> list[str]:
        """The text of each token, by its number; a word's first token begins with U+2581 (SentencePiece)."""
        model = self._model()
        if model is not None:
            return model.pieces()
        pieces = [""] * len(self._stored)
        for piece, number in self._tokenizer.get_vocab().items():
            pieces[number] = piece
        return pieces

    def piece(self, number: int) -> str:
        """The text of one token, as in `pieces`."""
        model = self._model()
        return (
            model.piece(number) if model is not None else self._tokenizer.id_to_token(number) or ""
        )

    @property
    def stored(self) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """The table as it is stored: rows (tokens, dim), or (tokens, dim / 2) uint8 of two 4-bit numbers; and
        the scale of each row, (tokens,)."""
        return self._stored, self._scale

    def table(self) -> Matrix:
        """The token vectors that are summed, (tokens, dim) float32; not of unit length."""
        return self._rows * self._scale[:, None]

    def _ids(self, texts: Sequence[str]) -> list[bytes]:
        """The tokens of each of a few texts, int32. The tokenizer splits at white space before all else, so it
        is asked for each piece between white space once: most words come again and again.
        """
        if len(self._pieces) > REMEMBERED:
            # The rarer half is forgotten, the other comes back from it. Not cleared: another thread may read it.
            self._older, self._pieces = self._pieces, {}
        known, older = self._pieces, self._older
        split = [self._spelled(text).split() for text in texts]
        missing = set(itertools.chain.from_iterable(split)).difference(known)
        again = missing & older.keys()
        known.update(zip(again, map(older.__getitem__, again), strict=True))
        missing -= again
        fresh = self._found(list(missing))
        long = {piece: fresh.pop(piece) for piece in missing if len(piece) > LONGEST}
        known.update(fresh)
        return [b"".join([known[p] if p in known else long[p] for p in pieces]) for pieces in split]

    def _found(self, pieces: list[str]) -> dict[str, bytes]:
        """The tokens of each piece that is not remembered, int32; of many pieces together, where that can be."""
        least = MANY if self._unigram is None else SOME if isinstance(self._given, Tokenizer) else 1
        found = self._found_together(pieces) if len(pieces) >= least else {}
        missing = [piece for piece in pieces if piece not in found] if found else pieces
        if missing:
            for piece, encoding in zip(missing, self._tokenized(missing), strict=True):
                found[piece] = np.array(encoding.ids, np.int32).tobytes()
        return found

    def _found_together(self, pieces: Sequence[str]) -> dict[str, bytes]:
        """The tokens of those pieces whose words `indexer.encoders.unigram_tokenizer` can be asked about, and of the words."""
        model = self._model()
        if model is None:
            return {}
        whole, divided = model.words(pieces)
        known = self._pieces
        fresh = list(set(whole.values()).union(*divided.values()).difference(known))
        new = {word: ids for word, ids in zip(fresh, model.ids(fresh), strict=True) if ids}
        # A word that is folded already stands between white space as it does between punctuation.
        joined = "\n".join(new)
        found = dict(new) if model.fold(joined) == joined else {}
        for piece, word in whole.items():
            if ids := new.get(word) or known.get(word):
                found[piece] = ids
        for piece, words in divided.items():
            tokens = [new.get(word) or known.get(word, b"") for word in words]
            if all(tokens):
                found[piece] = b"".join(tokens)
        return found

    def _model(self) -> Unigram | None:
        """The tokenizer's model for many words at a time; None where it is of another kind."""
        with self._making:
            if not self._looked:
                given = self._given
                if isinstance(given, Path):
                    self._unigram = open_unigram(given)
                else:
                    self._unigram = Unigram.of(json.loads(given.to_str()))
                self._looked = True
        return self._unigram

    @property
    def _tokenizer(self) -> Tokenizer:
        if isinstance(self._given, Path):
            self._given = tokenizer_files.open_tokenizer(self._given)
        return self._given

    def _tokenized(self, texts: Sequence[str]) -> list[Encoding]:
        try:
            return self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        except (
            TypeError,
            UnicodeEncodeError,
        ):  # half of a surrogate pair, which is no text in UTF-8
            whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
            return self._tokenizer.encode_batch_fast(whole, add_special_tokens=False)


def _rows(texts: Sequence[bytes]) -> Rows:
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) // 4
    return Rows(np.frombuffer(b"".join(texts), np.int32), np.r_[0, np.cumsum(lengths)])


def joined(parts: Sequence[Rows]) -> Rows:
    """The texts of all `parts`, in order."""
    if len(parts) == 1:
        return parts[0]
    lengths = [np.diff(part.borders) for part in parts]
    flat = np.concatenate([part.flat for part in parts]) if parts else np.zeros(0, np.int32)
    return Rows(flat, np.r_[0, np.cumsum(np.concatenate(lengths or [np.zeros(0, np.int64)]))])


def replaced(rows: Rows, places: Sequence[int], others: Rows) -> Rows:
    """`rows` with those of the texts at `places` exchanged for `others`, in the same order."""
    if not len(places):
        return rows
    parts = np.split(rows.flat, rows.borders[1:-1])
    for place, part in zip(places, np.split(others.flat, others.borders[1:-1]), strict=True):
        parts[place] = part
    lengths = np.fromiter(map(len, parts), np.int64, len(parts))
    return Rows(np.concatenate(parts), np.r_[0, np.cumsum(lengths)])


def _known(words: Sequence[bytes | None]) -> list[bytes]:
    return [NOT_KNOWN if ids is None else ids for ids in words]


def open_unigram(file: Path, steps: tuple[Any, Any] = STATIC) -> Unigram | None:
    """The model of a tokenizer's file, for many words at a time; None where its steps before the model are others."""
    data = file.read_bytes()

    def made() -> dict[str, NDArray[Any]]:
        model = Unigram.of(json.loads(tokenizer_files.read_text(file)), steps)
        return {} if model is None else model.arrays()

    source = hashlib.sha256(data).digest() + f"1 {unicodedata.unidata_version}".encode()
    arrays = derived("unigram", source, made)
    return Unigram.opened(arrays) if arrays else None


def unpacked(pairs: NDArray[np.uint8]) -> NDArray[np.int8]:
    """(tokens, dim / 2) bytes, each two numbers of -8 to 7 (low half first), to (tokens, dim) int8."""
    rows = np.empty((len(pairs), pairs.shape[1] * 2), np.int8)
    rows[:, 0::2] = (pairs & 15).view(np.int8)
    rows[:, 1::2] = (pairs >> 4).view(np.int8)
    rows -= 8
    return rows


def refuse_cut(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ConfigError for a file of `folder` that has not the `bytes` that `files` tell."""
    for name, facts in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts["bytes"]:
            size = path.stat().st_size if path.is_file() else "no"
            raise ConfigError(
                f"encoder {folder}: {name} has {size} bytes where {facts['bytes']} are expected; "
                "copy or export the folder again"
            )


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


def _tensors(path: Path) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """The table as it is stored, memory-mapped, and its scale."""
    found = tensors(np.asarray(np.memmap(path, np.uint8, "r")))
    return found["rows"], found["scale"].astype(np.float32)
