"""Tests of decoding token by token: it is what decoding at once gives, as early as can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.tokenizers import (
    ByteBPETokenizer,
    CharTokenizer,
    TextStream,
    Tokenizer,
    WordPieceTokenizer,
)

TEXTS = ["the lowest lamp isn't lit, and it's 水 on the hills: café, 河流 🙂! don't"]

KINDS: dict[str, Tokenizer] = {
    "characters": CharTokenizer.train(TEXTS),
    "bytes": ByteBPETokenizer.train(TEXTS, vocab_size=280, min_frequency=1),
    "pieces": WordPieceTokenizer.train(TEXTS, vocab_size=120, min_frequency=1),
}

ROWS = st.lists(st.floats(0, 1, exclude_max=True), max_size=40)
"""Shares of a vocabulary, which stand for ids of it."""


def ids_of(tokenizer: Tokenizer, shares: list[float]) -> list[int]:
    return [int(share * len(tokenizer)) for share in shares]


@pytest.mark.parametrize("skip", [False, True], ids=["all", "without special tokens"])
@pytest.mark.parametrize("tokenizer", KINDS.values(), ids=KINDS)
@given(shares=ROWS)
def test_token_by_token_is_the_text_of_all(tokenizer, skip, shares):
    ids = ids_of(tokenizer, shares)
    stream = TextStream(tokenizer, skip_special_tokens=skip)
    parts = [stream.add(id) for id in ids]
    assert "".join(parts) + stream.end() == tokenizer.decode(ids, skip)


@pytest.mark.parametrize("tokenizer", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("text", TEXTS + ["don't", "河流 🙂", "café"])
def test_every_character_is_shown_with_its_last_byte(tokenizer, text):
    stream, ids = TextStream(tokenizer), tokenizer.encode(text, add_special_tokens=False)
    shown = ""
    for place, id in enumerate(ids, start=1):
        shown += stream.add(id)
        assert "\ufffd" not in shown
        assert tokenizer.decode(ids[:place]).rstrip("\ufffd") == shown
    assert stream.end() == ""


def test_an_emoji_in_four_tokens_comes_with_the_fourth():
    tokenizer = ByteBPETokenizer.train(["no such byte"], vocab_size=257)
    stream, ids = TextStream(tokenizer), tokenizer.encode("🙂")
    assert [stream.add(id) for id in ids] == ["", "", "", "🙂"]


def test_half_a_character_is_shown_as_such_at_the_end_and_before_another():
    tokenizer = ByteBPETokenizer.train(["no such byte"], vocab_size=257)
    half, letter = tokenizer.encode("水")[:2], tokenizer.encode("a")[0]
    stream = TextStream(tokenizer)
    assert [stream.add(id) for id in (*half, letter)] == ["", "", "\ufffda"]
    stream.add(half[0])
    assert stream.end() == "\ufffd"


def test_pieces_join_on_to_the_prompt():
    tokenizer = KINDS["pieces"]
    prompt = tokenizer.encode("the lamp", add_special_tokens=False)
    for token, added in (("##s", "s"), ("l", " l"), (",", ","), ("'", " '"), ("[SEP]", " [SEP]")):
        assert TextStream(tokenizer, prompt).add(tokenizer.vocab[token]) == added


def test_added_tokens_stand_for_their_own_text():
    tokenizer = ByteBPETokenizer.train(["no such byte"], vocab_size=257)
    tokenizer.add_tokens("<é>", special_tokens=True)
    (id,) = tokenizer.encode("<é>")
    assert TextStream(tokenizer).add(id) == "<é>"
    assert TextStream(tokenizer, skip_special_tokens=True).add(id) == ""


def test_an_id_outside_the_vocabulary_is_refused_as_by_decode():
    for tokenizer in KINDS.values():
        with pytest.raises(ValueError, match=r"id 9999 is not in the vocabulary"):
            TextStream(tokenizer).add(9999)
