"""A student as one ONNX file, for any runtime that reads ONNX, with its tokenizer beside it.

    model.onnx       input_ids (b, l) int64, attention_mask (b, l) int64 -> sentence_embedding (b, dim)
                     float32, unit rows
    tokenizer.json   of the tokenizers library; it cuts and pads as the model wants it
    config.json      name, dim, max_tokens, pad_token_id

The file is opened with onnxruntime before it is kept: its vectors are the student's, or there is none.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.errors import ConfigError, MissingExtra, TandemError
from indexer.schema import Matrix
from indexer.threads import onnxruntime
from training.export.transformer_student import SAMPLE, refuse_other

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer
    from torch import Tensor, nn

__all__ = ["export_onnx"]

APART = 1e-4
"""Most that a number of a vector may differ from the student's."""
OPSET = 20


def export_onnx(model: SentenceTransformer, folder: Path, *, name: str, card: str = "") -> float:
    """Write the folder; the largest difference of any number from the student's vectors of SAMPLE.

    Raises MissingExtra without onnx, onnxscript and onnxruntime, ConfigError for a student that cannot
    be written as ONNX or whose vectors come out different, TandemError when the disk is full.
    """
    for needed in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(needed) is None:
            raise MissingExtra(needed, "train", "--format onnx")
    refuse_other(folder)
    module, tokenizer, limit, dim = _plain(model, name)
    scratch = folder.with_name(folder.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
        tokenizer.save(str(scratch / "tokenizer.json"), pretty=False)
        _write(module, tokenizer, scratch / "model.onnx", name)
        padding: Any = tokenizer.padding
        facts = {
            "name": name,
            "dim": dim,
            "max_tokens": limit,
            "pad_token_id": padding["pad_id"],
            "inputs": ["input_ids", "attention_mask"],
            "output": "sentence_embedding",
        }
        (scratch / "config.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
        if card:
            (scratch / "MODEL_CARD.md").write_text(card, "utf-8")
        theirs = model.encode(list(SAMPLE), normalize_embeddings=True, show_progress_bar=False)
        apart = float(np.abs(_vectors(scratch, list(SAMPLE)) - np.asarray(theirs)).max())
        if not apart <= APART:
            raise ConfigError(
                f"{name}: the ONNX file's vectors differ by {apart:.1e} from the student's, more than "
                f"{APART:.0e}; nothing was written"
            )
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    except OSError as error:
        raise TandemError(
            f"{folder}: the student cannot be written ({error}); make room or name another place"
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return apart


def _plain(model: SentenceTransformer, name: str) -> tuple[nn.Module, Tokenizer, int | None, int]:
    """(a module of token numbers and mask, tokenizer, max_tokens, dim)."""
    from tokenizers import Tokenizer
    from torch import nn
    from torch.nn import functional

    first: Any = model[0]
    static = type(first).__name__ == "StaticEmbedding"

    class Whole(nn.Module):
        """Every module of the student, and unit length."""

        def __init__(self) -> None:
            super().__init__()
            self.student = model

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            values: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
            for module in self.student:
                values = module(values)
            return functional.normalize(values["sentence_embedding"], dim=1)

    class Table(nn.Module):
        """A static student: the sum of its tokens' vectors."""

        def __init__(self) -> None:
            super().__init__()
            weight = first.embedding.weight.detach()
            self.table = nn.Embedding(weight.shape[0], weight.shape[1], _weight=weight)

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            found = self.table(input_ids) * attention_mask.unsqueeze(2).float()
            return functional.normalize(found.sum(dim=1), dim=1)

    dim = model.get_embedding_dimension()
    assert dim is not None
    own: Any = first.tokenizer if static else model.tokenizer
    backend = own if isinstance(own, Tokenizer) else getattr(own, "backend_tokenizer", None)
    if backend is None:
        raise ConfigError(f"{name}: its tokenizer has no tokenizer.json, so it has no ONNX export")
    tokenizer = Tokenizer.from_str(backend.to_str())
    limit = None if static else model.max_seq_length
    tokenizer.no_truncation()
    if limit is not None:
        tokenizer.enable_truncation(limit)
    pad = 0 if static else int(own.pad_token_id or 0)
    tokenizer.enable_padding(pad_id=pad, pad_token=tokenizer.id_to_token(pad))
    return (Table() if static else Whole()).train(False), tokenizer, limit, int(dim)


def _write(module: nn.Module, tokenizer: Tokenizer, file: Path, name: str) -> None:
    import torch

    encodings = tokenizer.encode_batch(list(SAMPLE[:3]))
    given = tuple(
        torch.tensor([getattr(encoding, part) for encoding in encodings])
        for part in ("ids", "attention_mask")
    )
    inputs = ["input_ids", "attention_mask"]
    texts, length = torch.export.Dim("texts"), torch.export.Dim("tokens")
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # the exporter's, about itself
            torch.onnx.export(
                module,
                given,
                str(file),
                input_names=inputs,
                output_names=["sentence_embedding"],
                dynamic_shapes={part: {0: texts, 1: length} for part in inputs},
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except OSError:
        raise
    except Exception as error:  # torch's exporter has a tree of errors
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{name}: torch cannot write it as ONNX ({reason})") from error
    finally:
        quiet.setLevel(level)


def _vectors(folder: Path, texts: list[str]) -> Matrix:
    """The vectors of `texts` by what was written alone."""
    from tokenizers import Tokenizer

    runtime = onnxruntime()
    encodings = Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(texts)
    session = runtime.InferenceSession(
        str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    given = {
        "input_ids": np.array([encoding.ids for encoding in encodings], np.int64),
        "attention_mask": np.array([encoding.attention_mask for encoding in encodings], np.int64),
    }
    (found,) = session.run(["sentence_embedding"], given)
    return np.asarray(found, np.float32)
