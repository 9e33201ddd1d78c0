"""Tests of cleaning: what is bad is found and counted, what is good stays."""

from __future__ import annotations

import math
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data import clean

TEXTS = st.lists(
    st.text(st.sampled_from("ae \t\u0301é\u3000\x07\x0b\ufeff\ufffd\ud800好"), max_size=4),
    max_size=12,
)


def key(text):
    """What makes two texts the same."""
    return " ".join(unicodedata.normalize("NFC", text).split())


@given(TEXTS, st.data())
def test_each_row_is_kept_or_has_one_reason(texts, data):
    labels = data.draw(st.lists(st.sampled_from("xy"), min_size=len(texts), max_size=len(texts)))
    cleaned = clean(texts, labels)
    report = cleaned.report
    parts = [cleaned.kept, report.broken, report.empty, report.conflicting, report.duplicate]
    assert sorted(np.concatenate(parts)) == list(range(len(texts)))
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts)
    keys = [key(text) for text in cleaned.texts]
    assert all(keys) and len(set(keys)) == len(keys)
    assert not set("".join(cleaned.texts)) & set("\x07\x0b\ufeff\ufffd\ud800")
    assert cleaned.labels == [labels[i] for i in cleaned.kept]


@given(TEXTS)
def test_cleaning_twice_changes_nothing_more(texts):
    once = clean(texts)
    again = clean(once.texts)
    assert once.labels is None and again.texts == once.texts
    assert again.kept.tolist() == list(range(len(once.texts)))


def test_planted_rows_are_found_and_no_good_one_is_lost():
    good = [f"第 {i} 句话, sentence {i}" for i in range(200)]
    noise = [f"\u3000{text.replace(' ', '  ')}\n" for text in good[:40]]
    noise += ["", " \t", "\x00\x07", "缺\ufffd字", "\ud83d alone", *good[50:55]]
    order = np.random.default_rng(0).permutation(250)
    texts = [(good + noise)[i] for i in order]
    cleaned = clean(texts)
    assert {key(text) for text in cleaned.texts} == set(good)
    assert len(cleaned.texts) == 200
    counts = [cleaned.report.broken, cleaned.report.empty, cleaned.report.duplicate]
    assert [len(rows) for rows in counts] == [2, 3, 45]


def test_the_first_of_the_same_texts_stays_as_it_was_given():
    cleaned = clean(["e\u0301  a", "é a", "b", " é\na "], ["x", "x", "x", "x"])
    assert (cleaned.texts, cleaned.kept.tolist()) == (["e\u0301  a", "b"], [0, 2])
    assert cleaned.report.duplicate.tolist() == [1, 3]


def test_a_text_with_two_labels_loses_all_its_rows():
    cleaned = clean(["a", "b", "a ", "a", "c"], [0, 1, 1, 0, np.int64(0)])
    assert (cleaned.texts, cleaned.labels) == (["b", "c"], [1, 0])
    assert cleaned.report.conflicting.tolist() == [0, 2, 3]
    assert not len(cleaned.report.duplicate)


def test_a_broken_row_makes_no_duplicate_or_contradiction():
    cleaned = clean(["a\ufffd", "a\ufffd", "", " "], [0, 1, 0, 1])
    assert cleaned.report.broken.tolist() == [0, 1] and cleaned.report.empty.tolist() == [2, 3]


def test_control_characters_are_stripped_and_part_words_where_they_did():
    texts = ["a\x07b", "c\x0bd", "\ufeffe", "f\tg\nh\r", "i\x9fj", "👩\u200d👧"]
    cleaned = clean(texts)
    assert cleaned.texts == ["ab", "c d", "e", "f\tg\nh\r", "ij", "👩\u200d👧"]
    assert cleaned.report.stripped.tolist() == [0, 1, 2, 4]


def test_the_report_reads_well():
    texts = [f"text {i % 1000}" for i in range(1060)] + ["", " ", "a\ufffd", "x\x07"]
    labels = [i % 2 for i in range(1060)] + [0] * 4
    labels[1003] = 0
    assert str(clean(texts, labels).report).split("\n") == [
        "1064 rows: 1000 kept, 64 removed",
        "removed                         rows  row numbers (from 0)",
        "  broken encoding                  1  1062",
        "  empty                            2  1060, 1061",
        "  same text, other labels          2  3, 1003",
        "  duplicate of an earlier row     59  1000, 1001, 1002, 1004, 1005 and 54 more",
        "changed",
        "  control characters stripped      1  1063",
    ]


@given(st.integers(0, 40), st.integers(1, 10**6))
def test_the_report_fits_a_terminal(count, first):
    report = clean(["a"] * count + [f"b{i}" for i in range(3)]).report
    shifted = type(report)(**{**vars(report), "duplicate": report.duplicate * first})
    lines = str(shifted).split("\n")
    assert max(map(len, lines)) <= 80 and not any(line.endswith(" ") for line in lines)
    shown = lines[5].split("row")[1].split()
    assert int(shown[0]) == max(count - 1, 0)
    if "more" in shown:
        assert len(shown[1:-3]) + int(shown[-2]) == count - 1


@pytest.mark.parametrize(
    "text",
    ["\u200b", "\ufeff\u2060", " \u200b\u3000\u200d ", "\u00ad", "\ufe0f", "\u3164\U000e0020"],
)
def test_a_text_of_which_nothing_can_be_seen_is_empty(text):
    cleaned = clean([text, f"a{text}b"], [0, 1])
    assert cleaned.report.empty.tolist() == [0] and cleaned.kept.tolist() == [1]
    assert cleaned.texts[0] == f"a{text}b".replace("\ufeff", "")


@pytest.mark.parametrize("text", ["\u0600", "\u0301", "\u2800", ".", "\u2010", "\ufffc", "\u3165"])
def test_what_can_be_seen_is_not_empty(text):
    assert clean([text]).texts == [text]


@pytest.mark.parametrize("label", [["x"], {"x": 1}, np.array([1, 2]), (["x"],)])
def test_a_label_that_cannot_be_hashed_is_named_by_its_row(label):
    kind = type(label).__name__
    with pytest.raises(TypeError, match=rf"^clean: the label of row 1 is a {kind}; give a text, "):
        clean(["a", "b"], [0, label])


@pytest.mark.parametrize("label", [math.nan, np.float32("nan"), np.float64("nan")])
def test_nan_is_no_label(label):
    with pytest.raises(ValueError, match=r"^clean: the label of row 2 is NaN; give one, or remove"):
        clean(["a", "b", "a"], [0.0, math.inf, label])


def test_nothing_to_clean_is_fine():
    assert str(clean([]).report).startswith("0 rows: 0 kept, 0 removed\n")


def test_what_cannot_be_cleaned_is_one_clear_line():
    with pytest.raises(ValueError, match=r"^clean: 2 texts have 1 labels; give one label for each"):
        clean(["a", "b"], ["x"])
    with pytest.raises(
        TypeError, match=r"^clean: row 1 is of type NoneType, not a text; give a str"
    ):
        clean(["a", None])
    with pytest.raises(TypeError, match=r"^clean: takes a list of texts, not one text"):
        clean("ab")
