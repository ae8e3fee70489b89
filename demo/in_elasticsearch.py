"""`make demo-es`: the demo in Elasticsearch, in a node that is started for it or in the cluster that is given.

TANDEM_ES_HOSTS names a cluster; without it, a node is started from the build that `make elasticsearch` fetches,
and stopped at the end.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from configs.errors import TandemError
from configs.settings import ElasticsearchSettings
from demo import elasticsearch_node
from demo.searches import documents, show
from indexer.cluster_build import build_in_cluster
from indexer.cluster_verify import cluster_info
from indexer.encoders.opening import open_encoder
from retriever.retriever import Retriever

ADDRESS = "es://tandem-demo"


@contextlib.contextmanager
def cluster() -> Iterator[ElasticsearchSettings]:
    """The cluster of the environment, or a node of its own."""
    if os.environ.get("TANDEM_ES_HOSTS"):
        yield ElasticsearchSettings()
        return
    version = next(iter(elasticsearch_node.JAVA))
    elasticsearch_node.fetch(version)
    click.echo(f"starting Elasticsearch {version}, which takes some 20 seconds", err=True)
    with elasticsearch_node.running(version) as node:
        yield ElasticsearchSettings(hosts=(node.url,), replicas=0)


def main() -> None:
    encoder = open_encoder("accurate")
    with cluster() as settings:
        report = build_in_cluster(
            ADDRESS,
            documents(Path("tandem-demo.rejects.jsonl")),
            encoder,
            settings=settings,
            model="accurate",
            overwrite=True,
        )
        found = cluster_info(ADDRESS, settings)
        click.echo(
            f"{ADDRESS}: {report.documents} documents in {len(found.languages)} languages in Elasticsearch "
            f"{found.version}, {report.seconds:.1f} s"
        )
        show(Retriever.open(ADDRESS, encoder, elasticsearch=settings))


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # `... | head`
        sys.stderr.close()
    except TandemError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
