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
"""English endings; letters, numbers or others after at most one space; spaces.

Source: Radford et al. 2019, Language Models are Unsupervised Multitask Learners: `encoder.py` of
the code published with it. RoBERTa and BART cut in the same way."""


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


LLAMA3 = _later(r"\p{N}{1,3}")
"""Llama 3's: numbers in groups of up to three digits.

Source: the tokenizer.json published with Llama 3 (Grattafiori et al. 2024, The Llama 3 Herd of
Models). GPT-4's was the same, cl100k_base in the first releases of OpenAI's tiktoken."""

QWEN2 = _later(r"\p{N}")
"""Qwen2's: every digit alone.

Source: the tokenizer.json published with Qwen2 (Yang et al. 2024, Qwen2 Technical Report)."""

PATTERNS: dict[str, str] = {"gpt2": GPT2, "llama3": LLAMA3, "qwen2": QWEN2}
"""By the names that compile_pattern takes."""

_NAMES = {expression: name for name, expression in PATTERNS.items()}


def known_name(pattern: str) -> str:
    """The name of a regular expression that PATTERNS has; else the pattern as it is given."""
    return _NAMES.get(pattern, pattern)


def compile_pattern(pattern: str) -> Any:
    """The compiled pattern for a name of PATTERNS or a regular expression.

    Raises:
        TypeError: pattern is no string.
        ValueError: it is an unknown name, of letters and digits alone; it is no regular expression,
            or it has a capturing group.
    """
    if not isinstance(pattern, str):
        raise TypeError(f"pattern must be a str, not {type(pattern).__name__}")
    if len(pattern) > 1 and pattern.isalnum() and pattern not in PATTERNS:
        raise ValueError(f"pattern {pattern!r} is unknown; give one of {list(PATTERNS)}")
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
