"""The shape of the tree: who may import whom, what names are taken, and what --help may load."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parent.parent
BELOW = {
    "configs": set(),
    "indexer": {"configs"},
    "retriever": {"configs", "indexer"},
    "webui": {"configs", "indexer", "retriever"},
    "training": {"configs", "indexer", "retriever"},
    "eval": {"configs", "indexer", "retriever"},
}  # type: dict[str, set[str]]
ROOMS: dict[str, dict[str, set[str]]] = {  # room -> the rooms of the same folder that it may import
    "indexer": {
        "text": set(),
        "storage": set(),
        "encoders": {"text"},
        "search": {"text", "storage", "encoders"},
        "elastic": {"text", "storage"},
    },
    "eval": {"formats": set(), "ranking": {"formats"}, "sentences": set()},
    "training": {
        "data": set(),
        "run": {"data"},
        "models": {"run"},
        "recipes": {"data", "run", "models"},
        "export": {"data", "models"},
    },
}
# What rooms may use of the files beside them; the rest of those files stands above the rooms.
BENEATH = {
    "indexer": {"schema", "threads", "vectors", "disk_cache"},
    "eval": set(),
    "training": set(),
}  # type: dict[str, set[str]]
TAKEN = {
    "types", "io", "json", "logging", "queue", "utils", "helpers", "common", "core", "manager",
}  # fmt: skip
HEAVY = {
    "torch", "faiss", "numpy", "sentence_transformers", "transformers", "flask", "tantivy", "scipy",
    "sklearn", "matplotlib", "elasticsearch", "datasets", "tokenizers", "py3langid", "Stemmer",
    "opencc", "simplemma",
}  # fmt: skip
FILES = [file for folder in BELOW for file in sorted((ROOT / folder).rglob("*.py"))]


def imported(tree: ast.AST) -> set[str]:
    """Every module a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(node.module or "")
    return found


def imports_of(file: Path) -> set[str]:
    """The same, and for `from package import name` also `package.name`, which may be a module."""
    tree = ast.parse(file.read_text("utf-8"))
    names = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return imported(tree) | names


def is_command_file(file: Path) -> bool:
    return file.stem.startswith("cli") or file.stem in ("__main__", "doctor")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_one_way(file: Path) -> None:
    layer = file.relative_to(ROOT).parts[0]
    tree = ast.parse(file.read_text("utf-8"))
    modules = imported(tree)
    ours = {module.partition(".")[0] for module in modules} & {*BELOW, "tandem", "demo", "tests"}
    assert ours <= BELOW[layer] | {layer}
    plain = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert not any(name.partition(".")[0] == "eval" for name in plain), "it would hide the builtin"
    if not is_command_file(file) and layer != "configs":
        assert "configs.load" not in modules, "only command files read settings"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_rooms_import_in_the_directions_stated(file: Path) -> None:
    folder, *rest = file.relative_to(ROOT).parts
    if folder not in ROOMS:
        assert len(rest) == 1, "this folder has no rooms"
        return
    assert len(rest) <= 2, "one level of rooms"
    modules = [module.split(".")[1:] for module in imported(ast.parse(file.read_text("utf-8")))
               if module.partition(".")[0] == folder]  # fmt: skip
    if len(rest) == 2:
        room = rest[0]
        allowed = {room, *ROOMS[folder][room], *BENEATH[folder]}
        assert {module[0] for module in modules if module} <= allowed
    elif file.stem in BENEATH[folder]:
        assert {module[0] for module in modules if module} <= BENEATH[folder]


@pytest.mark.parametrize("folder", BELOW)
def test_no_imports_go_in_a_circle(folder: str) -> None:
    """Imports inside functions count too: they are for what is heavy, not for hiding a circle."""
    files = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts): file
        for file in FILES
        if file.relative_to(ROOT).parts[0] == folder and file.stem != "__init__"
    }
    edges = {name: imports_of(file) & set(files) - {name} for name, file in files.items()}
    while leaves := {name for name, targets in edges.items() if not targets}:
        edges = {name: edges[name] - leaves for name in edges.keys() - leaves}
    assert not edges, f"a circle among {sorted(edges)}"


