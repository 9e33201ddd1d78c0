"""Tests of how the course fills a terminal: paragraphs, cut lines, tables."""

from __future__ import annotations

import pytest

from chapters import text


@pytest.mark.parametrize("wide, used", [("50", 50), ("200", 80), ("3", 24)])
def test_paragraphs_fit_the_terminal_up_to_80_columns(monkeypatch, wide, used):
    monkeypatch.setenv("COLUMNS", wide)
    assert text.columns() == used
    assert used - 9 < max(map(len, text.paragraph("a word " * 60).splitlines())) <= used


def test_clip_counts_columns_and_shows_that_it_cut():
    assert text.clip("梯度 abc", 8) == "梯度 abc"
    assert text.clip("梯度 abc", 7) == "梯度 a…"
    assert text.clip("梯度", 3) == "梯…"


def test_table_aligns_chinese_and_numbers():
    made = text.table(["term", "value"], [["梯度", 0.123456], ["ab", 12.0]])
    assert made == "  term  value\n  ────  ─────\n  梯度  0.123\n  ab       12"
