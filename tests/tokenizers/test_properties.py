"""What holds for every text: round trips, spans, windows, lengths, padding, words."""

import unicodedata
from functools import cache
from itertools import accumulate, pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.tokenizers.recorded import BPE, KINDS, build
from tinygrad_llm.tokenizers import ByteBPETokenizer, CharTokenizer
from tinygrad_llm.tokenizers.bytemap import from_piece

PIECES = (
    "The", "the dog", "token", "hello", "unaffable", "don't", "123", "é", "e\u0301", "\u0301",
    "你好", "今天", "한국", "ᄒ", "が", "😀", "👍🏽", "\u200d", " ", "  ", "\n", "\0", "\xa0",
    ".", "[", "[MASK]", "[SEP]", "<mask>", "<|endoftext|>", "<s>", "</s>", "<|im_end|>",
    "<|eot_id|>",
)  # fmt: skip

ANY = st.text(st.characters(exclude_categories=["Cs"]))
BUILT = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
TEXTS = ANY | BUILT
WORDY = st.lists(st.sampled_from(["hello", "world", "the", "dog", "a"]), max_size=30).map(" ".join)

every_kind = pytest.mark.parametrize("kind", KINDS)
few = settings(max_examples=40)


@cache
def without_special_tokens(pattern, ignore_merges):
    pieces = BPE["model"]["vocab"][1:]
    return ByteBPETokenizer(
        {piece: id for id, piece in enumerate(pieces)},
        [tuple(pair) for pair in BPE["model"]["merges"]],
        pattern=pattern,
        ignore_merges=ignore_merges,
        special_tokens={},
    )


def rows_of(tokenizer, text, pair=None, **options):
    """The encodings of a text with all its windows."""
    return tokenizer(text, pair, return_overflowing_tokens=True, **options).encodings


def inside(row, sequence=0):
    """Ids and spans of the tokens that stand in a text."""
    return [
        (id, span)
        for id, span, own in zip(row.ids, row.offsets, row.sequence_ids)
        if own == sequence
    ]


@pytest.mark.parametrize("ignore_merges", [False, True])
@pytest.mark.parametrize("pattern", ["gpt2", "llama3", "qwen2", r"\S+"])
@few
@given(text=TEXTS)
def test_bytes_come_back_as_the_text(pattern, ignore_merges, text):
    tokenizer = without_special_tokens(pattern, ignore_merges)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@few
@given(text=TEXTS)
def test_a_text_with_special_tokens_in_it_comes_back(kind, text):
    tokenizer = build(kind)
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


@given(text=TEXTS)
def test_a_composed_text_comes_back_composed(text):
    tokenizer = build("qwen")
    parts = [text]
    for token in tokenizer.added_tokens:
        parts = [p for part in parts for p in split_around(part, token.content)]
    expected = "".join(unicodedata.normalize("NFC", part) for part in parts)
    assert tokenizer.decode(tokenizer.encode(text)) == expected


def split_around(text, token):
    """The text in parts, the token among them."""
    first, *others = text.split(token)
    return [first, *(part for other in others for part in (token, other))]


@given(text=TEXTS, more=TEXTS)
def test_known_characters_come_back_as_the_text(text, more):
    assume(text)
    tokenizer = CharTokenizer.train([text, more], special_tokens=("[PAD]", "[UNK]"))
    row = tokenizer([text]).encodings[0]
    if "[" not in text:
        assert [tokenizer.convert_ids_to_tokens(id) for id in row.ids] == list(text)
        assert row.offsets == [(i, i + 1) for i in range(len(text))]
    assert tokenizer.decode(row.ids) == text


@every_kind
@few
@given(text=TEXTS)
def test_spans_do_not_go_back_and_lie_within_the_text(kind, text):
    (row,) = rows_of(build(kind), text, truncation=True, max_length=10**6)
    spans = [span for _, span in inside(row)]
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    for (start, end), (after, last) in pairwise(spans):
        assert start <= after and end <= last


