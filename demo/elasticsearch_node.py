"""Elasticsearch nodes on loopback, for the demo, the tests and the benchmarks.

The official builds come from Maven Central with its ordinary client, into a cache folder outside the
repository. They are the server itself (Lucene, the transport, security) without its optional modules.

    python -m demo.elasticsearch_node          fetch and unpack what is missing, print where it is
    python -m demo.elasticsearch_node 9.1.0    the same for one version
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from configs.errors import BackendError

__all__ = ["JAVA", "Node", "fetch", "free_port", "home", "installed", "java_for", "running"]

ARTIFACT = "org.elasticsearch.distribution.integ-test-zip:elasticsearch"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
# Version -> the oldest Java that runs it; the first is started when no version is named.
JAVA = {"8.19.0": 17, "9.1.0": 21}
_START = 180.0  # seconds until a node must answer; 16 to 25 s on two idle cores
_STOP = 30.0  # seconds for an orderly stop before it is killed


# -- fetching --------------------------------------------------------------------------------------


def home() -> Path:
    """The cache folder. Root's own cache is closed to the user that the server must run as."""
    given = os.environ.get("TANDEM_ELASTICSEARCH_HOME")
    if given:
        return Path(given)
    if _is_root():
        return Path("/var/cache/tandem/elasticsearch")
    return (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tandem" / "elasticsearch"
    )


def installed(version: str) -> Path | None:
    """Where this version lies unpacked; None when it was not fetched."""
    folder = home() / f"elasticsearch-{version}"
    return folder if (folder / "bin" / "elasticsearch").is_file() else None


def fetch(version: str) -> Path:
    """The unpacked build of a version; one that is there is kept. BackendError when it cannot be had."""
    if (folder := installed(version)) is not None:
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise BackendError("Maven is not installed: no mvn on the PATH; install the package maven")
    home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home()) as room:
        artifact = f"-Dartifact={ARTIFACT}:{version}:zip"
        command = [maven, "-B", "-q", f"{PLUGIN}:copy", artifact, f"-DoutputDirectory={room}"]
        done = subprocess.run(command, cwd=room, capture_output=True, text=True)
        archives = list(Path(room).glob("*.zip"))
        if done.returncode or not archives:
            lines = [line for line in done.stdout.splitlines() if "ERROR" in line]
            raise BackendError(
                f"Maven could not fetch Elasticsearch {version}: {(lines or ['no reason given'])[0]}"
            )
        _unpack(archives[0], Path(room))
        with contextlib.suppress(FileExistsError):  # fetched by another process meanwhile
            (Path(room) / f"elasticsearch-{version}").rename(home() / f"elasticsearch-{version}")
    return home() / f"elasticsearch-{version}"


def _unpack(archive: Path, folder: Path) -> None:
    """Unzip; Python's own way forgets which files may be run."""
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            target = Path(opened.extract(entry, folder))
            executable = entry.is_dir() or target.parent.name == "bin"
            target.chmod(0o755 if executable else 0o644)


def java_for(version: str) -> Path | None:
    """The home of the oldest Java on this machine that runs a version; None when there is none."""
    found = []
    for folder in _java_homes():
        with contextlib.suppress(OSError):
            release = (folder / "release").read_text("utf-8")
            number = re.search(r'JAVA_VERSION="(\d+)', release)
            if number and int(number[1]) >= JAVA.get(version, 17):
                found.append((int(number[1]), folder))
    return min(found)[1] if found else None


def _java_homes() -> Iterator[Path]:
    for name in ("ES_JAVA_HOME", "JAVA_HOME"):
        if os.environ.get(name):
            yield Path(os.environ[name])
    if program := shutil.which("java"):
        yield Path(program).resolve().parent.parent
    for folder in ("/usr/lib/jvm", "/Library/Java/JavaVirtualMachines"):
        for entry in sorted(Path(folder).glob("*")):
            yield entry / "Contents" / "Home" if (entry / "Contents").is_dir() else entry


# -- running ---------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


