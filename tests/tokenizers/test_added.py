"""Where added tokens are found in a text, and which lists of them are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.tokenizers.added import AddedToken, Finder, check_added


def found(text, *tokens):
    sections = Finder({token.content: token for token in tokens}).sections(text)
    return [(text[start:end], token and token.id) for start, end, token in sections]


MASK = AddedToken("<m>", 7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("abc", [("abc", None)]),
        ("<m>", [("<m>", 7)]),
        ("a<m>b", [("a", None), ("<m>", 7), ("b", None)]),
        ("<m><m>", [("<m>", 7), ("<m>", 7)]),
        ("<M> <m", [("<M> <m", None)]),
        ("<<m>", [("<", None), ("<m>", 7)]),
    ],
)
def test_a_token_is_found_as_it_is_written(text, expected):
    assert found(text, MASK) == expected


def test_the_longest_from_the_left_wins():
    short, long = AddedToken("ab", 1), AddedToken("abc", 2)
    assert found("abcab", short, long) == [("abc", 2), ("ab", 1)]


def test_white_space_is_taken_in_where_the_token_says_so():
    assert found("a \t<m> b", MASK._replace(lstrip=True)) == [
        ("a", None),
        (" \t<m>", 7),
        (" b", None),
    ]
    assert found("a <m> \n b", MASK._replace(rstrip=True)) == [
        ("a ", None),
        ("<m> \n ", 7),
        ("b", None),
    ]
    both = MASK._replace(lstrip=True, rstrip=True)
    assert found(" <m>  <m> ", both) == [(" <m>  ", 7), ("<m> ", 7)]


def test_a_single_word_touches_no_letter():
    word = AddedToken("cat", 3, single_word=True)
    assert found("cat cats _cat cat.", word) == [
        ("cat", 3),
        (" cats _cat ", None),
        ("cat", 3),
        (".", None),
    ]
    assert found("今cat", word) == [("今cat", None)]


def test_pattern_characters_are_letters():
    assert found("a.c a+c", AddedToken("a.c", 1), AddedToken("+", 2)) == [
        ("a.c", 1),
        (" a", None),
        ("+", 2),
        ("c", None),
    ]


@given(st.text("ab <m>", max_size=20), st.booleans(), st.booleans(), st.booleans())
def test_sections_are_the_text_in_order_and_none_is_empty(text, lstrip, rstrip, single):
    parts = found(text, AddedToken("<m>", 1, True, lstrip, rstrip, single), AddedToken("ab", 2))
    assert "".join(part for part, _ in parts) == text
    assert all(part for part, _ in parts)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([AddedToken("", 5)], "id 5 is empty"),
        ([AddedToken("x", 0)], "'a' and 'x' have the same id, 0"),
        ([AddedToken("x", 5), AddedToken("y", 5)], "'x' and 'y' have the same id, 5"),
        ([AddedToken("a", 5)], "'a' has the ids 0 and 5; keep one"),
    ],
)
def test_what_does_not_fit_the_vocabulary_is_refused(tokens, message):
    with pytest.raises(ValueError, match=message):
        check_added(tokens, {"a": 0})
