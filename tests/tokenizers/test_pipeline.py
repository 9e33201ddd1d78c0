"""Whole tokenizers, from text to batch, against recordings of `tokenizers` and `transformers`."""

import json
import unicodedata

import numpy as np
import pytest

from tests.tokenizers.recorded import BPE, KINDS, RECORDED, WORDPIECE, build
from tinygrad_llm.tokenizers import Normalizer

CALLS = RECORDED["calls"]


def plain(value):
    """Lists and numbers, as JSON has them."""
    return json.loads(json.dumps(value.tolist() if isinstance(value, np.ndarray) else value))


def text_of(row, place, texts):
    """The text, or the word of it, that the span of a token is counted in; "" for none."""
    sequence = row.sequence_ids[place]
    text = "" if sequence is None else texts[sequence]
    return text if isinstance(text, str) else text[row.word_ids[place]]


def unlike(kind, row, spans, texts):
    """Tokens whose spans are not the library's, nor right where the library's are not."""
    return [
        (token, ours, theirs)
        for place, (token, ours, theirs) in enumerate(zip(row.tokens, row.offsets, spans))
        if list(ours) != list(theirs)
        and not is_mended(kind, token, text_of(row, place, texts), ours, theirs)
    ]


def is_mended(kind, token, text, ours, theirs):
    """Whether ours is one of the spans that the library gives otherwise.

    NFC: theirs is a part of what was composed into the token, ours all of it. add_prefix_space:
    theirs gives a character of the text to the space put before it, or takes one from the token
    behind that space; a space that the text begins with is not trimmed. Empty spans stand anywhere.
    """
    settings, tokenizer = KINDS[kind]["arguments"], build(kind)
    inside, said = text[slice(*ours)], tokenizer.decode([tokenizer.vocab[token]])
    if settings.get("normalization"):
        composed = unicodedata.normalize("NFC", inside)
        covers = ours[0] <= theirs[0] and theirs[1] <= ours[1]
        return covers and inside != composed and (said in composed or "\ufffd" in said)
    if settings.get("trim_offsets"):
        return inside == said.strip() if inside else theirs[0] == theirs[1]
    return bool(settings.get("add_prefix_space")) and (said, inside) == (" ", "")


