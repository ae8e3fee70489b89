# What a type checker sees of an installed `tandem`: a module alone cannot carry types (PEP 561).
from collections.abc import Sequence

import click

from configs.errors import (
    BackendError,
    ConfigError,
    DocumentError,
    IndexFolderError,
    MissingExtra,
    TandemError,
)
from configs.settings import Settings
from indexer.build import ChangeReport
from indexer.encoders.opening import open_encoder
from indexer.schema import Document, Encoder, Hit, Part, Passage, Where
from indexer.text.records import Columns
from indexer.text.sources import ReadOptions
from retriever.hits import Hits
from retriever.search_index import SearchIndex
from retriever.search_index import build_index as build
from retriever.search_index import open_index as open

__all__ = [
    "BackendError",
    "ChangeReport",
    "Columns",
    "ConfigError",
    "Document",
    "DocumentError",
    "Encoder",
    "Hit",
    "Hits",
    "IndexFolderError",
    "MissingExtra",
    "Part",
    "Passage",
    "ReadOptions",
    "SearchIndex",
    "Settings",
    "TandemError",
    "Where",
    "build",
    "main",
    "open",
    "open_encoder",
    "tandem",
]

tandem: click.Group

def main(arguments: Sequence[str] | None = None) -> None: ...
