"""BERT's normalizer and its split into words, with the place of every character in the original.

Source: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding", and the tokenizer published with it. Which character is a mark, a control or
punctuation, what it decomposes into and how its small letter is written is read from the Unicode
tables of the running Python (`unicodedata.unidata_version`). A library with older or newer tables
may take characters that are in only one of them otherwise: U+10F58, punctuation since Unicode 11,
is an unassigned character before, which is no word of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import repeat

from tinygrad_llm.tokenizers.encoding import Span

_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
"""First and last code points of the blocks that BERT takes for Chinese: not kana, not hangul."""

_PUNCTUATION_MARK = "\0"
"""Stands for punctuation while words are looked for; no normalized text has this character."""

_WORD = re.compile(f"[^ {_PUNCTUATION_MARK}]+|{_PUNCTUATION_MARK}")


class Normalizer:
    """BERT's normalizer.

    Each character goes, alone, through four steps: controls are dropped and white space becomes a
    space; an ideograph gets a space on either side; accents are stripped by canonical
    decomposition (NFD), which also takes a hangul syllable apart; letters become small. Marks that
    stay, a few spacing ones of Indic scripts and music, keep the order that they have in the text.

    lowercase: make letters small, one at a time, so that a final sigma stays a sigma.
    strip_accents: drop nonspacing marks; None does what `lowercase` does.
    tokenize_chinese_chars: put spaces around ideographs.
    """

    def __init__(
        self,
        lowercase: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
    ):
        self.lowercase = lowercase
        self.strip_accents = lowercase if strip_accents is None else strip_accents
        self.tokenize_chinese_chars = tokenize_chinese_chars
        self._known = _Known(self._become)

    def normalize(self, text: str) -> str:
        """The normalized text; TypeError where `text` is not a string."""
        if not isinstance(text, str):
            raise TypeError(f"text is of type {type(text).__name__}, not str; give one string")
        return text.translate(self._known)

    def trace(self, text: str) -> tuple[str, list[Span] | None]:
        """The normalized text and, for each of its characters, the span [start, end) of the one in
        `text` that it comes from: None where each character became one. TypeError where `text` is
        not a string."""
        normalized, known = self.normalize(text), self._known
        if all(len(known[ord(character)]) == 1 for character in set(text)):
            return normalized, None
        each = enumerate(map(known.__getitem__, map(ord, text)))
        return normalized, [span for i, part in each for span in repeat((i, i + 1), len(part))]

    def _become(self, character: str) -> str:
        """What one character becomes: nothing, a character, or several of them."""
        text = _clean(character)
        if self.tokenize_chinese_chars and is_ideograph(character):
            text = f" {text} "
        if self.strip_accents:
            text = _strip_accents(text)
        return text.lower() if self.lowercase else text


class _Known(dict[int, str]):
    """A table for `str.translate`, filled as characters are met: code point -> what it becomes."""

    def __init__(self, become: Callable[[str], str]):
        self._become = become

    def __missing__(self, code: int) -> str:
        self[code] = self._become(chr(code))
        return self[code]


def split_words(text: str) -> list[tuple[int, int]]:
    """Spans [start, end) of the words of a normalized text: what stands between spaces, where
    each punctuation character is a word of its own."""
    return [match.span() for match in _WORD.finditer(text.translate(_MARKED))]


def is_ideograph(character: str) -> bool:
    """Whether BERT puts spaces around the character: it is in a block of CJK ideographs."""
    code = ord(character)
    return code >= 0x3400 and any(first <= code <= last for first, last in _IDEOGRAPHS)


def is_punctuation(character: str) -> bool:
    """Whether the character is a word of its own: Unicode's punctuation, and all that is neither
    letter, digit, space nor control in ASCII, such as "$", "+" and "~"."""
    if character.isascii():
        return "!" <= character <= "~" and not character.isalnum()
    return unicodedata.category(character).startswith("P")


_MARKED = _Known(lambda c: _PUNCTUATION_MARK if is_punctuation(c) else c)
"""Marks punctuation; other characters stay."""


def _clean(character: str) -> str:
    """A space for white space, nothing for a control, else the character itself."""
    category = unicodedata.category(character)
    if character in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
        return " "
    return "" if character == "\ufffd" or category in ("Cc", "Cf", "Co") else character


def _strip_accents(text: str) -> str:
    """The text decomposed (NFD), without nonspacing marks."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