class Node:
    """One node in a folder of its own: start, stop, kill, start again. A context manager that starts and stops.

    `settings` are added to elasticsearch.yml, `files` to its folder (PEM files, users). `short_lived`: compile quickly rather
    than well; the start takes 18 seconds of processor time rather than 29, as tests like it.
    """

    def __init__(
        self,
        version: str,
        folder: Path,
        *,
        name: str = "one",
        heap_mb: int = 768,
        short_lived: bool = False,
        settings: Mapping[str, Any] | None = None,
        files: Mapping[str, str] | None = None,
        port: int = 0,
        transport_port: int = 0,
    ) -> None:
        self.version = version
        self.folder = folder
        self.name = name
        self.heap_mb = heap_mb
        self.short_lived = short_lived
        self.port = port or free_port()
        self.transport_port = transport_port or free_port()
        self._settings = dict(settings or {})
        self._files = dict(files or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def scheme(self) -> str:
        return "https" if self._settings.get("xpack.security.http.ssl.enabled") else "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Of its launcher, which leads the session of all its processes; None when it does not run."""
        return None if self._process is None else self._process.pid

    @property
    def output(self) -> Path:
        return self.folder / "output.txt"

    def __enter__(self) -> Node:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, wait: bool = True) -> None:
        """Start the process. BackendError, with what it printed last, when it does not answer in time."""
        build, java = installed(self.version), java_for(self.version)
        if build is None or java is None:
            raise BackendError(missing(self.version) or f"Elasticsearch {self.version} is missing")
        self._write(build)
        options = [f"-Xms{self.heap_mb}m", f"-Xmx{self.heap_mb}m"]
        if self.short_lived:
            options.append("-XX:TieredStopAtLevel=1")
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "ES_JAVA_HOME": str(java),
            "ES_PATH_CONF": str(self.folder / "config"),
            "ES_TMPDIR": str(self.folder / "tmp"),
            "ES_JAVA_OPTS": " ".join(options),
        }
        user = "nobody" if _is_root() else None  # the server refuses to run as root
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*_dying_with_parent(), str(build / "bin" / "elasticsearch")],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=user,
                extra_groups=[] if user else None,
                start_new_session=True,
            )
        if wait:
            try:
                self.wait()
            except BaseException:
                self.kill()
                raise

    def wait(self, seconds: float = _START) -> None:
        """Until it answers with a status other than 503. BackendError when it does not."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._process is not None and self._process.poll() is not None:
                raise BackendError(
                    f"Elasticsearch {self.version} ended at its start: {self._said()}"
                )
            if self._answers():
                return
            time.sleep(0.25)
        raise BackendError(
            f"Elasticsearch {self.version} did not answer within {seconds:.0f} s: {self._said()}"
        )

    def _answers(self) -> bool:
        context = ssl._create_unverified_context() if self.scheme == "https" else None
        try:
            with urllib.request.urlopen(f"{self.url}/_cluster/health", timeout=5, context=context):
                return True
        except urllib.error.HTTPError as error:
            return error.code == 401  # it answers, to those with a password
        except OSError:
            return False

    def stop(self) -> None:
        """An orderly stop; killed when it takes too long. Nothing when it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the launcher and the server, both of one session that is theirs alone."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _write(self, build: Path) -> None:
        config = self.folder / "config"
        for folder in (self.folder / "data", self.folder / "logs", self.folder / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        if not config.is_dir():
            shutil.copytree(build / "config", config)
        options = (build / "config" / "jvm.options").read_text("utf-8").splitlines()
        kept = [o for o in options if not re.search(r"gc\.log|HeapDumpPath|ErrorFile", o)]
        (config / "jvm.options").write_text("\n".join(kept) + "\n", "utf-8")
        settings = {
            "cluster.name": "tandem",
            "node.name": self.name,
            "path.data": str(self.folder / "data"),
            "path.logs": str(self.folder / "logs"),
            "http.host": "127.0.0.1",
            "http.port": self.port,
            "transport.host": "127.0.0.1",
            "transport.port": self.transport_port,
            "discovery.type": "single-node",
            "xpack.security.enabled": False,
            # a nearly full disk must not stop the tests
            "cluster.routing.allocation.disk.threshold_enabled": False,
            **self._settings,
        }
        if "discovery.seed_hosts" in settings:
            del settings["discovery.type"]
        lines = [f"{key}: {json.dumps(value)}" for key, value in settings.items()]
        (config / "elasticsearch.yml").write_text("\n".join(lines) + "\n", "utf-8")
        for name, text in self._files.items():
            (config / name).write_text(text, "utf-8")
        if _is_root():
            for path in (self.folder, *self.folder.rglob("*")):
                shutil.chown(path, "nobody")

    def _said(self) -> str:
        lines = self.output.read_text("utf-8", "replace").splitlines()
        told = [line for line in lines if "exception" in line and not line.startswith("\tat ")]
        return (told[:1] or lines[-1:] or ["it printed nothing"])[0].strip()[:400]


def _dying_with_parent() -> list[str]:
    """Before a command on Linux: the process is killed when the one that started it is killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv and sys.platform == "linux" else []


def missing(version: str) -> str | None:
    """Why a node of this version cannot be started here, with the cure; None when it can."""
    if installed(version) is None:
        return f"Elasticsearch {version} is not here: run `make elasticsearch`"
    if java_for(version) is None:
        return f"no Java {JAVA[version]} or later for Elasticsearch {version}: install one, or set ES_JAVA_HOME"
    return None


@contextlib.contextmanager
def running(version: str, **options: Any) -> Iterator[Node]:
    """A node in a temporary folder, stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="tandem-node-", ignore_cleanup_errors=True) as room:
        Path(room).chmod(0o755)
        folder = Path(room) / "node"
        folder.mkdir()
        with Node(version, folder, **options) as node:
            yield node


def main(arguments: Sequence[str]) -> int:
    """Fetch each version named, or all; 1 when one could not be had."""
    wrong = 0
    for version in arguments or JAVA:
        try:
            folder = fetch(version)
        except BackendError as error:
            click.echo(f"Elasticsearch {version}: {error}", err=True)
            wrong = 1
            continue
        java = java_for(version)
        click.echo(f"Elasticsearch {version}: {folder} (Java: {java or missing(version)})")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
