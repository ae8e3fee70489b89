"""How much a word says, as the static student learned it: the length of its vector.

A word that tells texts apart has a long vector, "the" and "je" have short ones, in every language that the student
knows: so an index of ten documents knows a stop word from a name, and a stop word of a language that is a tenth of a
collection is no rare word. The words of a query weigh by it, whatever encoder the index has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexer.encoders.static_encoder import StaticEncoder
from indexer.encoders.token_vectors import aligner
from indexer.schema import Encoder

__all__ = ["WordWeights"]

# Length over the median length of a token, at most 1, to this power. nDCG@10 by words alone, and by both with the
# static student, for a power of 0 (every word counts the same), 0.5, 1, and this one:
#
#                   words                      both
#     demo          .130 .148 .168 .169        .434 .459 .464 .465
#     Cranfield     .516 .528 .526 .527        .527 .526 .531 .531
#     CACM          .457 .483 .508 .510        .476 .488 .496 .500
#     ADI           .477 .493 .523 .523        .502 .517 .530 .532
#     NTREX-128     .043 .061 .083 .094        .574 .577 .579 .581
#     AfriQA        .742 .758 .760 .764        .765 .767 .763 .763
#     headlines     .212 .242 .258 .266        .512 .525 .528 .530
#     MGSM          .162 .187 .203 .207        .446 .449 .451 .451
_POWER = 1.25
_SAMPLED = 4096  # tokens of the table whose median is taken
_REMEMBERED = 100_000


class WordWeights:
    """How much each word says: from 0, nothing, to 1; 1 too for a word that the student cannot read."""

    def __init__(self, encoder: Encoder | None = None) -> None:
        """`encoder`: that of the index; where it is the student in the package, that is not opened twice."""
        self._encoder = encoder
        self._opened: tuple[StaticEncoder, float] | None = None
        self._known: dict[str, float] = {}

    def __call__(self, words: Sequence[str]) -> list[float]:
        known = self._known
        missing = list({word for word in words if word not in known})
        if missing:
            if self._opened is None:
                student = aligner(self._encoder)
                if student is None:  # an installation without one
                    return [1.0] * len(words)
                self._opened = student, student.median_length(_SAMPLED)
            student, median = self._opened
            lengths = np.linalg.norm(student.sums(missing), axis=1) / median
            weights = np.where(lengths > 0, np.minimum(lengths, 1.0) ** _POWER, 1.0)
            if len(known) > _REMEMBERED:  # not cleared: another thread may be reading
                self._known = known = {word: known[word] for word in words if word in known}
            known.update(zip(missing, weights.tolist(), strict=True))
        return [known[word] for word in words]
