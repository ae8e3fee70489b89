"""Every setting of indexing, searching and serving, with its default and meaning.

The dataclasses are the only list of settings: YAML files and `--set section.key=value` are checked
against them by `parse`, which knows nothing of what a setting does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from configs.errors import ConfigError

__all__ = [
    "AUTO",
    "DenseSettings",
    "ElasticsearchSettings",
    "EncoderSettings",
    "FusionSettings",
    "LexicalSettings",
    "PassageSettings",
    "SearchSettings",
    "ServeSettings",
    "Settings",
    "parse",
]

T = TypeVar("T")

_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")

AUTO = "auto"
"""The encoder that is chosen by the size of a collection."""


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """What turns text into vectors."""

    model: str = AUTO
    """`auto` (`accurate` up to 10,000 passages, `fast` beyond), `fast` (the static encoder in the package), `accurate`
    (the transformer there), `hash` (tests), a folder, or a sentence-transformers name."""
    device: str = "auto"
    """Where a transformer encodes and FAISS searches: `auto`, `cpu`, `cuda`, `cuda:N`, or `all` (FAISS on every card, the
    transformer on the first)."""
    batch_size: int = 64
    """Texts a transformer encodes at a time."""
    query_prompt: str | None = None
    """Put before each query (E5: "query: "). None: what the model's own settings say."""
    passage_prompt: str | None = None
    """Put before each passage (E5: "passage: "). None: what the model's own settings say."""
    neutral: bool = True
    """Take the directions that tell languages apart out of the vectors of a multilingual sentence-transformers model.
    The encoders in the package, and those that `tandem train export` wrote, hold what they need in their weights."""

    def __post_init__(self) -> None:
        _at_least("batch_size", self.batch_size, 1)


@dataclass(frozen=True, slots=True)
class PassageSettings:
    """How a long document is split."""

    size: int = 1000
    """Longest passage, in characters."""
    overlap: int = 150
    """Characters, at most, that a passage repeats of the one before, in whole sentences; never more
    than half of `size`."""

    def __post_init__(self) -> None:
        _at_least("size", self.size, 16)
        _at_least("overlap", self.overlap, 0)


@dataclass(frozen=True, slots=True)
class LexicalSettings:
    """The search by words."""

    backend: Literal["tantivy", "rank_bm25"] = "tantivy"
    """`rank_bm25` keeps nothing on disk and reads every document when it opens: for small collections."""
    word_weight: float = 0.3
    """Weight of the words as written beside their stems (1.0)."""

    def __post_init__(self) -> None:
        if not 0 <= self.word_weight <= 100:
            raise ValueError(f"word_weight must be from 0 to 100, not {self.word_weight}")


