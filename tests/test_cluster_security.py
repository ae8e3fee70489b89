"""Credentials and certificates: a real server with TLS and users, and a recording one for API keys."""

from __future__ import annotations

import base64
import http.server
import json
import logging
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import BackendError, ConfigError
from configs.settings import ElasticsearchSettings
from demo import elasticsearch_node
from indexer.cluster import ClusterIndex
from indexer.cluster_build import add_to_cluster, build_in_cluster
from indexer.elastic.connection import connect
from indexer.encoders.hash_encoder import HashEncoder
from indexer.schema import Document

PASSWORD = "correct-horse-battery"
HASH = "$2a$04$abcdefghijklmnopqrstuupOWRSKKNe562z1DsLEArFuJDHVyRIMa"  # bcrypt of it
KEY = "c2VjcmV0LWtleS1pZDpzZWNyZXQta2V5LXZhbHVl"
ROLES = """
reader:
  cluster: [monitor]
  indices:
    - names: ["tandem-test-*"]
      privileges: [read, view_index_metadata]
"""
DOCUMENTS = [Document(f"d{n}", f"harvest number{n} near the river", "", "", "en") for n in range(5)]
VARIABLES = ("HOSTS", "USER", "CA", "PASSWORD", "API_KEY")


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A key and a certificate for 127.0.0.1 that signs itself."""
    key, pem = folder / f"{name}.key", folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"]
    command += [f"/CN=tandem-{name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(pem)], check=True, capture_output=True
    )
    return key, pem


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("certificates")
    return {name: certificate(folder, name) for name in ("server", "other")}


@pytest.fixture(scope="module")
def secure(certificates: dict[str, tuple[Path, Path]]) -> Iterator[str]:
    """A node with TLS and two users: `writer`, who may do all, and `reader`."""
    version = next(iter(elasticsearch_node.JAVA))
    if (reason := elasticsearch_node.missing(version)) is not None:
        pytest.skip(reason)
    key, pem = certificates["server"]
    settings = {
        "xpack.security.enabled": True,
        "xpack.security.http.ssl.enabled": True,
        "xpack.security.http.ssl.key": "server.key",
        "xpack.security.http.ssl.certificate": "server.pem",
    }
    files = {
        "server.key": key.read_text(),
        "server.pem": pem.read_text(),
        "users": f"writer:{HASH}\nreader:{HASH}\n",
        "users_roles": "superuser:writer\nreader:reader\n",
        "roles.yml": ROLES,
    }
    with elasticsearch_node.running(
        version, settings=settings, files=files, short_lived=True
    ) as node:
        yield node.url


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"TANDEM_ES_{name}", raising=False)


@pytest.fixture
def ca(certificates: dict[str, tuple[Path, Path]]) -> str:
    return str(certificates["server"][1])


def at(url: str, **options: object) -> ElasticsearchSettings:
    return ElasticsearchSettings(hosts=(url,), replicas=0, retries=0, **options)  # type: ignore[arg-type]


def test_a_user_with_the_right_password_and_authority_builds_and_reads(
    secure: str, ca: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TANDEM_ES_PASSWORD", PASSWORD)
    caplog.set_level(logging.DEBUG)
    settings = at(secure, user="writer", ca=ca)
    build_in_cluster(
        "es://tandem-test-secure", DOCUMENTS, HashEncoder(), settings=settings, overwrite=True
    )
    opened = ClusterIndex.open("es://tandem-test-secure", None, settings)
    assert len(opened) == 5
    note = opened.cluster.client.indices.get(index=opened.index)
    # the client's own log may say "Basic <hidden>": what must not stand there is the credential, in either form
    encoded = base64.b64encode(f"writer:{PASSWORD}".encode()).decode()
    for text in (caplog.text, json.dumps(note.body), repr(settings)):
        assert PASSWORD not in text
        assert encoded not in text
    monkeypatch.setenv("TANDEM_ES_USER", "reader")
    monkeypatch.setenv("TANDEM_ES_CA", ca)
    reading = at(secure)
    assert len(ClusterIndex.open("es://tandem-test-secure", None, reading)) == 5
    more = [Document("more", "bread", "", "", "en")]
    with pytest.raises(BackendError, match=r"this user may not do that.*give it the privileges"):
        add_to_cluster("es://tandem-test-secure", more, settings=reading)
    assert len(ClusterIndex.open("es://tandem-test-secure", None, reading)) == 5


def test_a_wrong_password_is_told_without_it(
    secure: str, ca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_ES_PASSWORD", "wrong-horse")
    with pytest.raises(
        BackendError, match="the credentials were refused; set TANDEM_ES_API_KEY"
    ) as e:
        connect(at(secure, user="writer", ca=ca))
    assert "wrong-horse" not in str(e.value)


def test_no_password_at_all_is_told(secure: str, ca: str) -> None:
    with pytest.raises(BackendError, match="the credentials were refused"):
        connect(at(secure, ca=ca))
    with pytest.raises(ConfigError, match="there is no password: set TANDEM_ES_PASSWORD"):
        connect(at(secure, user="writer", ca=ca))


def test_certificates_are_checked_unless_that_is_switched_off(
    secure: str,
    certificates: dict[str, tuple[Path, Path]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("TANDEM_ES_PASSWORD", PASSWORD)
    for authority in (None, str(certificates["other"][1])):
        with pytest.raises(
            BackendError, match=r"certificate is not trusted.*set elasticsearch\.ca"
        ):
            connect(at(secure, user="writer", ca=authority))
    with pytest.raises(ConfigError, match="no such file of certificates"):
        connect(at(secure, user="writer", ca=str(tmp_path / "none.pem")))
    connect(at(secure, user="writer", verify=False))


def test_the_wrong_scheme_is_told(secure: str) -> None:
    with pytest.raises(BackendError, match="cannot be reached"):
        connect(at(secure.replace("https:", "http:")))
    plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    thread = threading.Thread(target=plain.serve_forever)
    thread.start()
    try:
        with pytest.raises(BackendError, match="is the server one of http:// rather than https://"):
            connect(at(f"https://127.0.0.1:{plain.server_port}"))
    finally:
        plain.shutdown()
        thread.join()
        plain.server_close()


class Recorder(http.server.BaseHTTPRequestHandler):
    """Says that it is Elasticsearch, and keeps the headers it was sent."""

    seen: list[str]
    version = "9.1.0"
    product = "Elasticsearch"

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization", ""))
        body = json.dumps({"nodes": {"x": {"version": self.version}}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.product:
            self.send_header("X-Elastic-Product", self.product)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def recorder(
    certificates: dict[str, tuple[Path, Path]],
) -> Iterator[tuple[str, type[Recorder]]]:
    class Mine(Recorder):
        seen: list[str] = []  # noqa: RUF012

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mine)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    key, pem = certificates["server"]
    context.load_cert_chain(pem, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}", Mine
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_api_key_is_sent_as_its_header_and_wins_over_a_user(
    recorder: tuple[str, type[Recorder]], ca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, server = recorder
    monkeypatch.setenv("TANDEM_ES_API_KEY", KEY)
    monkeypatch.setenv("TANDEM_ES_PASSWORD", PASSWORD)
    connect(at(url, ca=ca, user="writer")).client.close()
    assert server.seen == [f"ApiKey {KEY}"]


def test_a_key_that_the_server_refuses_is_told_without_it(
    secure: str, ca: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_ES_API_KEY", KEY)
    with pytest.raises(BackendError, match="the credentials were refused") as caught:
        connect(at(secure, ca=ca))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("version", ["7.17.9", "8.12.2", "8.17.9"])
def test_a_server_that_is_too_old_is_told(
    version: str, recorder: tuple[str, type[Recorder]], ca: str
) -> None:
    url, server = recorder
    server.version = version
    with pytest.raises(BackendError, match=rf"Elasticsearch {version} is too old; 8\.18 or later"):
        connect(at(url, ca=ca))


def test_a_server_that_is_not_elasticsearch_is_told(
    recorder: tuple[str, type[Recorder]], ca: str
) -> None:
    url, server = recorder
    server.product = ""
    with pytest.raises(BackendError, match="what answers there is not Elasticsearch"):
        connect(at(url, ca=ca))


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("http://writer:hunter2@127.0.0.1:9200", "holds a user or a password"),
        ("127.0.0.1:9200", "is not the URL of a node"),
        ("ftp://127.0.0.1", "is not the URL of a node"),
        ("http://127.0.0.1:port", "is not the URL of a node"),
        ("https://", "is not the URL of a node"),
    ],
)
def test_a_host_that_cannot_be_one_is_refused(host: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        connect(at(host))
    assert "hunter2" not in str(caught.value)


def test_a_host_without_a_port_is_at_its_schemes_own() -> None:
    with pytest.raises(
        BackendError, match=r"http://127\.0\.0\.1:80: Elasticsearch cannot be reached"
    ):
        connect(at("http://127.0.0.1"))


def test_no_secret_is_a_setting_or_stands_in_the_list_of_processes(
    secure: str, ca: str, tmp_path: Path
) -> None:
    source = tmp_path / "notes.jsonl"
    source.write_text("".join(json.dumps({"id": d.id, "text": d.text}) + "\n" for d in DOCUMENTS))
    command = [sys.executable, "-m", "tandem", "index", "build", str(source), "--encoder", "hash"]
    command += ["-o", "es://tandem-test-cli", "--overwrite", "--set", "elasticsearch.replicas=0"]
    given = {"HOSTS": secure, "USER": "writer", "CA": ca, "PASSWORD": PASSWORD}
    root = Path(__file__).resolve().parent.parent
    environment = {f"TANDEM_ES_{name}": value for name, value in given.items()}
    environment |= {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(root), "HOME": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=tmp_path,
    ) as running:  # fmt: skip
        arguments = set()
        while running.poll() is None:
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    arguments.add(process.read_bytes())
                except OSError:
                    continue
        assert running.stdout is not None
        assert running.stderr is not None
        said = running.stdout.read() + running.stderr.read()
    assert running.returncode == 0, said
    assert any(b"tandem-test-cli" in line for line in arguments)
    assert not any(PASSWORD.encode() in line for line in arguments)
    assert PASSWORD not in said
    refused = subprocess.run(
        [*command, "--set", f"elasticsearch.password={PASSWORD}"],
        env=environment, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "there is no setting elasticsearch.password" in refused.stderr
    assert PASSWORD not in refused.stderr