OFFERS = {  # package -> module, or "." for modules that are offered whole -> names, from __init__.pyi
    ".".join(stub.relative_to(ROOT).parent.parts): {
        node.module or ".": {alias.name for alias in node.names}
        for node in ast.parse(stub.read_text("utf-8")).body
        if isinstance(node, ast.ImportFrom)
    }
    for folder in BELOW
    for stub in sorted((ROOT / folder).rglob("__init__.pyi"))
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_is_imported_from_a_package_but_what_it_offers(file: Path) -> None:
    """A name that another package needs is written into the `__init__.pyi` of its own."""
    here = ".".join(file.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        source = node.module or ""
        package, _, module = source.rpartition(".")
        if source.partition(".")[0] not in BELOW or here in (source, package):
            continue
        names = {alias.name for alias in node.names}
        if source in OFFERS:
            assert names <= set().union(*OFFERS[source].values())
        elif module not in OFFERS[package].get(".", set()):
            offered = OFFERS[package].get(module, set())
            assert names <= offered, f"offer it in {package.replace('.', '/')}/__init__.pyi"


@pytest.mark.parametrize("package", OFFERS)
def test_what_a_package_offers_is_public_where_it_comes_from(package: str) -> None:
    folder = ROOT / package.replace(".", "/")
    names: list[str] = []
    for module, offered in OFFERS[package].items():
        names += offered
        for name in offered if module == "." else ():
            assert (folder / f"{name}.py").is_file()
        if module != ".":
            assert offered <= set(public(folder / f"{module}.py")), module
            modules = {file.stem for file in folder.glob("*.py")}
            assert not offered & modules, "a module of the name would stand in its place"
    assert len(names) == len(set(names))
    assert sorted(public(folder / "__init__.pyi")) == sorted(names)
    if package.partition(".")[0] in ("configs", "indexer", "retriever"):  # others load torch
        loaded = importlib.import_module(package)
        assert sorted(loaded.__all__) == sorted(names)
        assert all(hasattr(loaded, name) for name in names)


def public(file: Path) -> list[str]:
    """The names in a file's `__all__`."""
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def test_every_folder_of_code_is_a_package_that_is_installed() -> None:
    listed = (ROOT / "setup.cfg").read_text("utf-8").partition("packages =")[2].split("\n", 1)[1]
    packages = {line.strip() for line in listed.partition("install_requires")[0].splitlines()}
    folders = {".".join(file.relative_to(ROOT).parent.parts) for file in FILES}
    assert folders == packages - {"", "tandem-stubs"}


def test_no_module_takes_a_name_that_says_nothing_or_hides_another() -> None:
    names = {file.stem for file in FILES} | {p.name for p in ROOT.glob("*/*") if p.is_dir()}
    assert not names & TAKEN


def test_nothing_is_pickled_and_yaml_is_read_safely() -> None:
    for file in FILES:
        text = file.read_text("utf-8")
        assert "pickle" not in imported(ast.parse(text)), file
        assert "yaml.load(" not in text, file
        assert "weights_only=False" not in text, file


WALK = """
import json, sys
from click.testing import CliRunner
import tandem
shown, rows = [[]], []
while shown:
    path = shown.pop()
    result = CliRunner().invoke(tandem.tandem, [*path, "--help"], prog_name="tandem")
    assert result.exit_code == 0, (path, result.output, result.exception)
    rows.append((path, result.output))
    command, context = tandem.tandem, None
    import click
    context = click.Context(command)
    for name in path:
        command = command.get_command(context, name)
    if isinstance(command, click.Group):
        shown += [[*path, name] for name in command.list_commands(context)]
    if len(rows) == 1:
        first = sorted(sys.modules)
print(json.dumps({"rows": rows, "modules": sorted(sys.modules), "first": first}))
"""


@pytest.fixture(scope="module")
def walk() -> dict[str, list[list[str]]]:
    """--help of every command, in a process of its own, and the modules it took."""
    done = subprocess.run(
        [sys.executable, "-c", WALK], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[list[str]]] = json.loads(done.stdout)
    return found


def test_help_loads_nothing_heavy(walk: dict[str, list[str]]) -> None:
    assert not HEAVY & set(walk["modules"])


def test_the_first_help_loads_no_folder_of_ours_but_configs(walk: dict[str, list[str]]) -> None:
    loaded = {module.partition(".")[0] for module in walk["first"]}
    assert not loaded & (set(BELOW) - {"configs"})
    assert "yaml" not in loaded


def test_every_command_has_help_and_an_example(walk: dict[str, list[list[str]]]) -> None:
    paths = {" ".join(path) for path, _ in walk["rows"]}
    assert {"index build", "index add", "index delete", "index info", "search", "serve"} <= paths
    assert {"analyze", "doctor", "eval relevance", "train distill"} <= paths
    for path, text in walk["rows"]:
        usage, _, rest = text.partition("\n\n")
        assert usage.startswith("Usage: tandem"), path
        assert rest.strip().split("\n\n")[0].strip(), f"{path} says nothing"
        assert not rest.lstrip().startswith("Options:"), f"{path} says nothing"
        # a group that only lists its commands shows theirs
        assert "Example" in text or "Commands:" in text, f"{path} shows no example"


def test_every_option_says_what_it_does() -> None:
    import tandem

    waiting: list[tuple[str, click.Command]] = [("tandem", tandem.tandem)]
    silent = []
    while waiting:
        path, command = waiting.pop()
        context = click.Context(command)
        for option in command.params:
            if isinstance(option, click.Option) and not option.help:
                silent.append(f"{path} {option.opts[0]}")
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None, f"{path} {name} is listed but not there"
                waiting.append((f"{path} {name}", inner))
    assert silent == []
