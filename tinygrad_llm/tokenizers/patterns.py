r"""Regular expressions that cut a text into pre-tokens, across whose ends no merge goes.

They need the package `regex`: Python's `re` does not know \p{L}, any letter, and \p{N}, any number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import regex

GPT2 = (
    r"'s|'t|'re|'ve|'m|'ll|'d"
    r"| ?\p{L}+"
    r"| ?\p{N}+"
    r"| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?!\S)|\s+"
)
"""English endings; letters, numbers or others after at most one space; spaces (Radford et al.
2019). RoBERTa and BART cut in the same way."""


def _later(number: str) -> str:
    """What GPT-4, Llama 3 and Qwen2 share: endings in either case, a line end closes a run."""
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
        r"|[^\r\n\p{L}\p{N}]?\p{L}+"
        rf"|{number}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+"
    )


CL100K = _later(r"\p{N}{1,3}")
"""GPT-4's: numbers in groups of up to three digits."""

LLAMA3 = CL100K
"""Llama 3 cuts as GPT-4 does."""

QWEN2 = _later(r"\p{N}")
"""Qwen2's: every digit alone."""

PATTERNS: dict[str, str] = {"gpt2": GPT2, "cl100k": CL100K, "llama3": LLAMA3, "qwen2": QWEN2}
"""By the names that compile_pattern takes."""


def compile_pattern(pattern: str) -> Any:
    """The compiled pattern for a name of PATTERNS or a regular expression.

    Raises:
        TypeError: pattern is no string.
        ValueError: it is no regular expression, or it has a capturing group.
    """
    if not isinstance(pattern, str):
        raise TypeError(f"pattern must be a str, not {type(pattern).__name__}")
    try:
        compiled = regex.compile(PATTERNS.get(pattern, pattern))
    except regex.error as error:
        raise ValueError(f"pattern is no regular expression: {error}") from None
    if compiled.groups:
        raise ValueError("pattern has a capturing group; write (?:...) instead of (...)")
    return compiled


def split(compiled: Any, text: str) -> list[str]:
    """Pre-tokens of the text in order; joined they are the text.

    What the pattern does not match stands as a pre-token of its own between the matches.
    """
    pieces = compiled.findall(text)
    if sum(map(len, pieces)) != len(text):
        pieces = list(_with_gaps(compiled, text))
    return [piece for piece in pieces if piece]


def _with_gaps(compiled: Any, text: str) -> Iterator[str]:
    """Matches and what lies between them, some of it empty."""
    end = 0
    for match in compiled.finditer(text):
        yield text[end : match.start()]
        yield match.group()
        end = match.end()
    yield text[end:]
