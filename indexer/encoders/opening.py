"""The encoders that Tandem can open: its own students, sentence-transformers, and a hash.

torch is imported only for a transformer. Nothing looks for a model hub when the model is local.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import importlib.util
import itertools
import json
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.errors import BackendError, ConfigError, MissingExtra
from configs.settings import AUTO, EncoderSettings
from indexer.encoders.local_models import ACCURATE, FAST, model_folder
from indexer.encoders.neutral_encoder import neutralised
from indexer.encoders.transformer_encoder import CompactEncoder, is_compact
from indexer.schema import Document, Encoder, Kind, Matrix
from indexer.vectors import unit_rows

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = [
    "ACCURATE_UP_TO",
    "PACKAGED",
    "RENAMED",
    "HashEncoder",
    "TransformerEncoder",
    "choose_encoder",
    "named_encoder",
    "open_encoder",
]

# The encoders in the package, by the names that open them.
PACKAGED = {"fast": FAST, "accurate": ACCURATE}
RENAMED = {"default": "fast"}
ACCURATE_UP_TO = 10_000
"""Passages up to which `auto` takes `accurate`: some minutes on two cores."""


class HashEncoder:
    """A pure function of the text: hashed words and character trigrams, signed, unit length.

    It knows no language and no meaning; texts that share words are near. For tests and for trying out.
    """

    max_tokens: int | None = None

    def __init__(self, dim: int = 256) -> None:
        if not 8 <= dim <= 65_536:
            raise ConfigError(f"encoder hash:{dim}: between 8 and 65,536 dimensions are needed")
        self.dim = dim
        self.name = f"hash:{dim}"
        self.fingerprint = f"hash-1-{dim}"

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in text.casefold().split():
                padded = f"<{word}>"
                grams = [padded[i : i + 3] for i in range(len(padded) - 2)]
                for gram, weight in [(word, 1.0), *((gram, 0.3) for gram in grams)]:
                    code = zlib.crc32(gram.encode("utf-8", "surrogatepass"))
                    row[code % self.dim] += weight if code & 0x10000 else -weight
        return unit_rows(vectors)


class TransformerEncoder:
    """A sentence-transformers model, with its pooling and its prompts."""

    def __init__(
        self,
        model: SentenceTransformer,
        name: str,
        fingerprint: str,
        batch_size: int,
        prompts: dict[str, str],
    ) -> None:
        dim = model.get_embedding_dimension()
        assert dim is not None
        self.name = name
        self.dim = int(dim)
        self.fingerprint = fingerprint
        self._model = model
        self._batch_size = batch_size
        self._prompts = prompts

    @property
    def max_tokens(self) -> int | None:
        length: int | None = self._model.max_seq_length
        return length

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        # truncation off: the true length is asked for
        tokenizer: Any = self._model.tokenizer
        encoded = tokenizer(
            [self._prompts["passage"] + text for text in texts], truncation=False, verbose=False
        )
        return [len(ids) for ids in encoded["input_ids"]]

    def encode(self, texts: Sequence[str], kind: Kind = "passage") -> Matrix:
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        prompt = self._prompts[kind]
        vectors = self._model.encode(
            [prompt + text for text in texts],
            batch_size=self._batch_size,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        vectors = unit_rows(np.asarray(vectors))
        vectors[[not text.strip() for text in texts]] = 0.0
        return vectors


def open_encoder(
    model: str = "fast",
    *,
    device: str = "auto",
    batch_size: int = 64,
    query_prompt: str | None = None,
    passage_prompt: str | None = None,
    neutral: bool = False,
) -> Encoder:
    """The encoder that `model` names.

    `fast` is the static encoder in the package, `accurate` the transformer (also where `auto` stands and no
    collection is known: see `choose_encoder`), `hash` or `hash:DIM` the HashEncoder; a folder holds a static encoder, a
    compact transformer or a sentence-transformers model; anything else is a sentence-transformers name. `neutral`: a
    multilingual sentence-transformers model in its language-neutral space, which the others hold already.
    Raises ConfigError for a folder that holds no model or a name that was mistyped, BackendError when a hub cannot be reached,
    MissingExtra when sentence-transformers is not installed.
    """
    if model == "hash" or model.startswith("hash:"):
        dim = model.partition(":")[2] or "256"
        if not dim.isdigit():
            raise ConfigError(f"encoder {model}: write hash:DIM, for example hash:256")
        return HashEncoder(int(dim))
    if model in RENAMED:
        warnings.warn(
            f"the encoder {model} is called {RENAMED[model]} now", FutureWarning, stacklevel=2
        )
        model = RENAMED[model]
    if model == AUTO:
        model = "accurate"
    if device == "all":  # of FAISS; a transformer takes the first card
        device = "cuda"
    path = PACKAGED.get(model, Path(model))
    if path.is_dir():
        if is_compact(path):
            given = {"query": query_prompt, "passage": passage_prompt}
            return CompactEncoder.load(
                path,
                model if model in PACKAGED else "",
                device=device,
                prompts={kind: text for kind, text in given.items() if text is not None},
            )
        if _is_static(path):
            from indexer.encoders.static_encoder import StaticEncoder

            return StaticEncoder.load(path, model if model in PACKAGED else "")
        if not (path / "modules.json").is_file() and not (path / "config.json").is_file():
            raise ConfigError(
                f"encoder {model}: the folder holds no model (no tokenizer.json, no modules.json)"
            )
    elif model in PACKAGED:
        raise ConfigError(
            f"encoder {model}: this installation carries no such encoder; name another model"
        )
    near = difflib.get_close_matches(model, [*PACKAGED, "hash"], n=1, cutoff=0.75)
    if near and "/" not in model and model_folder(model) is None:
        raise ConfigError(f"encoder {model}: there is no such model; did you mean {near[0]}?")
    opened = _open_transformer(model, device, batch_size, query_prompt, passage_prompt)
    return neutralised(opened) if neutral else opened


def choose_encoder(documents: Iterable[Document], size: int) -> tuple[str, Iterator[Document]]:
    """What `auto` means for these documents, split into passages of `size` characters; and the documents again.

    At most ACCURATE_UP_TO passages' worth of documents is read ahead.
    """
    stream = iter(documents)
    ahead: list[Document] = []
    passages = 0
    for document in stream:
        ahead.append(document)
        passages += max(1, -(-len(document.text) // size))
        if passages > ACCURATE_UP_TO:
            return "fast", itertools.chain(ahead, stream)
    return "accurate", iter(ahead)


def _is_static(folder: Path) -> bool:
    """Whether a folder holds a static student, whole or not; a transformer's config.json has no format."""
    if (folder / "modules.json").is_file():
        return False
    try:
        return "format" in json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return (folder / "tokenizer.json").is_file()


