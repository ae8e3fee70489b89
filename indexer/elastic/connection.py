"""A client for a cluster, and what goes wrong with one, told in a sentence with its cure.

Secrets come from the environment and stay inside the client: no message, log line or manifest holds one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from configs.errors import BackendError, ConfigError, MissingExtra
from configs.settings import ElasticsearchSettings

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

__all__ = ["OLDEST", "Cluster", "connect", "explained", "refusal"]

OLDEST = (8, 18)  # the first that computes exact scores of candidates itself (rescore_vector)
_FULL = "flood-stage|disk usage exceeded|no space left"


@dataclass(frozen=True, slots=True)
class Cluster:
    """An open client, and how to name the cluster to a person."""

    client: Elasticsearch
    hosts: str
    settings: ElasticsearchSettings


def connect(settings: ElasticsearchSettings | None = None) -> Cluster:
    """A client for the cluster of the settings and the environment, which is asked for its version.

    Raises ConfigError for settings that cannot be right, and BackendError when no node answers, refuses
    the credentials or is too old.
    """
    settings = settings or ElasticsearchSettings()
    try:
        from elasticsearch import Elasticsearch
    except ImportError:
        raise MissingExtra("elasticsearch", "elastic", "an index in Elasticsearch") from None
    # what the client has to say of nodes that fail is said by the errors it raises
    logging.getLogger("elastic_transport").addHandler(logging.NullHandler())
    hosts = _hosts(settings)
    secure = any(host.startswith("https:") for host in hosts)
    ca = settings.ca or os.environ.get("TANDEM_ES_CA") or None
    if ca is not None and not Path(ca).is_file():
        raise ConfigError(f"{ca}: no such file of certificates (elasticsearch.ca or TANDEM_ES_CA)")
    options: dict[str, Any] = {}
    if secure:
        options = {"verify_certs": settings.verify, "ssl_show_warn": False}
        if ca is not None and settings.verify:
            options["ca_certs"] = ca
    try:
        client = Elasticsearch(
            hosts,
            request_timeout=settings.timeout,
            max_retries=settings.retries,
            retry_on_timeout=True,
            retry_on_status=(429, 502, 503, 504),
            **_credentials(settings),
            **options,
        )
    except ValueError as error:
        raise ConfigError(f"elasticsearch.hosts: {error}") from None
    cluster = Cluster(client, ", ".join(hosts), settings)
    with explained(cluster):
        _refuse_old(cluster)
    return cluster


def _hosts(settings: ElasticsearchSettings) -> list[str]:
    hosts = list(settings.hosts)
    if not hosts:
        given = os.environ.get("TANDEM_ES_HOSTS") or "http://127.0.0.1:9200"
        hosts = [host.strip() for host in given.split(",") if host.strip()]
    found = []
    for host in hosts:
        parts = urlsplit(host)
        if parts.username or parts.password or "@" in host:  # the URL is shown in messages
            raise ConfigError(
                f"elasticsearch.hosts: the URL of {parts.hostname or 'a node'} holds a user or a password; set "
                "elasticsearch.user, and TANDEM_ES_PASSWORD in the environment"
            )
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise ConfigError(
                f"elasticsearch.hosts: {host!r} is not the URL of a node; write it as https://search.example.org:9200"
            )
        # the client wants a port; a URL without one means its scheme's own
        number = port or {"http": 80, "https": 443}[parts.scheme]
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        found.append(f"{parts.scheme}://{name}:{number}{parts.path.rstrip('/')}")
    return found


def _credentials(settings: ElasticsearchSettings) -> dict[str, Any]:
    key, password = os.environ.get("TANDEM_ES_API_KEY"), os.environ.get("TANDEM_ES_PASSWORD")
    user = settings.user or os.environ.get("TANDEM_ES_USER")
    if key:
        return {"api_key": key}
    if user and not password:
        raise ConfigError(
            f"elasticsearch.user is {user}, but there is no password: set TANDEM_ES_PASSWORD in the environment"
        )
    return {"basic_auth": (user, password)} if user and password else {}


def _refuse_old(cluster: Cluster) -> None:
    """BackendError for a server older than `OLDEST`. Where the key may not ask, searches will tell."""
    from elasticsearch import AuthorizationException

    version = ""
    try:
        found = cluster.client.nodes.info(node_id="_local", filter_path="nodes.*.version")
        version = next(iter(found["nodes"].values()))["version"]
    except AuthorizationException:  # what a restricted key may not ask, the other address may tell
        with contextlib.suppress(AuthorizationException):
            version = cluster.client.info()["version"]["number"]
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    if numbers and numbers < OLDEST:
        raise BackendError(
            f"{cluster.hosts}: Elasticsearch {version} is too old; {OLDEST[0]}.{OLDEST[1]} or later is needed "
            "(exact scores of what its vector search finds)"
        )


@contextlib.contextmanager
def explained(cluster: Cluster, name: str = "") -> Iterator[None]:
    """Whatever the client raises, as a BackendError that says what happened to `name` and what to do."""
    import elastic_transport
    from elasticsearch import ApiError, UnsupportedProductError

    try:
        yield
    except UnsupportedProductError:
        raise BackendError(
            f"{cluster.hosts}: what answers there is not Elasticsearch; check elasticsearch.hosts (or TANDEM_ES_HOSTS)"
        ) from None
    except ApiError as error:
        raise BackendError(_refusal(cluster, name, error)) from None
    except elastic_transport.TlsError as error:
        raise BackendError(_tls(cluster, str(error.message))) from None
    except elastic_transport.ConnectionTimeout:
        raise BackendError(
            f"{cluster.hosts}: no answer within {cluster.settings.timeout:g} s; look at the cluster's health, or "
            "raise elasticsearch.timeout"
        ) from None
    except elastic_transport.TransportError as error:
        raise BackendError(
            f"{cluster.hosts}: Elasticsearch cannot be reached ({_short(str(error.message))}); start it, or check "
            "elasticsearch.hosts (or TANDEM_ES_HOSTS)"
        ) from None


def _refusal(cluster: Cluster, name: str, error: Any) -> str:
    status, body = error.meta.status, error.body
    told = body.get("error") if isinstance(body, dict) else None
    cause = told.get("root_cause", [told]) if isinstance(told, dict) else []
    first = cause[0] if cause else (told if isinstance(told, dict) else {})
    kind, reason = (
        str(first.get("type", "")),
        _short(str(first.get("reason", told or error.message))),
    )
    return refusal(cluster, name, status, kind, reason)


def refusal(cluster: Cluster, name: str, status: int, kind: str, reason: str) -> str:
    """What an answer other than 200 means, for a person: `kind` and `reason` are Elasticsearch's own."""
    where = f"es://{name} at {cluster.hosts}" if name else cluster.hosts
    if status == 401:
        return (
            f"{where}: the credentials were refused; set TANDEM_ES_API_KEY, or elasticsearch.user and "
            "TANDEM_ES_PASSWORD"
        )
    if "cluster_block" in kind and re.search(_FULL, reason):
        return (
            f"{where}: a data node's disk is nearly full, so Elasticsearch lets nothing be written (flood-stage "
            "watermark); make room and run this again: what was written is kept"
        )
    if "cluster_block" in kind and status == 403:
        return f"{where}: the index is closed to writes ({reason}); lift that block, then run this again"
    if status == 403:
        return (
            f"{where}: this user may not do that ({reason}); give it the privileges monitor on the cluster, and "
            f"all on {name or 'NAME'} and {name or 'NAME'}-*"
        )
    if status == 404 and kind == "index_not_found_exception":
        return f"{where}: no such index; make one with: tandem index build SOURCE -o es://{name or 'NAME'}"
    if status == 503 or "no_shard_available" in kind or "cluster_block" in kind:
        return (
            f"{where}: the cluster is not ready ({reason or kind}): primary shards are missing or no master is "
            "elected; see GET _cluster/health and GET _cluster/allocation/explain"
        )
    if status == 429:
        return f"{where}: the cluster is overloaded ({reason}); wait and run this again: what was written is kept"
    if status == 413:
        return f"{where}: a request is larger than the cluster takes (http.max_content_length)"
    return f"{where}: Elasticsearch refused with status {status}: {kind}: {reason}"


def _tls(cluster: Cluster, message: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in message or "certificate verify failed" in message:
        return (
            f"{cluster.hosts}: the server's certificate is not trusted ({_short(message)}); set elasticsearch.ca (or "
            "TANDEM_ES_CA) to the PEM file of the authority that signed it"
        )
    return f"{cluster.hosts}: no secure connection ({_short(message)}); is the server one of http:// rather than https://?"


def _short(text: str) -> str:
    return " ".join(text.split())[:300]
