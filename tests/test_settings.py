"""Settings: YAML and --set to dataclasses, every wrong key and value told at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from configs.load import load, names
from configs.settings import (
    DenseSettings,
    FusionSettings,
    PassageSettings,
    SearchSettings,
    Settings,
    parse,
)


def test_without_a_file_and_changes_every_setting_has_its_default() -> None:
    assert load(Settings) == Settings()
    assert Settings().search.fusion.method == "learned"


def test_a_yaml_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("search:\n  k: 3\n  fusion: {method: rrf}\nthreads: 2\n", "utf-8")
    settings = load(Settings, str(file))
    assert (settings.search.k, settings.search.fusion.method, settings.threads) == (3, "rrf", 2)
    assert settings.passages == PassageSettings()


def test_a_change_on_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("search: {k: 3, pool: 50}\n", "utf-8")
    settings = load(Settings, str(file), ["search.k=7"])
    assert (settings.search.k, settings.search.pool) == (7, 50)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("# nothing\n", "utf-8")
    assert load(Settings, str(file)) == Settings()


@pytest.mark.parametrize(
    ("change", "cure"),
    [
        ("search.kk=3", "did you mean search.k?"),
        ("serach.k=3", "did you mean search?"),
        ("search.fusion.lexical_wieght=0.1", "did you mean search.fusion.lexical_weight?"),
        ("dense.zzz=1", "known are: factory, probes"),
    ],
)
def test_an_unknown_setting_is_told_with_the_nearest_right_key(change: str, cure: str) -> None:
    with pytest.raises(ConfigError, match="there is no setting") as caught:
        load(Settings, None, [change])
    assert cure in str(caught.value)
    assert change.partition("=")[0].split(".")[0] in str(caught.value)


def test_every_wrong_setting_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load(Settings, None, ["search.kk=3", "passages.size=long", "search.fusion.method=best"])
    message = str(caught.value)
    assert "search.kk" in message
    assert "passages.size must be int, not 'long'" in message
    assert "search.fusion.method must be one of learned, interleave, convex, rrf" in message


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("passages.size=0", "passages.size must be at least 16, not 0"),
        ("passages.overlap=-1", "passages.overlap must be at least 0, not -1"),
        ("search.k=0", "search.k must be at least 1, not 0"),
        ("search.pool=0", "search.pool must be at least 1, not 0"),
        ("search.k=true", "search.k must be int, not True"),
        ("search.k=2.5", "search.k must be int, not 2.5"),
        ("search.fusion.lexical_weight=1.5", "lexical_weight must lie between 0 and 1, not 1.5"),
        ("search.fusion.lexical_weight=.nan", "lexical_weight must be a number, not nan"),
        ("search.fusion.language_weights={cs: 2}", "language_weights.cs must lie between 0 and 1"),
        ("search.fusion.rrf_k=-61", "search.fusion.rrf_k must be at least 0, not -61"),
        ("lexical.word_weight=-1", "word_weight must be from 0 to 100, not -1.0"),
        ("lexical.backend=lucene", "lexical.backend must be one of tantivy, rank_bm25"),
        ("dense.probes=-1", "dense.probes must be at least 0"),
        ("encoder.batch_size=0", "encoder.batch_size must be at least 1"),
        ("serve.port=99999", "serve.port must be from 0 to 65535"),
        ("threads=-2", "threads must be at least 0"),
        ("search=3", "must hold settings, not 3"),
        ("search.k", "write it as key=value"),
        ("search.fusion.language_weights={", "the value is no YAML"),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_with_its_full_name(change: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(Settings, None, [change])
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ("encoder.query_prompt=query: ", "query_prompt", "query: "),  # E5's; YAML would say {query: None}
        ("encoder.query_prompt='query: '", "query_prompt", "query: "),
        ("encoder.model=0123", "model", "0123"),
        ("encoder.model=a=b", "model", "a=b"),
        ("encoder.query_prompt=null", "query_prompt", None),
        ("encoder.query_prompt=", "query_prompt", None),
        ("encoder.query_prompt=''", "query_prompt", ""),
        ("encoder.batch_size=8", "batch_size", 8),
    ],
)  # fmt: skip
def test_a_text_setting_is_taken_as_it_stands(change: str, key: str, value: Any) -> None:
    assert getattr(load(Settings, None, [change]).encoder, key) == value


def test_numbers_are_widened_to_floats_also_where_yaml_sees_text() -> None:
    settings = load(Settings, None, ["lexical.word_weight=1", "search.fusion.lexical_weight=1e-1"])
    assert settings.lexical.word_weight == 1.0
    assert settings.search.fusion.lexical_weight == 0.1
    assert isinstance(settings.lexical.word_weight, float)


def test_a_mapping_keeps_its_keys_and_norwegian_is_no_boolean() -> None:
    change = "search.fusion.language_weights={cs: 0.2, no: 0.3}"
    weights = load(Settings, None, [change]).search.fusion.language_weights
    assert weights == {"cs": 0.2, "no": 0.3}


def test_a_configuration_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file, and no configuration of that name"):
        load(Settings, "nowhere")
    with pytest.raises(ConfigError, match="a folder; name a YAML file in it"):
        load(Settings, str(tmp_path))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"search: [", "no valid YAML"),
        (b"- a\n- b\n", "settings are expected, not list"),
        (b"\xff\xfe", "cannot be read"),
        (b"search:\n", "search. must hold settings, not None"),
        (b"a: !!python/object/apply:os.system ['true']\n", "no valid YAML"),
    ],
)
def test_a_file_that_is_no_settings_is_told_by_name(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(Settings, str(file))
    assert problem in str(caught.value)
    assert "wrong.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_configuration_that_ships_can_be_named() -> None:
    assert names() == sorted(names())


def test_every_setting_has_a_meaning() -> None:
    """A field without a docstring under it would show up in no documentation."""
    import ast
    import inspect

    import configs.settings

    tree = ast.parse(inspect.getsource(configs.settings))
    missing = []
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or node.name == "Settings":
            continue
        for field, after in zip(node.body, [*node.body[1:], None], strict=True):
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and not documented:
                name = field.target.id if isinstance(field.target, ast.Name) else "?"
                missing.append(f"{node.name}.{name}")
    assert missing == []


def test_settings_cannot_be_changed_once_made() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SearchSettings().k = 3  # type: ignore[misc]


def test_parse_takes_any_dataclass() -> None:
    assert parse(DenseSettings, {"factory": "Flat"}, "here") == DenseSettings("Flat")
    assert parse(FusionSettings, {}, "here") == FusionSettings()
