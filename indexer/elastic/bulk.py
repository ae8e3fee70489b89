"""Bulk writes: in requests of some megabytes, several at a time, again after a pause when the cluster is busy.

An entry's id is a function of its document, so writing one twice changes nothing.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import BackendError
from indexer.elastic.connection import Cluster, explained, refusal

__all__ = ["Entry", "deletion", "entry", "write"]

_BYTES = 5_000_000  # of a request
_PAUSES = 8  # with 0.25, 0.5, 1 ... 32 s: about a minute, in which a lost node is replaced
_BUSY = {429, 503}
_FULL = re.compile("flood-stage|disk usage exceeded")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line or two of a bulk request."""

    id: str
    lines: bytes


def entry(id_: str, values: Mapping[str, Any], vector: NDArray[np.float32] | None = None) -> Entry:
    """An entry to write; `vector` becomes its field of that name."""
    action = json.dumps({"index": {"_id": id_}}, ensure_ascii=False)
    source = json.dumps(values, ensure_ascii=False)
    if vector is not None:  # nine digits are a float32 exactly; json would write seventeen
        numbers = ("%.9g," * len(vector))[:-1] % tuple(vector.tolist())
        source = f'{source[:-1]}, "vector": [{numbers}]}}'
    return Entry(id_, f"{action}\n{source}\n".encode())


def deletion(id_: str) -> Entry:
    return Entry(id_, json.dumps({"delete": {"_id": id_}}, ensure_ascii=False).encode() + b"\n")


def write(cluster: Cluster, name: str, index: str, entries: Iterable[Entry]) -> dict[str, str]:
    """Write entries; the ids that Elasticsearch refused, with its reasons. They alone are not written.

    Raises BackendError when the cluster cannot take them now: what was acknowledged stays written.
    """
    refused: dict[str, str] = {}
    for request in _requests(entries):
        waiting = request
        for attempt in range(_PAUSES + 1):
            waiting, last = _send(cluster, name, index, waiting, refused)
            if not waiting:
                break
            if attempt == _PAUSES:
                raise BackendError(
                    f"es://{name} at {cluster.hosts}: {len(waiting):,} entries were not taken in a minute of trying "
                    f"({last}); look at the cluster's health and run this again: what was written is kept"
                )
            time.sleep(min(32.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.0))
    return refused


def _requests(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    request: list[Entry] = []
    size = 0
    for one in entries:
        if request and size + len(one.lines) > _BYTES:
            yield request
            request, size = [], 0
        request.append(one)
        size += len(one.lines)
    if request:
        yield request


def _send(
    cluster: Cluster, name: str, index: str, request: Sequence[Entry], refused: dict[str, str]
) -> tuple[list[Entry], str]:
    """What must be sent again, and why; what will never be taken goes to `refused`."""
    import elastic_transport
    from elasticsearch import ApiError

    lines: list[Any] = [line for one in request for line in one.lines.splitlines()]
    patience = 4 * cluster.settings.timeout
    client = cluster.client.options(request_timeout=patience, max_retries=0, retry_on_status=())
    with explained(cluster, name):
        try:
            answer = client.bulk(index=index, operations=lines)
        except ApiError as error:
            if error.meta.status not in _BUSY:
                raise
            return list(request), str(error.message)
        except elastic_transport.TlsError:
            raise
        except elastic_transport.ConnectionError as error:
            return list(request), str(error.message)
        except elastic_transport.ConnectionTimeout as error:
            return list(request), str(error.message)
    if not answer["errors"]:
        return [], ""
    again: list[Entry] = []
    last = ""
    for one, item in zip(request, answer["items"], strict=True):
        (result,) = item.values()
        problem = result.get("error")
        if problem is None:  # a deletion of what is not there says 404, and is no error
            continue
        kind, reason = str(problem.get("type", "")), str(problem.get("reason", ""))[:300]
        if "cluster_block" in kind and (_FULL.search(reason) or result["status"] == 403):
            raise BackendError(refusal(cluster, name, result["status"], kind, reason))
        if kind in ("index_not_found_exception", "security_exception"):
            raise BackendError(refusal(cluster, name, result["status"], kind, reason))
        if result["status"] in _BUSY:
            again.append(one)
            last = f"{kind}: {reason}"
        else:
            cause = problem.get("caused_by") or {}
            refused[one.id] = f"{kind}: {cause.get('reason') or reason}"[:300]
    return again, last
