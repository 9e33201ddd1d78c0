"""A translation task without end and with exact answers: English numbers and dates into Chinese.

Numbers from 0 to 999,999 in words, "one hundred twelve" → 一百一十二, and dates in six forms,
"the twenty-third of November, 2026" → 二〇二六年十一月二十三日. The rules for Chinese:

零  stands once for any run of empty places between two that are not empty, of the whole number
    and not at its end: 1,001 一千零一, 10,010 一万零一十, 100,100 十万零一百; and 0 is 零.
两  for a 2 of the thousands, and for a 2 that alone counts the 万: 2,000 两千, 20,000 两万.
    Else 二: 2 二, 200 二百, 12 十二, 200,000 二十万, 120,000 十二万.
一十 becomes 十 where the number, or its 万 part, begins with it: 12 十二, 150,000 十五万; inside
    it stays: 112 一百一十二, 1,010 一千零一十.
Zeros at the end of the 万 part are not read: 101,000 十万一千, 205,000 二十万五千.
Years are read digit by digit with 〇, months and days as numbers.
"""

from __future__ import annotations

import operator
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from tinygrad_llm.backend import Stream

LARGEST = 999_999

MOST = 200_000
"""Pairs at a time: far below the 432,000 texts of dates that there are, so that new ones are found
soon."""

_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
_DIGITS = "零一二三四五六七八九"
_PLACES = ("", "十", "百", "千")

FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)
"""Dates are drawn from these two and all between."""


class Pair(NamedTuple):
    """An English text and its Chinese translation: by fixed rules, so that there is one answer
    (elsewhere 两百, 二万 or 一千零十 are in use as well)."""

    english: str
    chinese: str


def english_number(n: int, joiner: str = " ") -> str:
    """The number in words: 112 → "one hundred twelve". joiner: " and ", as in British use, gives
    "one hundred and twelve". Raises ValueError outside 0 to 999,999."""
    thousands, rest = divmod(_checked(n), 1000)
    if not thousands:
        return _below_thousand(rest, joiner)
    head = f"{_below_thousand(thousands, joiner)} thousand"
    if not rest:
        return head
    return head + (joiner if rest < 100 else " ") + _below_thousand(rest, joiner)


def _below_thousand(n: int, joiner: str) -> str:
    hundreds, rest = divmod(n, 100)
    if not hundreds:
        return _below_hundred(rest)
    head = f"{_SMALL[hundreds]} hundred"
    return f"{head}{joiner}{_below_hundred(rest)}" if rest else head


def _below_hundred(n: int) -> str:
    if n < 20:
        return _SMALL[n]
    tens, ones = divmod(n, 10)
    return _TENS[tens - 2] + (f"-{_SMALL[ones]}" if ones else "")


def ordinal(n: int) -> str:
    """1 → "first", 23 → "twenty-third"."""
    words = english_number(n)
    cut = max(words.rfind("-"), words.rfind(" ")) + 1
    head, last = words[:cut], words[cut:]
    last = _ORDINALS.get(last, last[:-1] + "ieth" if last.endswith("y") else f"{last}th")
    return head + last


def chinese_number(n: int) -> str:
    """The number as it is read, by the rules above: 20,112 → 两万零一百一十二. Raises ValueError
    outside 0 to 999,999."""
    n = _checked(n)
    if n == 0:
        return "零"
    high, low = divmod(n, 10_000)
    text = ""
    if high:
        text = ("两" if high == 2 else _four(high)) + "万"
        text += "零" if 0 < low < 1000 else ""
    text += _four(low)
    return text.removeprefix("一") if text.startswith("一十") else text


def _four(n: int) -> str:
    """Up to four digits with their places; 0 is empty."""
    text, gap = "", False
    for place in (3, 2, 1, 0):
        digit = n // 10**place % 10
        if digit:
            sign = "两" if digit == 2 and place == 3 else _DIGITS[digit]
            text += ("零" if gap and text else "") + sign + _PLACES[place]
        gap = digit == 0
    return text


def chinese_date(day: date) -> str:
    """二〇二六年十一月二十三日."""
    year = "".join("〇" if d == "0" else _DIGITS[int(d)] for d in str(day.year))
    return f"{year}年{chinese_number(day.month)}月{chinese_number(day.day)}日"


def english_dates(day: date) -> tuple[str, ...]:
    """The same day in all written forms."""
    month, short = _MONTHS[day.month - 1], _MONTHS[day.month - 1][:3]
    return (
        f"{month} {day.day}, {day.year}",
        f"{day.day} {month} {day.year}",
        f"{short} {day.day}, {day.year}",
        f"the {ordinal(day.day)} of {month}, {day.year}",
        f"{month} {_suffixed(day.day)}, {day.year}",
        day.isoformat(),
    )


def _suffixed(n: int) -> str:
    ending = "th" if n in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def translation_pairs(count: int, seed: int, dates: float = 0.3) -> list[Pair]:
    """`count` pairs with different English, in random order; the same seed gives the same ones.

    Several forms of a date have one Chinese: to split pairs, give `three_way_split` the Chinese as
    `contents`.

    dates: their share, rounded; the others are numbers, whose length is drawn first, two to six
    digits (short ones run out), some with the British "and".
    Raises ValueError for a count outside 0 to MOST and a share outside 0 to 1.
    """
    if not 0 <= operator.index(count) <= MOST or not 0.0 <= dates <= 1.0:
        raise ValueError(
            f"translation_pairs: count {count} and dates {dates}: give 0 to {MOST:,} and 0 to 1"
        )
    generator = Stream("numerals", operator.index(seed)).next().generator()
    of_dates = round(count * dates)
    pairs: dict[str, Pair] = {}
    while len(pairs) < of_dates:
        _add(pairs, _drawn_date(generator))
    while len(pairs) < count:
        _add(pairs, _drawn_number(generator))
    found = list(pairs.values())
    return [found[i] for i in generator.permutation(len(found))]


def _add(pairs: dict[str, Pair], pair: Pair) -> None:
    pairs.setdefault(pair.english, pair)


def _drawn_date(generator: np.random.Generator) -> Pair:
    day = FIRST + timedelta(days=int(generator.integers((LAST - FIRST).days + 1)))
    forms = english_dates(day)
    return Pair(forms[int(generator.integers(len(forms)))], chinese_date(day))


def _drawn_number(generator: np.random.Generator) -> Pair:
    digits = int(generator.integers(2, 7))
    n = int(generator.integers(10**digits))
    joiner = " and " if generator.random() < 0.25 else " "
    return Pair(english_number(n, joiner), chinese_number(n))


def _checked(n: int) -> int:
    n = operator.index(n)
    if not 0 <= n <= LARGEST:
        raise ValueError(f"numbers go from 0 to {LARGEST:,}, not {n:,}")
    return n
