"""Tests of labelled rows: what is read, and how parts are held out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.finetune.rows_common import GOOD, JSON_GOOD, jsonl, pairs, tsv, write
from tinygrad_llm.data import corpora
from tinygrad_llm.finetune.rows import Data, read_data, read_part, shared_texts

# What is read


def test_three_files_are_three_parts(tmp_path):
    train = write(tmp_path, "好球\t体育\n新机\t科技\n再来\t体育\n")
    valid = write(tmp_path, "\ufeff机器\t科技\r\n", "valid.txt")
    test = write(tmp_path, jsonl([{"text": "球", "label": " 体育 "}]), "test.jsonl")
    data = read_data(train, valid, str(test))
    assert data.names == ("体育", "科技")
    assert pairs(data.train) == [("好球", None, 0, 1), ("新机", None, 1, 2), ("再来", None, 0, 3)]
    assert pairs(data.valid) == [("机器", None, 1, 1)]
    assert pairs(data.test) == [("球", None, 0, 1)]
    assert [part.path for part in data[:3]] == [str(train), str(valid), str(test)]
    assert all(part.labels.dtype == np.int64 for part in data[:3])


def test_names_are_in_alphabetical_order_and_whole_numbers_are_names(tmp_path):
    rows = [{"text": "t", "label": label} for label in (10, 2, 1, 2)]
    path = write(tmp_path, jsonl(rows), "rows.jsonl")
    data = read_data(path, path, path)
    assert (data.names, data.train.labels.tolist()) == (("1", "10", "2"), [1, 2, 0, 2])


def test_a_file_of_json_lines_may_be_called_json(tmp_path):
    path = write(tmp_path, JSON_GOOD, "rows.JSON")
    assert read_data(path, path, path).train.texts == ["a", "b"]


def test_pairs_have_second_texts(tmp_path):
    rows = [
        {"text": "a", "text_pair": "b", "label": 0},
        {"text": "c", "text_pair": "d", "label": 1},
    ]
    path = write(tmp_path, jsonl(rows), "rows.jsonl")
    assert pairs(read_data(path, path, path).test) == [("a", "b", 0, 1), ("c", "d", 1, 2)]


def test_numbers_may_be_written_in_many_ways(tmp_path):
    labels = ["1", "-2.5", ".5", "+3.", "1e-3", "2E+2"]
    numbers = [1, -2.5, 0.5, 3, 0.001, 200]
    one = write(tmp_path, tsv(labels))
    other = write(
        tmp_path, jsonl({"text": "t", "label": each} for each in [1, -2.5, "7"]), "b.jsonl"
    )
    data = read_data(one, other, one, task="regression")
    assert data.names == ()
    assert data.train.labels.dtype == np.float32
    assert data.train.labels.tolist() == np.float32(numbers).tolist()
    assert data.valid.labels.tolist() == [1, -2.5, 7]


def test_the_test_part_may_have_one_class_and_one_row(tmp_path):
    data = read_data(*[write(tmp_path, GOOD)] * 2, write(tmp_path, "c\ty\n", "test.tsv"))
    assert data.test.labels.tolist() == [1]


def test_a_part_alone_has_the_classes_of_a_model(tmp_path):
    path = write(tmp_path, "a\tz\nb\tx\n")
    assert read_part(path, "classification", ["x", "y", "z"]).labels.tolist() == [2, 0]
    numbers = write(tmp_path, "a\t1.5\n", "numbers.tsv")
    assert read_part(numbers, "regression", ()).labels.tolist() == [1.5]
    with pytest.raises(ValueError) as caught:
        read_part(path, "classification", ("x", "y"))
    assert str(caught.value) == (
        f"{path}, line 1: the label 'z' is no class of the model ('x', 'y'); correct it, or remove "
        "the row"
    )
    with pytest.raises(ValueError, match="'z' is no class of the model"):
        read_part(path, "classification", ())


def test_a_long_line_is_a_row(tmp_path):
    path = write(tmp_path, GOOD + "好" * 100_000 + "\tx\n" + "word " * 20_000 + "\ty\n")
    data = read_data(path, path, path)
    assert list(map(len, data.train.texts)) == [2, 2, 100_000, 100_000]


def test_data_is_a_tuple_of_parts_and_names(tmp_path):
    path = write(tmp_path, GOOD)
    train, valid, test, names = read_data(path, path, path)
    assert isinstance(read_data(path, path, path), Data) and names == ("x", "y")
    assert pairs(train) == pairs(valid) == pairs(test)


# What is held out


@st.composite
def problems(draw: Any) -> tuple[list[str], int]:
    """Texts of up to five classes, each there with 3 to 30 different ones, some of them often; and
    a seed."""
    sizes = draw(st.lists(st.integers(3, 30), min_size=2, max_size=5))
    rows = [f"{c} of {i}\t{'abcde'[c]}" for c, size in enumerate(sizes) for i in range(size)]
    rows += draw(st.lists(st.sampled_from(rows), max_size=len(rows)))
    rows = draw(st.permutations(rows)) if len(rows) < 25 else rows
    return rows, draw(st.integers(0, 2**32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One that a test may write in again and again."""
    return tmp_path_factory.mktemp("rows")