def test_there_are_as_many_recordings_as_there_should_be():
    texts = set(RECORDED["texts"])
    assert len(texts - set(BPE["strings"]) - set(WORDPIECE["texts"])) >= 320
    assert len(CALLS) >= 250
    assert all(len(rows) == len(texts) for rows in RECORDED["encoded"].values())


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_encoded_as_by_the_library(kind):
    tokenizer = build(kind)
    for text, recorded in zip(RECORDED["texts"], RECORDED["encoded"][kind], strict=True):
        ids, ends, words, special, _ = recorded
        (row,) = tokenizer([text]).encodings
        assert row.ids == ids, ascii(text)
        assert [-1 if word is None else word for word in row.word_ids] == words, ascii(text)
        assert [i for i, mark in enumerate(row.special_tokens_mask) if mark] == special, ascii(text)
        assert row.tokens == tokenizer.convert_ids_to_tokens(ids)
        assert row.type_ids == [0] * len(ids) and row.attention_mask == [1] * len(ids)
        assert not unlike(kind, row, list(zip(ends[::2], ends[1::2])), [text]), ascii(text)
        assert len(ends) == 2 * len(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_decoded_as_by_the_library(kind):
    tokenizer = build(kind)
    # The library says a normalized added token as it is looked for, "cafe", ours as it is: "CAFÉ".
    compared = Normalizer().normalize if kind == "flags" else str
    for text, (ids, *_, said) in zip(RECORDED["texts"], RECORDED["encoded"][kind], strict=True):
        whole, without = (text if row is None else row for row in said)
        assert compared(tokenizer.decode(ids)) == compared(whole), ascii(text)
        assert compared(tokenizer.decode(ids, skip_special_tokens=True)) == compared(without)


@pytest.mark.parametrize("kind", KINDS)
def test_characters_are_found_among_the_tokens_as_by_the_library(kind):
    for text, pair, recorded in RECORDED["places"][kind]:
        row = build(kind)(text, pair).encodings[0]
        for sequence, (part, places) in enumerate(zip([text, pair], recorded)):
            for position, place in enumerate(places):
                found = row.char_to_token(position, sequence)
                assert found == place or is_moved(kind, row, found, place, part[position])


def is_moved(kind, row, found, place, character):
    """Whether ours finds what the library does not: a mark that was composed, and the character
    whose place the library gives to the space put before it."""
    settings = KINDS[kind]["arguments"]
    if settings.get("normalization"):
        return place is None and unicodedata.combining(character) > 0
    if place is None or not settings.get("add_prefix_space"):
        return False
    return found == place + 1 and row.tokens[place] == "Ġ"


def is_refused(call):
    """Whether ours raise where the library goes on in silence: max_length has no room for special
    tokens, and an argument has no effect without another one."""
    options = call["options"]
    truncation = options.get("truncation") not in (None, False, "do_not_truncate")
    padding = options.get("padding") not in (None, False, "do_not_pad")
    length = options.get("max_length", KINDS[call["kind"]].get("model_max_length"))
    if length is None:
        needy = truncation or options.get("padding") == "max_length"
    else:
        needy = truncation and length < special_tokens(call)
    alone = "max_length" in options and not truncation and options.get("padding") != "max_length"
    windows = options.get("stride") or options.get("return_overflowing_tokens")
    return bool(
        needy
        or alone
        or (windows and not truncation)
        or ("pad_to_multiple_of" in options and not padding)
    )


def special_tokens(call):
    """How many tokens the template puts around."""
    template = KINDS[call["kind"]]["template"]
    if template is None or not call["options"].get("add_special_tokens", True):
        return 0
    return sum(not entry.startswith("$") for entry in template[call["pair"] is not None])


def named(call):
    return f"{call['kind']} {call['options']}"


def answer(call):
    return build(call["kind"])(
        call["text"], call["pair"], truncation_side=call["truncation_side"], **call["options"]
    )


@pytest.mark.parametrize("call", [c for c in CALLS if "raises" in c or is_refused(c)], ids=named)
def test_calls_that_cannot_be_right_are_refused(call):
    with pytest.raises((ValueError, TypeError)):
        answer(call)


@pytest.mark.parametrize(
    "call",
    [c for c in CALLS if "raises" not in c and not is_refused(c) and c["pair"] != ""],
    ids=named,
)
def test_calls_answer_as_those_of_the_library(call):
    found, recorded = answer(call), dict(call["result"])
    spans = recorded.pop("offset_mapping", None)
    assert {key: plain(found[key]) for key in found if key != "offset_mapping"} == recorded
    if "word_ids" in call:
        assert [row.word_ids for row in found.encodings] == call["word_ids"]
    if "sequence_ids" in call:
        assert [row.sequence_ids for row in found.encodings] == call["sequence_ids"]
    assert (spans is None) == ("offset_mapping" not in found)
    if spans is not None:
        check_spans(call, found, spans)


def check_spans(call, found, spans):
    """Every row's spans, as answered and as in its encoding."""
    options, batch = call["options"], is_batch(call)
    nested = batch or "return_tensors" in options or options.get("return_overflowing_tokens")
    rows = spans if nested else [spans]
    answered = plain(found["offset_mapping"])
    assert (answered if nested else [answered]) == plain([row.offsets for row in found.encodings])
    owners = found.get("overflow_to_sample_mapping", range(len(rows)))
    for owner, row, recorded in zip(owners, found.encodings, rows, strict=True):
        texts = [call["text"], call["pair"]]
        if batch:
            texts = [text and text[owner] for text in texts]
        assert len(recorded) == len(row) and not unlike(call["kind"], row, recorded, texts)


def is_batch(call):
    text = call["text"]
    if call["options"].get("is_split_into_words"):
        return bool(text) and isinstance(text[0], list)
    return isinstance(text, list)


@pytest.mark.parametrize("call", [c for c in CALLS if c["pair"] == ""], ids=named)
def test_an_empty_second_text_is_a_text_for_one_pair_as_in_a_batch(call):
    """The library takes it for none where one pair is given, and for a text in a batch."""
    one, batch = answer(call), answer({**call, "text": [call["text"]], "pair": [""]})
    assert {key: [value] for key, value in one.items()} == dict(batch)
    assert len(one["input_ids"]) == len(call["result"]["input_ids"]) + special_tokens(
        call
    ) - special_tokens({**call, "pair": None})


@pytest.mark.parametrize("call", [c for c in CALLS if "return_tensors" in c["options"]], ids=named)
def test_arrays_have_a_row_for_each_text(call):
    found = answer(call)
    for name, array in found.items():
        assert array.dtype == np.int64, name
        assert array.shape[:2] == np.shape(call["result"]["input_ids"]), name
