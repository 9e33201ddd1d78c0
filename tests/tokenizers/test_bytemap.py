"""GPT-2's byte map: known characters, one for each byte, text to bytes and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.tokenizers.bytemap import (
    ALPHABET,
    BYTE_TO_CHARACTER,
    CHARACTER_TO_BYTE,
    character_of_byte,
    from_piece,
    to_piece,
    to_utf8,
)


def test_every_byte_has_a_character_of_its_own_that_shows():
    assert len(set(BYTE_TO_CHARACTER)) == 256
    assert "".join(BYTE_TO_CHARACTER).isprintable()
    assert not any(character.isspace() for character in BYTE_TO_CHARACTER)
    assert all(BYTE_TO_CHARACTER[byte] == c for c, byte in CHARACTER_TO_BYTE.items())


@pytest.mark.parametrize(
    ("byte", "character"),
    [(0, "Ā"), (9, "ĉ"), (10, "Ċ"), (13, "č"), (32, "Ġ"), (33, "!"), (65, "A"), (126, "~"),
     (127, "ġ"), (128, "Ģ"), (160, "ł"), (161, "¡"), (173, "Ń"), (255, "ÿ")],
)  # fmt: skip
def test_known_characters(byte, character):
    assert BYTE_TO_CHARACTER[byte] == character


def test_the_alphabet_stands_in_the_order_of_gpt2s_ids():
    assert ALPHABET[:3] == ["!", '"', "#"]
    assert ALPHABET.index("Ġ") == 220
    assert ALPHABET.index("Ċ") == 198
    assert ALPHABET[-1] == "Ń"


@given(st.binary())
def test_pieces_give_their_bytes_back(data):
    assert from_piece(to_piece(data)) == data


def test_a_piece_outside_the_map_stands_for_its_own_text():
    assert from_piece("<｜end of text｜>") == "<｜end of text｜>".encode()
    assert from_piece("Ġa") == b" a"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_characters_of_bytes(text):
    expected = [i for i, character in enumerate(text) for _ in character.encode("utf8")]
    assert character_of_byte(text.encode("utf8")) == expected


def test_a_lone_surrogate_is_named_with_its_position():
    with pytest.raises(ValueError, match=r"U\+D83D, at position 3"):
        to_utf8("今天🙂\ud83d")


def test_only_text_is_taken():
    with pytest.raises(TypeError, match="text must be a str, not bytes"):
        to_utf8(b"a")