@settings(max_examples=40)
@given(problems(), st.sampled_from([(), ("valid",), ("test",)]))
def test_every_row_is_in_one_part_and_equal_texts_in_the_same(folder, problem, given_parts):
    rows, seed = problem
    path = write(folder, "\n".join(rows))
    files = {name: write(folder, "n0\ta\nn1\tb\n", f"{name}.tsv") for name in given_parts}
    try:
        data = read_data(path, **files, seed=seed)
    except ValueError as error:
        assert len(rows) < 40 and "are too few to hold parts out of them" in str(error)
        return
    parts = [part for part in data[:3] if part.path == str(path)]
    assert len(parts) == 3 - len(files)
    assert sorted(line for part in parts for line in part.lines) == list(range(1, len(rows) + 1))
    for part in parts:
        assert part.lines == sorted(part.lines)
        written = [f"{text}\t{data.names[c]}" for text, c in zip(part.texts, part.labels)]
        assert written == [rows[line - 1] for line in part.lines]
    texts = [set(part.texts) for part in parts]
    assert sum(map(len, texts)) == len(set.union(*texts))
    assert set(data.train.labels) == set(range(len(data.names)))
    assert shared_texts(data) == {"valid": 0, "test": 0}


@settings(max_examples=30)
@given(st.lists(st.integers(3, 40), min_size=2, max_size=4), st.integers(0, 2**32))
def test_parts_keep_the_shares_of_the_classes(folder, sizes, seed):
    sizes = [size + 10 for size in sizes]
    path = write(folder, tsv([c for c, size in enumerate(sizes) for _ in range(size)]))
    data = read_data(path, seed=seed)
    for part, share in zip(data[:3], (0.8, 0.1, 0.1)):
        counts = np.bincount(part.labels, minlength=len(sizes))
        assert np.abs(counts - share * np.array(sizes)).max() < 1.0


@pytest.mark.parametrize("missing", ["valid", "test"])
def test_of_two_files_a_tenth_is_held_out_for_what_is_missing(tmp_path, missing):
    path = write(tmp_path, tsv("ab" * 100))
    other = write(tmp_path, GOOD.replace("x", "a").replace("y", "b"), "other.tsv")
    data = read_data(path, **{"test" if missing == "valid" else "valid": other})
    held, kept = getattr(data, missing), data.test if missing == "valid" else data.valid
    assert (len(data.train.texts), len(held.texts), kept.texts) == (180, 20, ["a0", "b0"])
    assert (held.path, kept.path) == (str(path), str(other))
    assert np.bincount(held.labels).tolist() == [10, 10]
    whole = read_data(path)
    assert held.lines == getattr(whole, missing).lines  # the same as without the other file


def test_one_file_is_split_by_seed_and_texts_and_not_by_their_order(tmp_path):
    lines = tsv("ab" * 50).splitlines(keepends=True)
    forward = read_data(write(tmp_path, "".join(lines)), seed=1)
    backward = read_data(write(tmp_path, "".join(lines[::-1]), "backward.tsv"), seed=1)
    assert [len(part.texts) for part in forward[:3]] == [80, 10, 10]
    for one, other in zip(forward[:3], backward[:3]):
        assert set(one.texts) == set(other.texts)
    assert read_data(tmp_path / "rows.tsv", seed=2).test.texts != forward.test.texts


def test_texts_that_differ_in_white_space_stay_together(tmp_path):
    texts = [f"a{space}b{i}" for i in range(20) for space in (" ", "  ", "\u3000")]
    rows = [f"{text}\t{'xy'[i % 2]}\n" for i, text in enumerate(texts)]
    data = read_data(write(tmp_path, "".join(rows)))
    found = [{" ".join(text.split()) for text in part.texts} for part in data[:3]]
    assert sum(map(len, found)) == 20


def test_equal_first_texts_with_other_second_ones_are_different_rows(tmp_path):
    rows = [{"text": "a", "text_pair": f"{i}", "label": i % 2} for i in range(20)]
    data = read_data(write(tmp_path, jsonl(rows), "rows.jsonl"))
    assert [len(part.texts) for part in data[:3]] == [16, 2, 2]
    assert [row for part in data[:3] for row in pairs(part) if row[1] != f"{row[3] - 1}"] == []


def test_numbers_are_split_by_chance(tmp_path):
    data = read_data(write(tmp_path, tsv(range(50))), task="regression")
    assert [len(part.texts) for part in data[:3]] == [40, 5, 5]
    assert sorted(np.concatenate([part.labels for part in data[:3]])) == list(range(50))


def test_the_topics_are_split_with_no_text_twice(tmp_path):
    topics = corpora.topics()
    rows = [f"{text}\t{label}\n" for text, label in zip(topics.texts, topics.labels)]
    data = read_data(write(tmp_path, "".join(rows)))
    assert len(data.names) == 6 and list(data.names) == sorted(data.names)
    counts = [Counter(part.labels.tolist()) for part in data[:3]]
    for label in range(6):
        held = [count[label] for count in counts]
        assert abs(held[1] - sum(held) / 10) < 1 and abs(held[2] - sum(held) / 10) < 1


def test_shared_texts_are_counted_by_rows(tmp_path):
    train = write(tmp_path, "a b\tx\nc\ty\nd\ty\n")
    valid = write(tmp_path, "a  b\ty\na b\tx\ne\tx\n", "valid.tsv")
    test = write(tmp_path, "c\ty\n", "test.tsv")
    assert shared_texts(read_data(train, valid, test)) == {"valid": 2, "test": 1}


def test_shared_pairs_are_those_with_both_texts(tmp_path):
    rows = [{"text": "a", "text_pair": each, "label": i % 2} for i, each in enumerate("bcd")]
    train = write(tmp_path, jsonl(rows), "train.jsonl")
    test = write(
        tmp_path, jsonl([*rows[:1], {"text": "a", "text_pair": "e", "label": 0}]), "t.json"
    )
    assert shared_texts(read_data(train, train, test)) == {"valid": 3, "test": 1}