@pytest.mark.parametrize("kind", ["uncased", "cased", "flags"])
@few
@given(text=TEXTS)
def test_every_character_that_normalization_keeps_is_in_a_span(kind, text):
    tokenizer = build(kind)
    covered = covered_by(tokenizer, text)
    for place, character in enumerate(text):
        if place not in covered:
            assert not tokenizer.model.normalizer.normalize(character).strip(), ascii(text)


@pytest.mark.parametrize("kind", ["gpt2", "gpt2 words", "qwen", "llama"])
@few
@given(text=TEXTS)
def test_every_character_is_in_the_span_of_a_byte(kind, text):
    assert covered_by(build(kind), text) == set(range(len(text)))


@given(text=TEXTS)
def test_trimmed_spans_leave_out_spaces_alone(text):
    missing = set(range(len(text))) - covered_by(build("roberta"), text)
    assert all(text[place].isspace() for place in missing)


def covered_by(tokenizer, text):
    row = tokenizer([text]).encodings[0]
    return {place for _, span in inside(row) for place in range(*span)}


@given(text=TEXTS)
def test_a_span_cuts_a_text_to_what_was_composed_into_the_token(text):
    tokenizer = build("qwen")
    added = {token.content for token in tokenizer.added_tokens}
    row = tokenizer([text]).encodings[0]
    for token, (start, end) in zip(row.tokens, row.offsets):
        data = token.encode() if token in added else from_piece(token)
        cut = text[start:end]
        assert data in unicodedata.normalize("NFC", cut).encode()
        if unicodedata.is_normalized("NFC", text) and is_utf8(data):
            assert cut == data.decode()


def is_utf8(data):
    return "\ufffd" not in data.decode(errors="replace")


@given(before=TEXTS, after=TEXTS, kind=st.sampled_from(["uncased", "cased", "gpt2", "llama"]))
def test_a_special_token_parts_a_text(before, after, kind):
    assume(not set("[]<>") & set(before + after))
    tokenizer = build(kind)
    token = tokenizer.mask_token or tokenizer.eos_token
    ids = [tokenizer.encode(part, add_special_tokens=False) for part in (before, after)]
    both = tokenizer.encode(before + token + after, add_special_tokens=False)
    assert both == [*ids[0], tokenizer.vocab[token], *ids[1]]


@every_kind
@few
@given(
    text=WORDY | BUILT,
    room=st.integers(1, 9),
    stride=st.integers(0, 8),
    side=st.sampled_from(["left", "right"]),
)
def test_windows_cover_all_tokens_and_share_the_stride(kind, text, room, stride, side):
    assume(stride < room)
    tokenizer = build(kind)
    length = room + tokenizer.template.count(False)
    options = {"truncation": True, "max_length": length, "stride": stride, "truncation_side": side}
    windows = [inside(row) for row in rows_of(tokenizer, text, **options)]
    if side == "left":
        windows.reverse()
    whole = windows[0]
    for before, after in pairwise(windows):
        assert before[len(before) - stride :] == after[:stride]
        whole = whole + after[stride:]
    assert whole == inside(tokenizer([text]).encodings[0])
    full = windows[1:] if side == "left" else windows[:-1]
    assert all(len(window) == room for window in full)


@given(
    kind=st.sampled_from(sorted(KINDS)),
    text=WORDY | BUILT,
    pair=st.none() | WORDY,
    strategy=st.sampled_from(["longest_first", "only_first", "only_second"]),
    length=st.integers(0, 40),
    side=st.sampled_from(["left", "right"]),
)
def test_no_row_is_longer_than_max_length(kind, text, pair, strategy, length, side):
    tokenizer = build(kind)
    options = {"truncation": strategy, "max_length": length, "truncation_side": side}
    untouched = tokenizer.encode(text, pair)
    try:
        rows = rows_of(tokenizer, text, pair, **options)
    except ValueError:
        assert len(untouched) > length or length < tokenizer.template.count(pair is not None)
        return
    assert len(rows[0]) == min(length, len(untouched)) or strategy != "longest_first"
    assert len(rows[0]) <= length
    if length > tokenizer.template.count(pair is not None):
        assert max(map(len, rows)) <= length
    if len(untouched) <= length:
        assert [row.ids for row in rows] == [untouched]


