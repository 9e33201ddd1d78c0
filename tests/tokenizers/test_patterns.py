"""The patterns that cut texts into pre-tokens: what they cut, that nothing is lost, bad ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.published_patterns import PUBLISHED
from tinygrad_llm.tokenizers.patterns import PATTERNS, compile_pattern, known_name, split


def cut(name: str, text: str) -> list[str]:
    return split(compile_pattern(name), text)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("It's 2024, I'll go", ["It", "'s", " 2024", ",", " I", "'ll", " go"]),
        ("IT'S", ["IT", "'", "S"]),
        ("a   b", ["a", "  ", " b"]),
        ("a\n\nb ", ["a", "\n", "\n", "b", " "]),
        ("今天好,走", ["今天好", ",", "走"]),
        ("Ⅳ½x", ["Ⅳ½", "x"]),
    ],
)
def test_gpt2(text, pieces):
    assert cut("gpt2", text) == pieces


@pytest.mark.parametrize("name", PATTERNS)
def test_expressions_are_those_that_were_published(name):
    assert PATTERNS[name] == PUBLISHED[name]
    assert known_name(PATTERNS[name]) == known_name(name) == name
    assert known_name(r"\d+") == r"\d+"


def test_llama3_takes_three_digits_endings_in_either_case_and_line_ends():
    assert cut("llama3", "IT'S 12345!\n\n x") == ["IT", "'S", " ", "123", "45", "!\n\n", " x"]
    assert cut("llama3", "it'Lls") == ["it", "'Ll", "s"]
    assert cut("llama3", "(a\tb") == ["(a", "\tb"]


def test_qwen2_takes_single_digits():
    assert cut("qwen2", "a 12345") == ["a", " ", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize("name", [*PATTERNS, r"\d+", "a*", "(?:x|y)+"])
@given(st.text())
def test_joined_pieces_are_the_text(name, text):
    pieces = cut(name, text)
    assert "".join(pieces) == text
    assert all(pieces)


def test_what_the_pattern_leaves_out_stands_between_the_matches():
    assert cut(r"\d+", "ab12c3") == ["ab", "12", "c", "3"]
    assert cut(r"\d+", "7--") == ["7", "--"]


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        ("(a|b)", ValueError, "capturing group"),
        ("a(", ValueError, "no regular expression"),
        (
            "gpt4",
            ValueError,
            "pattern 'gpt4' is unknown; give one of \\['gpt2', 'llama3', 'qwen2']",
        ),
        (None, TypeError, "must be a str, not NoneType"),
    ],
)
def test_bad_patterns(pattern, error, message):
    with pytest.raises(error, match=message):
        compile_pattern(pattern)
