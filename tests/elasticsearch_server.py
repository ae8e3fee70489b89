"""Which Elasticsearch the tests use: nodes of the versions that were fetched, or a server that is given."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable

from demo import elasticsearch_node

__all__ = ["GIVEN", "VERSIONS", "Server", "forget"]

GIVEN = os.environ.get("TANDEM_TEST_ELASTICSEARCH", "")
VERSIONS = ["given"] if GIVEN else list(elasticsearch_node.JAVA)

Server = Callable[[str], str]
"""The URL of a running server of a version; a skip where there is none."""


def forget(url: str, name: str) -> None:
    """Delete every index whose name begins with `name`."""
    listed = f"{url}/_cat/indices/{name}*?h=index&format=json&expand_wildcards=all"
    with urllib.request.urlopen(listed, timeout=30) as answer:
        found = [entry["index"] for entry in json.load(answer)]
    for index in found:
        request = urllib.request.Request(f"{url}/{index}", method="DELETE")
        urllib.request.urlopen(request, timeout=30).close()
