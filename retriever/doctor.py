"""The command `tandem doctor`: what this machine has, and what to do about what it lacks."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import click

from configs.errors import pip_line
from configs.options import config_options, json_option
from configs.settings import ElasticsearchSettings

__all__ = ["doctor"]

FAISS_PACKAGES = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12", "faiss-gpu-cu11")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `state` is ok, note (works without it) or red (something will not work)."""

    subject: str
    state: str
    found: str
    cure: str = ""


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _python() -> list[Finding]:
    old = sys.version_info < (3, 11)
    cure = "install Python 3.11 or newer" if old else ""
    return [
        Finding(
            "python",
            "red" if old else "ok",
            f"{platform.python_version()} on {platform.platform()}",
            cure,
        )
    ]


def _packages() -> list[Finding]:
    needed = [
        "click",
        "flask",
        "waitress",
        "numpy",
        "PyYAML",
        "tantivy",
        "PyStemmer",
        "py3langid",
        "rank-bm25",
        "tokenizers",
        "safetensors",
        "filelock",
    ]
    found = {name: _version(name) for name in needed}
    missing = [name for name, version in found.items() if version is None]
    present = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    if missing:
        return [
            Finding(
                "packages",
                "red",
                f"missing: {', '.join(missing)}",
                "pip install . (in Tandem's folder)",
            )
        ]
    return [Finding("packages", "ok", present)]


def _faiss() -> list[Finding]:
    installed = [name for name in FAISS_PACKAGES if _version(name)]
    if importlib.util.find_spec("faiss") is None:
        return [Finding("faiss", "red", "not installed", pip_line("cpu"))]
    if (
        len(installed) > 1
    ):  # both are the module faiss: the files of one lie over those of the other
        return [
            Finding(
                "faiss",
                "red",
                f"{' and '.join(installed)} are installed over each other",
                f"pip uninstall {' '.join(installed)}, then {pip_line('cpu')}, or gpu for cpu",
            )
        ]
    import faiss

    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    build = "GPU" if hasattr(faiss, "StandardGpuResources") else "CPU"
    options = faiss.get_compile_options().strip()
    cure = ""
    if not gpus and build == "GPU":
        cure = "no GPU is seen: is the NVIDIA driver installed, and does nvidia-smi list a card?"
    elif not gpus and shutil.which("nvidia-smi"):
        cure = f"to search on the GPU: pip uninstall faiss-cpu, then {pip_line('gpu')}"
    found = f"{faiss.__version__}, {build} build ({options}), {gpus} GPUs"
    return [Finding("faiss", "note" if cure else "ok", found, cure)]


def _torch() -> list[Finding]:
    if importlib.util.find_spec("torch") is None:
        return [
            Finding(
                "torch",
                "note",
                "not installed; neither accurate nor fast needs it",
                f"for other models and for training: {pip_line('models')}",
            )
        ]
    import torch

    cuda = f"{torch.cuda.device_count()} GPUs" if torch.cuda.is_available() else "CPU only"
    transformers = _version("sentence-transformers")
    found = f"{torch.__version__}, {cuda}, sentence-transformers {transformers or 'missing'}"
    if transformers is None:
        return [Finding("torch", "note", found, pip_line("models"))]
    return [Finding("torch", "ok", found)]


def _model(model: str) -> list[Finding]:
    from configs.errors import TandemError
    from indexer.encoders.opening import open_encoder

    try:
        encoder = open_encoder(model)
        vector = encoder.encode(["hello"])
    except TandemError as error:
        return [Finding("encoder", "red", str(error), "name another with --set encoder.model=...")]
    if not vector.any():
        return [
            Finding(
                "encoder",
                "red",
                f"{encoder.name} encodes 'hello' as nothing",
                "reinstall the model's files",
            )
        ]
    return [
        Finding(
            "encoder",
            "ok",
            f"{model}: {encoder.name}, {encoder.dim} dimensions, fingerprint {encoder.fingerprint}",
        )
    ]


def _elasticsearch(settings: ElasticsearchSettings) -> list[Finding]:
    from configs.errors import TandemError
    from indexer.elastic.connection import connect

    if importlib.util.find_spec("elasticsearch") is None:
        found = "client not installed"
        return [Finding("elastic", "note", found, f"for Elasticsearch: {pip_line('elastic')}")]
    client = f"client {_version('elasticsearch')}"
    if not settings.hosts and not os.environ.get("TANDEM_ES_HOSTS"):
        cure = "for an index es://NAME, set TANDEM_ES_HOSTS to the cluster's URLs"
        return [Finding("elastic", "ok", f"{client}, no cluster named", cure)]
    try:
        hosts = connect(settings).hosts
    except TandemError as error:
        return [Finding("elastic", "red", str(error), "see docs/elasticsearch.md")]
    return [Finding("elastic", "ok", f"{client}, {hosts} answers")]


def _room() -> list[Finding]:
    findings = []
    try:
        pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        state = "red" if pages < 0.5 else "ok"
        cure = (
            "close something: an index of a million passages wants about 3 GB to build"
            if state == "red"
            else ""
        )
        findings.append(
            Finding("memory", state, f"{pages:.1f} GiB free, {os.cpu_count()} cores", cure)
        )
    except (ValueError, OSError, AttributeError):
        findings.append(
            Finding("memory", "note", f"free memory unknown here, {os.cpu_count()} cores")
        )
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    state = "red" if free < 1 else "ok"
    cure = (
        "make room: an index takes about 3 KB a passage, and twice that while it is written"
        if state == "red"
        else ""
    )
    findings.append(Finding("disk", state, f"{free:.1f} GiB free in {Path.cwd()}", cure))
    return findings


@click.command(epilog="Example: tandem doctor")
@json_option
@config_options
def doctor(as_json: bool, config: str | None, changes: tuple[str, ...]) -> None:
    """Check versions, FAISS and its GPUs, torch, the encoder, Elasticsearch, memory and disk.

    Exit code 1 when a line is red; each line says what to do.
    """
    from configs.load import load
    from configs.settings import Settings

    settings = load(Settings, config, changes)
    checks: list[Callable[[], list[Finding]]] = [
        _python, _packages, _faiss, _torch, lambda: _model(settings.encoder.model),
        lambda: _elasticsearch(settings.elasticsearch), _room,
    ]  # fmt: skip
    findings = [finding for check in checks for finding in check()]
    if as_json:
        click.echo(
            json.dumps(
                [
                    {"subject": f.subject, "state": f.state, "found": f.found, "cure": f.cure}
                    for f in findings
                ]
            )
        )
    else:
        colours = {"ok": "green", "note": "yellow", "red": "red"}
        for finding in findings:
            mark = click.style(f"{finding.state:<5}", fg=colours[finding.state], bold=True)
            click.echo(f"{mark}{finding.subject:<10}{finding.found}")
            if finding.cure:
                click.echo(f"{'':<15}-> {finding.cure}")
    if any(finding.state == "red" for finding in findings):
        click.get_current_context().exit(1)
