"""Graded pairs: reading them, correlations worked out by hand, the same pairs across languages."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from configs.errors import DocumentError
from eval.sentences.sts import Graded, across, correlation, cosines, joined, read_graded
from eval.sentences.tables import Row, labels, numbers, read_rows, stem


def test_spearman_and_pearson_worked_out_by_hand() -> None:
    # ranks 1 2 3 4 against 1 3 2 4: 1 - 6 * 2 / (4 * 15) = 0.8
    found = correlation("four", [0.1, 0.2, 0.3, 0.4], [1.0, 3.0, 2.0, 4.0])
    assert found.spearman == pytest.approx(0.8)
    # deviations (-1.5, -.5, .5, 1.5) and (-1.5, .5, -.5, 1.5): 4 / 5
    assert found.pearson == pytest.approx(0.8)
    assert (found.name, found.pairs) == ("four", 4)


def test_equal_grades_share_their_mean_rank() -> None:
    # ranks 1 2 3 against 1.5 1.5 3: covariance 1.5, variances 2 and 1.5
    found = correlation("ties", [0.1, 0.2, 0.3], [0.0, 0.0, 5.0])
    assert found.spearman == pytest.approx(1.5 / (2 * 1.5) ** 0.5)


def test_an_encoder_that_tells_nothing_apart_is_said_so() -> None:
    with pytest.raises(DocumentError, match="every similarity is the same"):
        correlation("flat", [0.5, 0.5, 0.5], [1.0, 2.0, 3.0])


def test_cosines_are_of_rows_with_the_same_number() -> None:
    one = np.array([[1, 0], [0, 1], [0, 0]], dtype=np.float32)
    other = np.array([[0.6, 0.8], [0.6, 0.8], [1, 0]], dtype=np.float32)
    assert cosines(one, other) == pytest.approx([0.6, 0.8, 0.0])


def test_across_takes_one_side_of_each_language() -> None:
    cs = Graded("cs", ("pes", "kočka"), ("psi", "kočky"), (5.0, 4.0))
    en = Graded("en", ("dog", "cat"), ("dogs", "cats"), (5.0, 4.0))
    both = across(cs, en)
    assert both == Graded("cs x en", ("pes", "kočka"), ("dogs", "cats"), (5.0, 4.0))
    assert joined([cs, en]).grades == (5.0, 4.0, 5.0, 4.0)
    with pytest.raises(DocumentError, match="differ at row 2: grades 4 and 3"):
        across(cs, Graded("en", en.first, en.second, (5.0, 3.0)))
    with pytest.raises(DocumentError, match="cs has 2 pairs and en 1"):
        across(cs, Graded("en", ("dog",), ("dogs",), (5.0,)))


def test_tsv_json_lines_and_compressed_files_give_the_same(tmp_path: Path) -> None:
    plain = tmp_path / "sts.tsv"
    plain.write_text("pes\tpsi\t4.5\nkočka\tauto\t0\n", "utf-8")
    packed = tmp_path / "sts.jsonl.gz"
    records = [
        {"i": 0, "s1": "pes", "s2": "psi", "score": 4.5},
        {"i": 1, "s1": "kočka", "s2": "auto", "score": 0},
    ]
    packed.write_bytes(gzip.compress("\n".join(map(json.dumps, records)).encode()))
    expected = Graded("sts", ("pes", "kočka"), ("psi", "auto"), (4.5, 0.0))
    assert read_graded(str(plain)) == expected
    assert read_graded(str(packed)) == expected


def test_columns_are_chosen_by_number_or_by_name(tmp_path: Path) -> None:
    file = tmp_path / "sts.csv"
    file.write_text("4\t-\tpes\tpsi\n1\t-\tpes\tauto\n", "utf-8")
    assert read_graded(str(file), ["3", "4", "1"]).grades == (4.0, 1.0)
    file.write_text("grade\ta\tb\n4\tpes\tpsi\n1\tpes\tauto\n", "utf-8")
    assert read_graded(str(file), ["a", "b", "grade"]).second == ("psi", "auto")
    with pytest.raises(DocumentError, match="no column named c; the first line has: grade, a, b"):
        read_graded(str(file), ["a", "c", "grade"])
    with pytest.raises(DocumentError, match="3 columns are needed: s1, s2, score"):
        read_graded(str(file), ["a", "b"])
    with pytest.raises(DocumentError, match="count from 1"):
        read_graded(str(file), ["0", "1", "2"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("pes\tpsi\n", r"\.tsv:1: 3 columns .* here are 2"),
        ("pes\tpsi\t4\n\t psi\t4\n", r"\.tsv:2: no text in s1"),
        ("pes\tpsi\tfour\npes\tpsi\t4\n", r"\.tsv:1: the grade must be a number, not 'four'"),
        ("pes\tpsi\tnan\npes\tpsi\t4\n", r"\.tsv:1: the grade must be a number, not 'nan'"),
        ('{"s1": "pes", "s2": "psi", "score": 1}\n', "looks like JSON lines: name the file .jsonl"),
        ("pes,psi,4\n", "looks like CSV"),
        ("pes\tpsi\t4\npes\tauto\t4\n", "every grade is 4"),
    ],
)
def test_faulty_files_are_refused_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "sts.tsv"
    file.write_text(text, "utf-8")
    with pytest.raises(DocumentError, match=message):
        read_graded(str(file))


def test_faulty_lines_are_told_together_and_the_rest_counted(tmp_path: Path) -> None:
    file = tmp_path / "sts.tsv"
    file.write_text("a\n" * 10, "utf-8")
    with pytest.raises(DocumentError, match=r":1: .*:2: .*:3: .*; and 7 more such lines"):
        read_graded(str(file))


def test_faulty_json_is_refused_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "sts.jsonl"
    file.write_text('{"s1": "a", "s2": "b"}\n', "utf-8")
    with pytest.raises(DocumentError, match=r"jsonl:1: no score; the line has: s1, s2"):
        read_graded(str(file))
    file.write_text("a\tb\t1\n", "utf-8")
    with pytest.raises(DocumentError, match=r"jsonl:1: no JSON: .*looks like TSV"):
        read_graded(str(file))
    file.write_text("[1]\n", "utf-8")
    with pytest.raises(DocumentError, match="a JSON object is needed"):
        read_graded(str(file))


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"gone\.tsv: cannot be read"):
        read_rows(tmp_path / "gone.tsv", ("text",))
    file = tmp_path / "latin.tsv"
    file.write_bytes("dobrý\ncaf\xe9\n".encode("latin-1"))
    with pytest.raises(DocumentError, match=r"latin\.tsv:1: no UTF-8 at byte 4"):
        read_rows(file, ("text",))
    broken = tmp_path / "broken.tsv.gz"
    broken.write_bytes(gzip.compress(b"a\n" * 1000)[:20])
    with pytest.raises(DocumentError, match=r"broken\.tsv\.gz: cannot be read"):
        read_rows(broken, ("text",))


def test_labels_are_nought_or_one() -> None:
    rows = [Row(("a", "1"), 1), Row(("b", "0.0"), 2), Row(("c", "2"), 3)]
    assert labels("x.tsv", rows[:2], 1) == [True, False]
    with pytest.raises(DocumentError, match=r"x\.tsv:3: the label must be 0 or 1, not '2'"):
        labels("x.tsv", rows, 1)
    assert numbers("x.tsv", rows, 1, "the label") == [1.0, 0.0, 2.0]


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "w.tsv"
    file.write_bytes("\ufeffa\tb\r\n\r\nc\td\r\n".encode())
    assert read_rows(file, ("x", "y")) == [Row(("a", "b"), 1), Row(("c", "d"), 3)]
    assert stem("x/stsb.de.test.jsonl.gz") == "stsb.de.test"
