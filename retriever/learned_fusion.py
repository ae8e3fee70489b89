"""The probability that a passage answers a query, from what the signals say: a logistic regression of a few features.

Fitted by `python -m benchmarks.fit_fusion` on judged collections, once for each encoder that ships (`WEIGHTS`); indexes of other encoders
are fused by `CROSSING` where most documents are in other languages than the query, else by `fusion.interleave`. The features depend on the query, the passage and the best passages of the query
alone, so a score does not depend on how many hits were asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError
from indexer.schema import Bounds, Scores, SignalName
from indexer.search.lexical import K1
from retriever.fusion import scaled

__all__ = [
    "CROSSING",
    "FEATURES",
    "WEIGHTS",
    "Probability",
    "Weights",
    "features",
    "learned",
    "named_weights",
    "weights_of",
]

FEATURES: Mapping[str, SignalName | None] = {
    "cosine": "dense",
    "behind": "dense",
    "words": "lexical",
    "words_fourth": "lexical",
    "words_share": "lexical",
    "aligned": "alignment",
    "aligned_across": "alignment",
    "same": None,
    "same_cosine": None,
}
"""Feature -> the signal whose share of a score it makes; None: none's.

    cosine         of the vectors of the query and the passage
    behind         the cosine, less that of the best passage
    words          share of the query's words that stand in the passage, weighed by how rare they are
    words_share    `words`, as a share of the best passage's, or of 0.3 where that has less
    aligned        word alignment, 0 where the index has none
    aligned_across the same in another language than the query may be in, else 0
    same           1 where the passage is in a language that the query may be in, else 0
"""


@dataclass(frozen=True, slots=True)
class Weights:
    """Log-odds of relevance: `intercept`, and what a unit of each of FEATURES adds, in their order."""

    intercept: float
    of: Sequence[float]


WEIGHTS: Mapping[str, Weights] = {
    "accurate": Weights(-6.324, (12.352, 8.354, -1.721, 0.951, 2.677, 2.915, 1.035, 0.872, -5.441)),
    "fast": Weights(-6.414, (8.210, 3.654, -0.902, 0.823, 3.156, 2.274, 4.246, 1.738, -5.739)),
}
"""By the name of the encoder. See docs/evaluation.md for the collections and for what was left out in turn.

Those of `accurate` were fitted before it was trained on translations; fitted anew they rank the demo and MGSM lower. Of the
discount within a language six tenths are kept, since the trained encoder prefers the language of the query less: natural
queries in the language of their answer go from MRR .902 to .969 and AfriQA from nDCG@10 .798 to .817, headlines and ADI lose
.004 and .009, the others stay. The intercept of `fast` is .6 above the fit, which came before `words_share` had its bound:
first hits of .1 to .4 were right a third more often than they said.
"""


CROSSING = Weights(-7.930, (3.543, 1.486, -5.232, 1.533, 5.081, 5.202, 6.364, 0.314, -0.156))
"""For a query that most documents of an index cross, by an encoder that has no weights of its own.

