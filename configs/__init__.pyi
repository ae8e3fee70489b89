# What this package offers to the others; nothing else of it is imported from outside.
from . import load
from .errors import (
    BackendError,
    ConfigError,
    DocumentError,
    IndexFolderError,
    IndexLocked,
    MissingExtra,
    TandemError,
    pip_line,
)
from .lazy import LazyGroup
from .options import config_options, index_option, json_option
from .progress import Advance, Bar, no_bar, progress_bar, progress_over, progress_to
from .settings import (
    AUTO,
    DenseSettings,
    ElasticsearchSettings,
    EncoderSettings,
    FusionSettings,
    LexicalSettings,
    PassageSettings,
    SearchSettings,
    Settings,
    parse,
)
from .tables import in_cell, markdown_table, plain_table
from .training import (
    AlarmSettings,
    ContrastiveSettings,
    DistillSettings,
    HeldOutSettings,
    RelevanceSettings,
    RetromaeSettings,
    RunSettings,
    StudentSettings,
    TextSettings,
)
from .training_corpora import CorporaSettings, CorpusSettings
from .training_static import StaticSettings, TokenizerSettings

__all__ = [
    "AUTO",
    "Advance",
    "AlarmSettings",
    "BackendError",
    "Bar",
    "ConfigError",
    "ContrastiveSettings",
    "CorporaSettings",
    "CorpusSettings",
    "DenseSettings",
    "DistillSettings",
    "DocumentError",
    "ElasticsearchSettings",
    "EncoderSettings",
    "FusionSettings",
    "HeldOutSettings",
    "IndexFolderError",
    "IndexLocked",
    "LazyGroup",
    "LexicalSettings",
    "MissingExtra",
    "PassageSettings",
    "RelevanceSettings",
    "RetromaeSettings",
    "RunSettings",
    "SearchSettings",
    "Settings",
    "StaticSettings",
    "StudentSettings",
    "TandemError",
    "TextSettings",
    "TokenizerSettings",
    "config_options",
    "in_cell",
    "index_option",
    "json_option",
    "load",
    "markdown_table",
    "no_bar",
    "parse",
    "pip_line",
    "plain_table",
    "progress_bar",
    "progress_over",
    "progress_to",
]