@given(
    kind=st.sampled_from(sorted(kind for kind in KINDS if "pad_token" in KINDS[kind]["roles"])),
    texts=st.lists(BUILT, min_size=1, max_size=5),
    side=st.sampled_from(["left", "right"]),
    multiple=st.none() | st.integers(1, 9),
    length=st.none() | st.integers(0, 30),
)
def test_the_mask_is_0_at_padding_and_nowhere_else(kind, texts, side, multiple, length):
    tokenizer = build(kind)
    padding = "longest" if length is None else "max_length"
    options = {"padding": padding, "padding_side": side, "pad_to_multiple_of": multiple}
    rows = tokenizer(texts, max_length=length, **options).encodings
    alone = [tokenizer([text]).encodings[0] for text in texts]
    target = length if length is not None else max(map(len, alone))
    target += -target % (multiple or 1)
    for row, bare in zip(rows, alone, strict=True):
        missing = max(target - len(bare), 0)
        kept = slice(missing, None) if side == "left" else slice(len(bare))
        pads = slice(missing) if side == "left" else slice(len(bare), None)
        assert [column[kept] for column in row.columns()] == bare.columns()
        assert row.ids[pads] == [tokenizer.pad_token_id] * missing
        assert row.attention_mask[pads] == [0] * missing and sum(row.attention_mask) == len(bare)
        assert row.special_tokens_mask[pads] == [1] * missing
        assert row.word_ids[pads] == [None] * missing


LETTERS = st.text("abcdehoklTH\u00e9\u00df\u0416\ud55c", min_size=1, max_size=8)


@pytest.mark.parametrize("kind", ["uncased", "cased", "gpt2 words", "roberta"])
@few
@given(words=st.lists(LETTERS, max_size=8))
def test_words_are_tokenized_as_in_the_text_that_they_make(kind, words):
    tokenizer = build(kind)
    split = tokenizer(words, is_split_into_words=True).encodings[0]
    joined = tokenizer([" ".join(words)]).encodings[0]
    assert split.ids == joined.ids
    assert split.word_ids == joined.word_ids
    starts = [0, *accumulate(len(word) + 1 for word in words)]
    for word, span, whole in zip(split.word_ids, split.offsets, joined.offsets):
        if word is not None and kind != "gpt2 words":  # Its spans hold the space before a word.
            assert whole == tuple(starts[word] + end for end in span)


@every_kind
@few
@given(words=st.lists(TEXTS, min_size=1, max_size=5))
def test_each_word_is_tokenized_as_a_text_of_its_own(kind, words):
    tokenizer = build(kind)
    row = tokenizer(words, is_split_into_words=True, add_special_tokens=False)
    expected = [tokenizer([word], add_special_tokens=False).encodings[0] for word in words]
    assert row["input_ids"] == [id for one in expected for id in one.ids]
    assert row.word_ids() == [number for number, one in enumerate(expected) for _ in one.ids]
    assert row.encodings[0].offsets == [span for one in expected for span in one.offsets]


@every_kind
@few
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_a_batch_is_what_its_texts_are_one_by_one(kind, texts):
    tokenizer = build(kind)
    batch = tokenizer(texts, texts[::-1], return_offsets_mapping=True)
    for place, pair in enumerate(zip(texts, texts[::-1])):
        one = tokenizer(*pair, return_offsets_mapping=True)
        assert {key: rows[place] for key, rows in batch.items()} == dict(one)
