# What this package offers to the others; nothing else of it is imported from outside.
from . import changes
from .build import ChangeReport, add_documents, build_index
from .cluster import ClusterIndex
from .cluster_verify import cluster_info
from .collections import encoder_of, open_collection
from .disk_cache import derived, tensors
from .folder import IndexFolder, read_manifest
from .schema import (
    Bounds,
    Candidates,
    Collection,
    Document,
    Encoder,
    Hit,
    Index,
    Keys,
    Kind,
    Matrix,
    Mode,
    Part,
    Passage,
    Pool,
    Query,
    Ranking,
    Scores,
    SignalName,
    Term,
    TokenEncoder,
    Where,
)
from .threads import cores, faiss, limit
from .vectors import translation_accuracy, unit_rows

__all__ = [
    "Bounds",
    "Candidates",
    "ChangeReport",
    "ClusterIndex",
    "Collection",
    "Document",
    "Encoder",
    "Hit",
    "Index",
    "IndexFolder",
    "Keys",
    "Kind",
    "Matrix",
    "Mode",
    "Part",
    "Passage",
    "Pool",
    "Query",
    "Ranking",
    "Scores",
    "SignalName",
    "Term",
    "TokenEncoder",
    "Where",
    "add_documents",
    "build_index",
    "changes",
    "cluster_info",
    "cores",
    "derived",
    "encoder_of",
    "faiss",
    "limit",
    "open_collection",
    "read_manifest",
    "tensors",
    "translation_accuracy",
    "unit_rows",
]
