"""Tests of the columns that a text takes in a terminal, and of cutting and filling it to them."""

from __future__ import annotations

import time

import pytest

from tinygrad_llm._text import clip, ljust, rjust, width

THUMB = "\N{THUMBS UP SIGN}"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("", 0),
        ("softmax", 7),
        ("神经元", 6),
        ("ｌｒ＝１", 8),
        (THUMB, 2),
        ("café", 4),
        ("cafe\N{COMBINING ACUTE ACCENT}", 4),
        ("x\N{COMBINING ENCLOSING CIRCLE}", 1),
        ("か\N{COMBINING KATAKANA-HIRAGANA VOICED SOUND MARK}", 2),
        ("☺\N{VARIATION SELECTOR-16}", 1),
        ("a\N{ZERO WIDTH SPACE}b", 2),
        ("σ ∂ …", 5),
    ],
)
def test_wide_characters_take_two_columns_and_marks_none(text, columns):
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("softmax", 7, "softmax"),
        ("softmax", 4, "sof…"),
        ("softmax", 1, "…"),
        ("神经元", 6, "神经元"),
        ("神经元", 5, "神经…"),
        ("神经元", 4, "神…"),
        ("梯度 abc", 7, "梯度 a…"),
        ("e\N{COMBINING ACUTE ACCENT}e\N{COMBINING ACUTE ACCENT}", 2, "e\u0301e\u0301"),
        ("e\N{COMBINING ACUTE ACCENT}abc", 2, "e\u0301…"),
    ],
)
def test_clip_shows_that_it_cut_and_keeps_marks_with_their_letter(text, columns, expected):
    assert clip(text, columns) == expected
    assert width(clip(text, columns)) <= columns


def test_a_very_long_text_is_cut_at_once():
    begun = time.perf_counter()
    assert clip("长" * 200_000, 80) == "长" * 39 + "…"
    assert time.perf_counter() - begun < 5


def test_texts_are_filled_up_and_never_cut():
    assert (ljust("梯度", 6), rjust("梯度", 6)) == ("梯度  ", "  梯度")
    assert ljust("梯度", 3) == rjust("梯度", 3) == "梯度"
    assert ljust("e\N{COMBINING ACUTE ACCENT}", 2) == "e\u0301 "