Fitted on the pools of hash, all-MiniLM-L6-v2 and `fast` together. With the encoder and the collection left out, nDCG@10 goes from .124
to .341 (hash) and .170 to .305 (MiniLM) on the demo, .168 to .398 and .249 to .379 on headlines, .115 to .273 and .173 to .286 on
MGSM. Where most documents are in the query's language `fusion.interleave` stays: AfriQA would lose (MiniLM .745 to .709).
"""


def named_weights(weights: Weights) -> dict[str, float]:
    """As the setting `search.fusion.weights` holds them."""
    return {"intercept": weights.intercept, **dict(zip(FEATURES, weights.of, strict=True))}


def weights_of(named: Mapping[str, float], encoder: str) -> Weights | None:
    """Those that the setting names, else those of the encoder; None where it has none.

    Raises ConfigError naming every feature that is missing or unknown.
    """
    if not named:
        return WEIGHTS.get(encoder)
    wanted = {"intercept", *FEATURES}
    if named.keys() != wanted:
        missing, unknown = sorted(wanted - named.keys()), sorted(named.keys() - wanted)
        raise ConfigError(
            f"search.fusion.weights: missing {', '.join(missing) or 'nothing'}, unknown "
            f"{', '.join(unknown) or 'nothing'}; write them with: tandem eval fit"
        )
    return Weights(named["intercept"], [named[name] for name in FEATURES])


@dataclass(frozen=True, slots=True)
class Probability:
    """(n,) each: the probability that a passage answers the query, and the share of each signal; they add up to it."""

    score: Scores
    parts: Mapping[SignalName, Scores]


def features(
    dense: Scores,
    lexical: Scores,
    lexical_bounds: Bounds,
    same: NDArray[np.bool_],
    aligned: Scores | None = None,
) -> NDArray[np.float64]:
    """(n, len(FEATURES)) of the passages of one query's pool, which holds the best of each signal.

    BM25's bound counts a word that is repeated without end; a passage of average length that holds each word once
    gets 1 / (k1 + 1) of it, and counts as 1 here.
    """
    words = np.clip(scaled(lexical, *lexical_bounds) * (K1 + 1.0), 0.0, 1.0)
    best = float(words.max(initial=0.0))  # of a query in another language it may be but an "a"
    words_aligned = np.zeros(len(dense)) if aligned is None else aligned
    columns = {
        "cosine": dense,
        "behind": dense - dense.max(initial=-1.0),
        "words": words,
        "words_fourth": words**4,
        "words_share": words / max(best, _FEW),
        "aligned": words_aligned,
        "aligned_across": np.where(same, 0.0, words_aligned),
        "same": same.astype(np.float64),
        "same_cosine": np.where(same, dense, 0.0),
    }
    return np.stack([columns[name] for name in FEATURES], axis=1)


_FEW = 0.3
"""A share of a query's words that says little, though no passage holds more.

Before it, a passage that held an "a" of a Hungarian question counted as one that holds all that can be found. With it
nDCG@10 of `fast` goes from .475 to .510 (demo), .601 to .627 (headlines) and .476 to .502 (MGSM), that of `accurate` from .787 to
.800, .854 to .857 and .742 to .747; English collections change by .003 at most, but for CACM by `fast` (.519 to .510).
"""


_ALL_WORDS = 0.6
"""How probably a passage answers that holds every word of the query, by that alone.

Judged queries are questions, in which one word more or less means little; a query of one or two words asks for them.
With it nDCG@10 of `fast` goes from .515 to .523 (Cranfield), .761 to .772 (AfriQA), .989 and .910 to .997 and .951 (two
rare words of a document: demo, headlines); demo, CACM, ADI, headlines and MGSM change by .002 at most.
"""


_PLACE = {name: column for column, name in enumerate(FEATURES)}


def _logistic(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-odds)))


def _elsewhere(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """The features of the same passages, were they in a language that the query is not in."""
    moved = found.copy()
    moved[:, _PLACE["same"]] = moved[:, _PLACE["same_cosine"]] = 0.0
    moved[:, _PLACE["aligned_across"]] = moved[:, _PLACE["aligned"]]
    return moved


def learned(found: NDArray[np.float64], weights: Weights) -> Probability:
    """The probability of each row of `features`, and what each signal gave of it, by its part of the evidence.

    The passage answers as the evidence of all signals says, or because it holds all words of the query. Cosines within a
    language are discounted, since they are higher there whatever the texts say; not those of a passage with all words,
    which must not stand below one in another language that is farther in every signal.
    """
    given = found * np.asarray(weights.of)  # (n, features)
    score = _logistic(weights.intercept + given.sum(axis=1))
    held = found[:, _PLACE["words_fourth"]]
    undiscounted = _logistic(weights.intercept + _elsewhere(found) @ np.asarray(weights.of))
    raised = score + held * np.maximum(undiscounted - score, 0.0)
    more = raised - score + (1.0 - raised) * _ALL_WORDS * held
    evidence: dict[SignalName, Scores] = {}
    for column, signal in enumerate(FEATURES.values()):
        if signal is not None:
            evidence[signal] = evidence.get(signal, 0.0) + given[:, column]
    evidence = {signal: np.maximum(values, 0.0) for signal, values in evidence.items()}
    total = np.sum(list(evidence.values()), axis=0)
    evidence["dense"] = np.where(total > 0, evidence["dense"], 1.0)
    total = np.where(total > 0, total, 1.0)
    parts = {name: score * (part / total) for name, part in evidence.items()}
    parts["lexical"] = parts["lexical"] + more
    return Probability(score + more, parts)