def named_encoder(settings: EncoderSettings) -> Encoder | None:
    """The encoder that settings name; None where they name none, and an index opens its own."""
    if settings.model == EncoderSettings().model:
        return None
    return open_encoder(**dataclasses.asdict(settings))


def _is_cached(model: str) -> bool:
    """Whether the hub's cache on this machine holds the model; if not, whether the hub would give it.

    sentence-transformers asks a hub that is away for over a minute, file by file; this asks once, and
    raises what the hub's client raises.
    """
    from huggingface_hub import HfApi, constants, try_to_load_from_cache

    # The models of sentence-transformers itself may be named without their owner.
    name = model if "/" in model else f"sentence-transformers/{model}"
    for known in {name, model}:
        for file in ("modules.json", "config.json"):
            if isinstance(try_to_load_from_cache(known, file), str):
                return True
    if constants.HF_HUB_OFFLINE:
        raise ValueError("HF_HUB_OFFLINE is set")
    HfApi().model_info(name, timeout=10)
    return False


def _open_transformer(
    model: str, device: str, batch_size: int, query_prompt: str | None, passage_prompt: str | None
) -> TransformerEncoder:
    if importlib.util.find_spec("sentence_transformers") is None:
        raise MissingExtra("sentence-transformers", "models", f"encoder {model}")
    local = model_folder(model)  # asked before torch is imported, which takes seconds
    try:
        offline = local is not None or _is_cached(model)
    except Exception as error:  # the hub's client has a tree of errors, and its transport another
        reason = str(error).strip().partition("\n")[0]
        raise BackendError(
            f"encoder {model}: not on this machine, and it could not be downloaded ({reason}); "
            "check the name and the network, or give the path of a folder that holds the model"
        ) from error
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]  # loading from disk takes a second
    try:
        loaded = SentenceTransformer(
            model if local is None else str(local),
            device=None if device == "auto" else device,
            local_files_only=offline,
            trust_remote_code=False,
        )
    except Exception as error:  # torch, transformers and safetensors raise their own
        reason = " ".join(str(error).split())[:200]
        raise BackendError(
            f"encoder {model}: cannot be opened on the device {device} ({reason}); "
            "check the model's files and encoder.device, or name another model"
        ) from error
    own = loaded.prompts or {}
    if query_prompt is None:
        query_prompt = own.get("query") or ""
    if passage_prompt is None:
        passage_prompt = own.get("passage") or own.get("document") or ""
    chosen = {"query": query_prompt, "passage": passage_prompt}
    return TransformerEncoder(
        loaded, model, _fingerprint(local, loaded, chosen), batch_size, chosen
    )


def _fingerprint(local: Path | None, model: SentenceTransformer, prompts: dict[str, str]) -> str:
    """Of the weights, the modules and the prompts: what vectors depend on."""
    digest = hashlib.sha256(json.dumps(prompts, sort_keys=True).encode())
    digest.update(str(model.max_seq_length).encode())
    if local is not None:
        for path in sorted(local.rglob("*")):
            if path.suffix in (".safetensors", ".json", ".bin", ".model", ".txt"):
                digest.update(path.relative_to(local).as_posix().encode())
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
    else:
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()[:32]
