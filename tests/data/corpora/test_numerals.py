"""Tests of English numbers and dates and their Chinese: by hand, by parsing back, by counting."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data.corpora.numerals import (
    FIRST,
    LAST,
    chinese_date,
    chinese_number,
    english_dates,
    english_number,
    ordinal,
    translation_pairs,
)

DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"两": 2}
PLACES = {"十": 10, "百": 100, "千": 1000}


def value_of(text: str) -> int:
    """A Chinese number read by its meaning, without the rules of how it is written."""
    high, wan, low = text.partition("万")
    return (10_000 * small(high) + small(low)) if wan else small(text)


def small(text: str) -> int:
    total, digit = 0, None
    for c in text:
        if c in PLACES:
            total += (1 if digit is None else digit) * PLACES[c]
            digit = None
        else:
            digit = DIGITS[c] or None
    return total + (digit or 0)


SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen"""
TENS = """twenty thirty forty fifty sixty seventy eighty ninety"""
WORDS = {word: i for i, word in enumerate(SMALL.split())}
WORDS |= {word: 10 * i for i, word in enumerate(TENS.split(), 2)}


def meaning(text: str) -> int:
    """An English number read by its meaning."""
    total, part = 0, 0
    for word in re.split(r"[ -]", text):
        if word == "hundred":
            part *= 100
        elif word == "thousand":
            total, part = part * 1000, 0
        elif word != "and":
            part += WORDS[word]
    return total + part


@pytest.mark.parametrize(
    ("n", "english", "chinese"),
    [
        (0, "zero", "零"),
        (2, "two", "二"),
        (10, "ten", "十"),
        (12, "twelve", "十二"),
        (20, "twenty", "二十"),
        (102, "one hundred two", "一百零二"),
        (112, "one hundred twelve", "一百一十二"),
        (200, "two hundred", "二百"),
        (1_001, "one thousand one", "一千零一"),
        (1_010, "one thousand ten", "一千零一十"),
        (2_222, "two thousand two hundred twenty-two", "两千二百二十二"),
        (10_010, "ten thousand ten", "一万零一十"),
        (20_000, "twenty thousand", "两万"),
        (22_000, "twenty-two thousand", "两万两千"),
        (100_100, "one hundred thousand one hundred", "十万零一百"),
        (101_000, "one hundred one thousand", "十万一千"),
        (120_000, "one hundred twenty thousand", "十二万"),
        (200_002, "two hundred thousand two", "二十万零二"),
    ],
)
def test_numbers_by_hand(n, english, chinese):
    assert (english_number(n), chinese_number(n)) == (english, chinese)


@given(st.integers(0, 999_999))
def test_numbers_mean_what_they_are(n):
    assert value_of(chinese_number(n)) == n
    assert meaning(english_number(n)) == meaning(english_number(n, " and ")) == n


def test_every_number_has_its_own_text_and_keeps_the_rules():
    seen = set()
    for n in range(0, 1_000_000, 7):
        text = chinese_number(n)
        seen.add(text)
        assert not re.search("零零|零$|^一十|零万", text) or n == 0, (n, text)
        assert "二千" not in text and "两百" not in text and "两十" not in text, (n, text)
    assert len(seen) == len(range(0, 1_000_000, 7))


@pytest.mark.parametrize("n", [-1, 1_000_000])
def test_numbers_out_of_range_are_refused(n):
    for number in (english_number, chinese_number):
        with pytest.raises(ValueError, match="from 0 to 999,999"):
            number(n)


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (1, "first"),
        (3, "third"),
        (9, "ninth"),
        (12, "twelfth"),
        (20, "twentieth"),
        (31, "thirty-first"),
    ],
)
def test_ordinals(n, text):
    assert ordinal(n) == text


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (101, "one hundred first"),
        (112, "one hundred twelfth"),
        (1000, "one thousandth"),
        (2020, "two thousand twentieth"),
    ],
)
def test_ordinals_of_large_numbers(n, text):
    assert ordinal(n) == text


def test_a_date_in_all_its_forms():
    assert english_dates(date(2026, 11, 23)) == (
        "November 23, 2026",
        "23 November 2026",
        "Nov 23, 2026",
        "the twenty-third of November, 2026",
        "November 23rd, 2026",
        "2026-11-23",
    )
    assert chinese_date(date(2026, 11, 23)) == "二〇二六年十一月二十三日"
    assert english_dates(date(1912, 3, 12))[4] == "March 12th, 1912"


def test_every_form_of_every_date_is_of_one_date():
    days = [FIRST + timedelta(days=k) for k in range(0, (LAST - FIRST).days + 1, 3)]
    assert len({chinese_date(day) for day in days}) == len(days)
    forms = 6 * len(days) - sum(day.month == 5 for day in days)  # May has no shorter name
    assert len({form for day in days for form in english_dates(day)}) == forms


def test_pairs_are_different_right_and_the_same_for_a_seed():
    pairs = translation_pairs(3000, seed=1)
    assert pairs == translation_pairs(3000, seed=1) != translation_pairs(3000, seed=2)
    assert len({pair.english for pair in pairs}) == 3000
    numbers = [pair for pair in pairs if "年" not in pair.chinese]
    assert len(numbers) == 2100
    assert all(meaning(pair.english) == value_of(pair.chinese) for pair in numbers)
    lengths = [len(str(value_of(pair.chinese))) for pair in numbers]
    assert all(lengths.count(digits) > 200 for digits in (3, 4, 5, 6))
    assert any(" and " in pair.english for pair in numbers)
    days = [pair for pair in pairs if "年" in pair.chinese]
    assert len({re.sub("[A-Za-z]+", "a", re.sub(r"\d+", "0", p.english)) for p in days}) >= 6
    assert any(pair.chinese.startswith("一九二") for pair in days)
    halves = [any("年" in pair.chinese for pair in part) for part in (pairs[:50], pairs[-50:])]
    assert all(halves)


@pytest.mark.parametrize(("count", "dates"), [(-1, 0.3), (10**6, 0.3), (5, 1.1), (5, -0.1)])
def test_what_cannot_be_drawn_is_refused(count, dates):
    with pytest.raises(ValueError, match="translation_pairs: count"):
        translation_pairs(count, 0, dates)


@pytest.mark.parametrize("dates", [0.0, 1.0])
def test_only_numbers_or_only_dates(dates):
    assert {"年" in pair.chinese for pair in translation_pairs(50, 0, dates)} == {dates == 1.0}
