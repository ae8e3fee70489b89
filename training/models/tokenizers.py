"""Tokenizers of transformer students: found by name or file, and wrapped as transformers wants them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import ConfigError
from indexer.encoders import tokenizer_files
from indexer.encoders.local_models import FAST

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

__all__ = ["SPECIAL", "tokenizer_file", "wrap_tokenizer"]

SPECIAL = {  # role -> the spellings in use, the one that is added when none is there first
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}


def tokenizer_file(path: str) -> Path:
    """The tokenizer.json that `path` names: a file, a folder with one, or `fast`, the shipped one."""
    folder = FAST if path in ("fast", "default") else Path(path)
    file = tokenizer_files.find(folder) if folder.is_dir() else folder
    if not file.is_file():
        raise ConfigError(
            f"student.tokenizer {path}: no such file; make one with tandem train tokenizer"
        )
    return file


def wrap_tokenizer(file: Path, max_tokens: int) -> PreTrainedTokenizerFast:
    """A tokenizer's file as transformers wants it, with [CLS], [SEP] and [MASK] added where absent."""
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer = tokenizer_files.open_tokenizer(file)
    named = {role: _spelling(tokenizer, spellings) for role, spellings in SPECIAL.items()}
    tokenizer.add_special_tokens(list(named.values()))
    first, last = named["cls_token"], named["sep_token"]
    tokenizer.post_processor = TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B {last}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    wrapped: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, model_max_length=max_tokens, **named
    )
    return wrapped


def _spelling(tokenizer: Tokenizer, spellings: tuple[str, ...]) -> str:
    return next((s for s in spellings if tokenizer.token_to_id(s) is not None), spellings[0])
