"""BERT's normalizer and its split into words, with the place of every character in the original.

Source: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding", and the tokenizer published with it. Which character is a mark, a control or
punctuation is read from Python's own Unicode tables, `unicodedata`.
"""

from __future__ import annotations

import re
import unicodedata

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
    """BERT's normalizer: calling it gives the normalized text and where its characters are from.

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
        self._known: dict[str, str] = {}

    def __call__(self, text: str) -> tuple[str, list[tuple[int, int]]]:
        """The normalized text, and for each of its characters the span [start, end) of characters
        of `text` that it comes from. Raises TypeError where `text` is not a string."""
        normalized, origins = self.trace(text)
        return normalized, [(i, i + 1) for i in origins]

    def trace(self, text: str) -> tuple[str, list[int]]:
        """The normalized text, and for each of its characters the index of the one in `text` that
        it comes from: the starts of the spans. TypeError where `text` is not a string."""
        parts = self._parts(text)
        return "".join(parts), [i for i, part in enumerate(parts) for _ in part]

    def normalize(self, text: str) -> str:
        """The normalized text alone; TypeError where `text` is not a string."""
        return "".join(self._parts(text))

    def _parts(self, text: str) -> list[str]:
        """What each character of the text becomes."""
        if not isinstance(text, str):
            raise TypeError(f"text is of type {type(text).__name__}, not str; give one string")
        known = self._known
        for character in set(text).difference(known):
            known[character] = self._become(character)
        return [known[character] for character in text]

    def _become(self, character: str) -> str:
        """What one character becomes: nothing, a character, or several of them."""
        text = _clean(character)
        if self.tokenize_chinese_chars and is_ideograph(character):
            text = f" {text} "
        if self.strip_accents:
            text = _strip_accents(text)
        return text.lower() if self.lowercase else text


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


class _Marked(dict):
    """A table for `str.translate`, filled as characters are met: code point -> code point."""

    def __missing__(self, code: int) -> int:
        self[code] = ord(_PUNCTUATION_MARK) if is_punctuation(chr(code)) else code
        return self[code]


_MARKED = _Marked()


def _clean(character: str) -> str:
    """A space for white space, nothing for a control, else the character itself."""
    category = unicodedata.category(character)
    if character in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
        return " "
    return "" if character == "\ufffd" or category in ("Cc", "Cf", "Co") else character


def _strip_accents(text: str) -> str:
    """The text decomposed (NFD), without nonspacing marks."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