@dataclass(frozen=True, slots=True)
class DenseSettings:
    """The search by meaning."""

    factory: str = "auto"
    """A FAISS factory string (`Flat`, `HNSW32`, `IVF1024,SQ8`...), or `auto`: by the number of passages."""
    probes: int = 0
    """IVF lists read, or HNSW's efSearch; 0: the default of the factory chosen."""

    def __post_init__(self) -> None:
        _at_least("probes", self.probes, 0)


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How the two sides make one score."""

    method: Literal["learned", "interleave", "convex", "rrf", "minmax", "zscore", "combmnz"] = (
        "learned"
    )
    """`learned` is the probability that a passage answers the query, fitted for the encoders that ship or by `weights`; with
    another encoder it is `interleave`, which orders each language by both sides and puts the languages together by meaning; `convex`
    is its weighted sum alone; the others are there to compare with."""
    lexical_weight: float = 0.8
    """Weight of the lexical side in [0, 1]. An encoder that is stronger than the student in the package
    wants less: 0.55 was good for all-MiniLM-L6-v2 in English."""
    rrf_k: int = 60
    """The constant of reciprocal rank fusion (Cormack et al. 2009)."""
    language_weights: Mapping[str, float] = field(default_factory=dict)
    """`lexical_weight` for queries of one language, by ISO 639-1 code."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of `learned`: its intercept and the weight of each feature, as `tandem eval fit` writes them. Empty: those that were
    fitted for the encoder of the index."""

    def __post_init__(self) -> None:
        weights = {
            "lexical_weight": self.lexical_weight,
            **{f"language_weights.{lang}": w for lang, w in self.language_weights.items()},
        }
        for key, weight in weights.items():
            if not 0 <= weight <= 1:
                raise ValueError(f"{key} must lie between 0 and 1, not {weight}")
        _at_least("rrf_k", self.rrf_k, 0)


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """One search."""

    mode: Literal["hybrid", "dense", "lexical"] = "hybrid"
    """`dense`: by meaning; `lexical`: by words; `hybrid`: both."""
    k: int = 10
    """Hits wanted."""
    pool: int = 100
    """Passages each side hands to fusion."""
    max_query: int = 10_000
    """Longest query accepted, in characters."""
    alignment: float = 1.0
    """Weight of word alignment (`indexer.search.alignment`) in a hybrid search; 0: off."""
    floor: float = 0.15
    """Probability below which a hit is shown as the nearest there is, not as an answer. On the demo it hides 1 to 6% of the
    right first hits and 14 to 30% of the wrong ones. Only the fusion `learned` gives probabilities; 0 switches it off."""
    fusion: FusionSettings = field(default_factory=FusionSettings)
    """How the two sides make one score."""

    def __post_init__(self) -> None:
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor must be from 0 to 1, not {self.floor}")
        if not 0 <= self.alignment <= 10:
            raise ValueError(f"alignment must be from 0 to 10, not {self.alignment}")
        for key in ("k", "pool", "max_query"):
            _at_least(key, getattr(self, key), 1)


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """The page."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for every network."""
    port: int = 8000
    """Port to listen on; 0: any free one."""
    threads: int = 4
    """Requests answered at a time."""
    tokens: str | None = None
    """File of API tokens, made by `tandem token add`. None: reading needs no token, and nothing can be written."""
    writable: bool = False
    """Programs with a token for writing may add and delete documents."""
    open_reading: bool = False
    """Reading needs no token although there is a file of tokens."""
    max_body: int = 16
    """MiB that a request with documents may have."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call the API from a browser, for example https://intranet.example."""
    access_log: str | None = None
    """File that gets a line of JSON for each request; "-" is stderr. None: no access log."""
    log_queries: bool = False
    """Write queries into the access log."""
    examples: tuple[str, ...] = ()
    """Queries that the first page offers. None: titles of documents in different languages."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be from 0 to 65535, not {self.port}")
        _at_least("threads", self.threads, 1)
        _at_least("max_body", self.max_body, 1)
        for origin in self.cors_origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"cors_origins must be exact origins such as https://intranet.example:8080, not {origin!r}"
                )


@dataclass(frozen=True, slots=True)
class ElasticsearchSettings:
    """The cluster that an index `es://NAME` stands in.

    Secrets are never settings: TANDEM_ES_API_KEY, or TANDEM_ES_PASSWORD with a user, come from the
    environment. So may the other three, as TANDEM_ES_HOSTS (commas between), TANDEM_ES_USER, TANDEM_ES_CA.
    """

    hosts: tuple[str, ...] = ()
    """URLs of nodes. Empty: TANDEM_ES_HOSTS, or http://127.0.0.1:9200."""
    user: str | None = None
    """User name for basic authentication. None: TANDEM_ES_USER, or no user."""
    ca: str | None = None
    """PEM file of the authority that signed the servers' certificates. None: TANDEM_ES_CA, or the system's own."""
    verify: bool = True
    """Check the servers' certificates. Off, anyone on the way can read and change everything."""
    timeout: float = 30.0
    """Seconds that a search may take before another node is asked; a write may take four times that."""
    retries: int = 3
    """Further nodes, or further attempts, after one that did not answer."""
    shards: int = 1
    """Primary shards of a new index; one holds some 40 million passages of 256 dimensions."""
    replicas: int = 1
    """Copies of each shard on other nodes; without one, a lost node is a lost index."""
    vectors: Literal["hnsw", "int8_hnsw", "int4_hnsw", "bbq_hnsw"] = "int8_hnsw"
    """How a new index quantises vectors. `bbq_hnsw` takes an eighth of the memory of `int8_hnsw`, and finds less."""
    oversample: float = 2.0
    """Candidates whose exact cosine is computed, for each passage wanted."""

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= 3600:
            raise ValueError(
                f"timeout must be above 0 and at most 3600 seconds, not {self.timeout}"
            )
        if not 1 <= self.oversample < 10:
            raise ValueError(f"oversample must be from 1 to below 10, not {self.oversample}")
        for key, least in (("retries", 0), ("shards", 1), ("replicas", 0)):
            _at_least(key, getattr(self, key), least)


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it; each part is a section of the YAML file."""

    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    passages: PassageSettings = field(default_factory=PassageSettings)
    lexical: LexicalSettings = field(default_factory=LexicalSettings)
    dense: DenseSettings = field(default_factory=DenseSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    serve: ServeSettings = field(default_factory=ServeSettings)
    elasticsearch: ElasticsearchSettings = field(default_factory=ElasticsearchSettings)
    fields: Mapping[str, Literal["keyword", "number", "date"]] = field(default_factory=dict)
    """What the documents' own fields hold, by name; the others' kinds are found from their values."""
    threads: int = 0
    """Threads for FAISS, torch and tantivy; 0: one for each core this process may use."""

    def __post_init__(self) -> None:
        _at_least("threads", self.threads, 0)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


def parse(cls: type[T], values: Mapping[str, Any], place: str) -> T:
    """`values` as a `cls`: nested mappings become nested dataclasses, and every value is checked.

    Raises ConfigError naming every wrong key and value at once, with the nearest right key.
    """
    problems: list[str] = []
    result = _parse(cls, values, place, "", problems)
    if problems:
        raise ConfigError("; ".join(problems))
    return typing.cast(T, result)


def _parse(cls: Any, values: Any, place: str, prefix: str, problems: list[str]) -> Any:
    if not isinstance(values, Mapping):
        problems.append(f"{place}: {prefix or 'the file'} must hold settings, not {values!r}")
        return None
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls)]
    arguments = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1, cutoff=0.5)
            cure = f"did you mean {prefix}{near[0]}?" if near else f"known are: {', '.join(names)}"
            problems.append(f"{place}: there is no setting {path}; {cure}")
        else:
            arguments[key] = _checked(hints[key], value, place, path, problems)
    if problems:
        return None
    try:
        return cls(**arguments)
    except TypeError as error:  # a required setting is missing
        problems.append(f"{place}: {prefix}{error}")
    except ValueError as error:  # the dataclass's own __post_init__ refused a value
        problems.append(f"{place}: {prefix}{error}")
    return None


def _checked(hint: Any, value: Any, place: str, path: str, problems: list[str]) -> Any:
    """`value` as `hint` says, ints widened to floats and lists to tuples; a problem otherwise."""
    if dataclasses.is_dataclass(hint):
        return _parse(hint, value, place, f"{path}.", problems)
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in options:
            return None
        inner = [option for option in options if option is not type(None)]
        return _checked(inner[0], value, place, path, problems)
    if origin is Literal:
        if value not in options:
            allowed = ", ".join(map(str, options))
            problems.append(f"{place}: {path} must be one of {allowed}, not {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            problems.append(f"{place}: {path} must be a list, not {value!r}")
            return value
        return tuple(
            _checked(options[0], item, place, f"{path}[{i}]", problems)
            for i, item in enumerate(value)
        )
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            problems.append(f"{place}: {path} must be a mapping, not {value!r}")
            return value
        return {
            key: _checked(options[1], item, place, f"{path}.{key}", problems)
            for key, item in ((_key(key), item) for key, item in value.items())
        }
    if hint is float and isinstance(value, int | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):  # YAML 1.1 takes 1e-3 for a string
            value = float(value)
    if hint is float and isinstance(value, float) and math.isnan(value):
        problems.append(f"{place}: {path} must be a number, not nan")
        return value
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        problems.append(f"{place}: {path} must be {hint.__name__}, not {value!r}")
    return value


def _key(key: Any) -> str:
    """A mapping's key as text. YAML 1.1 reads the language code `no` as false."""
    return "no" if key is False else str(key)
