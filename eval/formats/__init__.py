"""Files of judgments, queries and runs, in and out: TREC, BEIR, DaReCzech.

What the package offers stands in `__init__.pyi`; a name is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
