"""English words cut to their stems: Porter's suffix stripping of 1980.

Source: M. F. Porter 1980, "An algorithm for suffix stripping", Program 14(3), pages 130-137, with
its rules and not those of his later program ("bli" for "abli", and "logi"). On one point the paper
is silent and his program is followed: a word of one or two letters is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


def stem(word: str) -> str:
    """The stem of an English word, in small letters: connected, connection -> connect.

    A stem is a name for a family of words and often no word itself (happy -> happi); it is never
    longer than the word, and stemming it again can shorten it further. What is not letters of
    ASCII throughout (café, don't, GPT2, an empty text) comes back as it is, capitals too.
    Raises TypeError where `word` is not a string.
    """
    if not isinstance(word, str):
        raise TypeError(f"word is of type {type(word).__name__}, not str; give one word")
    if not (word.isascii() and word.isalpha()):
        return word
    word = word.lower()
    if len(word) <= 2:
        return word
    word = _step_1b(_apply(_STEP_1A, word))
    for rules in (_STEP_1C, _STEP_2, _STEP_3, _STEP_4, _STEP_5A, _STEP_5B):
        word = _apply(rules, word)
    return word


def measure(letters: str) -> int:
    """The paper's m: how often a vowel has a consonant after it. tree 0, trees 1, private 2.

    letters: small letters of ASCII. Roughly the number of syllables that end in a consonant.
    """
    return _kinds(letters).count("vc")


def _kinds(letters: str) -> str:
    """A "v" for each vowel and a "c" for each consonant; y is a vowel after a consonant only."""
    kinds = ""
    for letter in letters:
        vowel = letter in "aeiou" or (letter == "y" and kinds.endswith("c"))
        kinds += "v" if vowel else "c"
    return kinds


def _always(letters: str) -> bool:
    return True


def _measure_above_0(letters: str) -> bool:
    return measure(letters) > 0


def _measure_above_1(letters: str) -> bool:
    return measure(letters) > 1


def _has_vowel(letters: str) -> bool:
    """The paper's *v*."""
    return "v" in _kinds(letters)


def _ends_double(letters: str) -> bool:
    """The paper's *d: the last two letters are one consonant twice."""
    return letters[-2:] == letters[-1:] * 2 and _kinds(letters).endswith("c")


def _ends_short(letters: str) -> bool:
    """The paper's *o: consonant, vowel, consonant, and the last is none of w, x and y."""
    return _kinds(letters).endswith("cvc") and letters[-1] not in "wxy"


def _long_after_s_or_t(letters: str) -> bool:
    """The paper's m > 1 and (*S or *T)."""
    return measure(letters) > 1 and letters[-1] in "st"


def _long_before_e(letters: str) -> bool:
    """The paper's m > 1, or m = 1 and not *o: when a final e can go."""
    return measure(letters) > 1 or (measure(letters) == 1 and not _ends_short(letters))


def _long_after_l(letters: str) -> bool:
    """The paper's m > 1 and *d and *L, asked of what stands before the second l."""
    return measure(letters) > 1 and letters[-1] == "l"


class _Rule(NamedTuple):
    """What a suffix becomes, where the condition holds for the letters before it."""

    replacement: str
    condition: Callable[[str], bool]


_Rules = dict[str, _Rule]


def _rules(condition: Callable[[str], bool], text: str) -> _Rules:
    """Rules written as "suffix->replacement", which share one condition."""
    pairs = [rule.split("->") for rule in text.split()]
    return {suffix: _Rule(replacement, condition) for suffix, replacement in pairs}


_STEP_1A = _rules(_always, "sses->ss ies->i ss->ss s->")

_STEP_1B = _rules(_measure_above_0, "eed->ee") | _rules(_has_vowel, "ed-> ing->")

_STEP_1B_MENDS = _rules(_always, "at->ate bl->ble iz->ize")

_STEP_1C = _rules(_has_vowel, "y->i")

_STEP_2 = _rules(
    _measure_above_0,
    """ational->ate tional->tion enci->ence anci->ance izer->ize abli->able alli->al entli->ent
    eli->e ousli->ous ization->ize ation->ate ator->ate alism->al iveness->ive fulness->ful
    ousness->ous aliti->al iviti->ive biliti->ble""",
)

_STEP_3 = _rules(_measure_above_0, "icate->ic ative-> alize->al iciti->ic ical->ic ful-> ness->")

_STEP_4 = _rules(_long_after_s_or_t, "ion->") | _rules(
    _measure_above_1,
    """al-> ance-> ence-> er-> ic-> able-> ible-> ant-> ement-> ment-> ent-> ou-> ism-> ate->
    iti-> ous-> ive-> ize->""",
)

_STEP_5A = _rules(_long_before_e, "e->")

_STEP_5B = _rules(_long_after_l, "l->")

_LONGEST = len("ational")  # no suffix has more letters


def _apply(rules: _Rules, word: str) -> str:
    """The word under the rule of its longest suffix that has one; no shorter suffix is tried."""
    for size in range(min(_LONGEST, len(word)), 0, -1):
        if rule := rules.get(word[-size:]):
            letters = word[:-size]
            return letters + rule.replacement if rule.condition(letters) else word
    return word


def _step_1b(word: str) -> str:
    """Take off -ed and -ing, and give the rest the end it had: hop, hope, fall.

    The paper asks for no such mending after -eed; no rule of it applies to the -ee left there.
    """
    shorter = _apply(_STEP_1B, word)
    if shorter == word:
        return word
    mended = _apply(_STEP_1B_MENDS, shorter)
    if mended != shorter:
        return mended
    if _ends_double(shorter) and shorter[-1] not in "lsz":
        return shorter[:-1]
    return shorter + "e" if measure(shorter) == 1 and _ends_short(shorter) else shorter
