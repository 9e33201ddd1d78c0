"""Tests of rows as token ids: those of the tokenizer's own call, what is cut, and long texts."""

from __future__ import annotations

import re
import tracemalloc
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.common import bert
from tinygrad_llm import nn
from tinygrad_llm.data import DataLoader, corpora
from tinygrad_llm.finetune.examples import LONG, encode, encoded, length, notes, pad_id
from tinygrad_llm.finetune.rows import Part
from tinygrad_llm.tokenizers import ByteBPETokenizer, CharTokenizer, Template, WordPieceTokenizer
from tinygrad_llm.tokenizers.wordpiece import SPECIAL_TOKENS

CHINESE = corpora.paragraphs()[:40]
ENGLISH = [
    "The river rose again, and the old bridge could not bear it.",
    "Nobody had asked for a second opinion; they got three.",
    "It's 21 degrees in the shade — and there isn't any shade!",
]
AROUND = {
    "special_tokens": SPECIAL_TOKENS,
    "template": Template.around("[CLS]", "[SEP]"),
    "model_input_names": ("input_ids", "token_type_ids", "attention_mask"),
}
KINDS = ("wordpiece", "bpe", "characters", "plain")


@cache
def tokenizer(kind: str = "wordpiece") -> Any:
    texts = CHINESE + ENGLISH * 5
    if kind == "wordpiece":
        return WordPieceTokenizer.train(texts, 1200)
    if kind == "bpe":
        return ByteBPETokenizer.train(texts, 700, **AROUND)
    return CharTokenizer.train(texts, **(AROUND if kind == "characters" else {}))


def part(texts: list[str], seconds: list[str] | None = None, labels: Any = None) -> Part:
    """Rows that stand in every second line of a file."""
    lines = [2 * i + 1 for i in range(len(texts))]
    labels = np.arange(len(texts)) % 3 if labels is None else labels
    return Part(texts, seconds, labels, lines, "folder/rows.tsv")


def ids(examples: Any) -> list[list[int]]:
    return [examples[i]["input_ids"].tolist() for i in range(len(examples))]


TEXTS = st.lists(
    st.text(min_size=1, max_size=30)
    | st.lists(st.sampled_from([*ENGLISH, *CHINESE]), min_size=1, max_size=3).map(" ".join),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12)
@given(TEXTS, TEXTS, st.integers(5, 60))
def test_rows_are_those_of_the_tokenizers_own_call(kind, texts, others, most):
    own = tokenizer(kind)
    texts = [text for text in texts if own(text)["input_ids"]] or ["a"]
    seconds = [others[i % len(others)] for i in range(len(texts))]
    for second in (None, seconds):
        examples = encode(part(texts, second), own, most)
        pairs = zip(texts, second or [None] * len(texts))
        called = [own(*pair, truncation=True, max_length=most) for pair in pairs]
        assert ids(examples) == [each["input_ids"] for each in called]
        for i, each in enumerate(called):
            row = examples[i]
            assert set(row) - {"labels"} == set(each) - {"attention_mask"}
            if kind != "plain":
                assert row["token_type_ids"].tolist() == each["token_type_ids"]
                assert row["token_type_ids"].dtype == np.int64
            assert row["input_ids"].dtype == np.int64


def test_the_longer_text_of_a_pair_gives_way_first():
    own = tokenizer("characters")
    given_parts = part(["abcdefgh", "ab", "abcdefgh"], ["ab", "abcdefgh", "abcdefgh"])
    rows = [own.decode(row) for row in ids(encode(given_parts, own, 10))]
    assert rows == [
        "[CLS]abcde[SEP]ab[SEP]",
        "[CLS]ab[SEP]abcde[SEP]",
        "[CLS]abc[SEP]abcd[SEP]",
    ]


def test_a_tokenizer_that_cuts_at_the_left_cuts_there():
    own = CharTokenizer.train(["abcdef"], truncation_side="left")
    assert own.decode(ids(encode(part(["abcdef", "f" * LONG + "abc"]), own, 3))[1]) == "abc"


def test_labels_are_classes_or_numbers():
    texts = ENGLISH[:2]
    classes = encode(part(texts), tokenizer(), 16)
    numbers = encode(part(texts, labels=np.float32([0.5, -2])), tokenizer(), 16)
    batches = [each.collate_fn([each[0], each[1]])["labels"] for each in (classes, numbers)]
    assert [batch.tolist() for batch in batches] == [[0, 1], [0.5, -2]]
    assert [batch.dtype for batch in batches] == [np.int64, np.float32]


def test_rows_end_where_the_part_does():
    examples = encode(part(ENGLISH), tokenizer(), 16)
    assert len(examples) == 3
    assert examples[-1]["input_ids"].tolist() == examples[2]["input_ids"].tolist()
    for index in (3, -4):
        with pytest.raises(IndexError):
            examples[index]


# Padding


@settings(max_examples=20)
@given(st.lists(st.sampled_from([*ENGLISH, *CHINESE, "好"]), min_size=1, max_size=5), st.booleans())
def test_a_batch_is_padded_as_the_tokenizer_pads(texts, paired):
    own = tokenizer()
    examples = encode(part(texts, texts[::-1] if paired else None), own, 24)
    batch = examples.collate_fn([examples[i] for i in range(len(texts))])
    labels = batch.pop("labels")
    called = own(
        *((texts, texts[::-1]) if paired else (texts,)),
        padding=True, truncation=True, max_length=24, return_tensors="np",
    )  # fmt: skip
    assert set(batch) == set(called) == {"input_ids", "token_type_ids", "attention_mask"}
    assert all(np.array_equal(batch[name], called[name]) for name in batch)
    assert labels.tolist() == [i % 3 for i in range(len(texts))]


def test_padding_is_the_tokenizers_own_token_and_on_the_right_whatever_its_side():
    own = CharTokenizer.train(
        ["abc"],
        special_tokens=("[UNK]", "[PAD]"),
        padding_side="left",
        model_input_names=["input_ids", "token_type_ids"],
    )
    examples = encode(part(["abc", "b"], ["c", "c"]), own, 8)
    batch = examples.collate_fn([examples[0], examples[1]])
    assert pad_id(own) == 1
    assert batch["input_ids"].tolist() == [[2, 3, 4, 4], [3, 4, 1, 1]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 1], [0, 1, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]


def test_a_batch_fits_a_model_and_padding_changes_nothing():
    own = tokenizer()
    model = bert("BertForSequenceClassification", num_labels=3, vocab_size=len(own))
    examples = encode(part(["好", CHINESE[0]]), own, 12)
    with nn.evaluating(model):
        both = model(**examples.collate_fn([examples[0], examples[1]]))
        alone = model(**examples.collate_fn([examples[0]]))
    assert both.logits.numpy()[0] == pytest.approx(alone.logits.numpy()[0], abs=1e-5)
    assert np.isfinite(both.loss.item())


def test_rows_of_like_length_make_batches():
    examples = encode(part([*CHINESE, *ENGLISH, "好", "球"]), tokenizer(), 64)
    assert [length(examples[i]) for i in (-1, 0)] == [3, 64]
    loader = DataLoader(examples, 2, length=length, collate_fn=examples.collate_fn)
    widths = [batch["input_ids"].shape[1] for batch in loader]
    assert min(widths) == 3 and max(widths) == 64


# What is told of them


def test_what_was_cut_is_counted_and_the_longest_is_named_by_its_line():
    own = tokenizer("characters")
    examples = encode(part(["a" * 14, "b" * 15, "a" * 30, "b" * 30]), own, 16)
    assert (examples.cut, examples.longest, examples.estimated) == (3, (32, 5), False)
    assert notes(examples) == [
        "cut at 16 tokens: 3 of 4 texts, 75.0%;\n  the longest has 32 (line 5)"
    ]
    pairs = encode(part(["a" * 7, "b" * 7], ["c" * 6, "d" * 7]), own, 16)
    assert (pairs.cut, pairs.longest) == (1, (17, 3))
    assert "1 of 2 texts, 50.0%;" in notes(pairs)[0]


def test_what_is_told_says_which_part_it_is_of():
    """Of all three things, each within a terminal however many rows there are."""
    own = tokenizer()
    texts = ["a " * 30, "\u200b", "a " * 10 + "Ω"]
    for use in ("to learn from", "to choose by", "to judge by"):
        cut, empty, unknown = notes(encode(part(texts), own, 16), use)
        assert cut.startswith(f"cut at 16 tokens: 1 of 3 texts {use}, 33.3%;\n")
        assert empty == f"without any token: 1 text {use} (the first in line 3)"
        assert unknown == f"the tokenizer has no token for 4.0% of the text {use}"
        (most,) = notes(encode(part(["Ω"]), own, 16), use)
        assert most.startswith(f"warning: the tokenizer has no token for 100.0% of the text {use}:")
        assert max(map(len, f"{cut}\n{empty}\n{most}".splitlines())) <= 80


def test_of_rows_that_fit_nothing_is_said():
    examples = encode(part(ENGLISH), tokenizer(), 64)
    assert (examples.cut, examples.unknown, examples.empty, notes(examples)) == (0, 0.0, [], [])


def test_the_share_of_what_the_tokenizer_does_not_know_is_told():
    own = tokenizer("characters")
    few = encode(part(["aaaaaaaaaaaaaaaaaaa Ω" * 4, "a" * 16]), own, 200)
    assert few.unknown == 4 / 100
    assert notes(few) == ["the tokenizer has no token for 4.0% of the text"]
    (said,) = notes(encode(part(["a" * 9 + "Ω"]), own, 200))
    assert said.startswith("warning: the tokenizer has no token for 10.0% of the text:\n  texts")
    assert all(len(line) <= 80 for line in said.splitlines())
    assert encode(part(["Ω a"]), tokenizer("bpe"), 9).unknown == 0.0  # it has no need of [UNK]


def test_special_tokens_of_pairs_are_neither_known_nor_unknown_text():
    examples = encode(part(["aaΩ", "\u200b"], ["b", "\u200b"]), tokenizer(), 16)
    assert (examples.unknown, examples.empty) == (1 / 2, [3])  # "aaΩ" is one word


def test_only_what_is_left_of_a_text_counts_as_unknown():
    examples = encode(part(["aaaa" + "Ω" * 50]), tokenizer("characters"), 10)
    assert examples.unknown == 4 / 8


def test_texts_without_a_token_are_told_by_their_lines():
    examples = encode(part(["a", "\u200b", "\u200b\u200b"]), tokenizer(), 16)
    assert examples.empty == [3, 5] and length(examples[1]) == 2
    assert notes(examples) == ["without any token: 2 texts (the first in line 3)"]
    assert notes(encode(part(["\u200b", "a"]), tokenizer(), 16)) == [
        "without any token: 1 text (the first in line 1)"
    ]


# Long texts

JOINED = "".join(CHINESE)
LINES = {
    "chinese": JOINED * (100_000 // len(JOINED) + 1),
    "chinese without marks": re.sub(r"\W", "", JOINED) * 20,
    "english": " ".join(ENGLISH) * 800,
    "english without spaces": re.sub(r"\W", "", "".join(ENGLISH)) * 1000,
    "one letter": "a" * 100_000,
    "one ideograph": "好" * 100_000,
    "spaces": "a" + " " * 99_998 + "b",
    "words far apart": ("word" + " " * 400) * 250,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", LINES)
def test_a_very_long_line_is_cut_like_any_other(kind, line):
    own, text = tokenizer(kind), LINES[line][:25_000]
    examples = encode(part(["b", text]), own, 128)
    called = own(text, truncation=True, max_length=128)["input_ids"]
    assert ids(examples)[1] == called
    if len(called) == 128:
        assert (examples.cut, examples.longest[1]) == (1, 3)


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("line", ["chinese without marks", "english", "one ideograph"])
def test_a_very_long_line_costs_little(kind, line):
    given_part = part([LINES[line][:100_000]])
    tracemalloc.start()
    encode(given_part, tokenizer(kind), 128)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert memory < 8 * 2**20


def test_the_tokens_of_a_long_text_are_estimated():
    own = tokenizer("characters")
    examples = encode(part(["b", "好" * 100_000]), own, 128)
    assert (examples.longest, examples.estimated) == ((100_002, 3), True)
    assert notes(examples) == [
        "cut at 128 tokens: 1 of 2 texts, 50.0%;\n  the longest has about 100,002 (line 3)"
    ]
    whole = encode(part(["好" * LONG]), own, 128)
    assert (whole.longest, whole.estimated) == ((LONG + 2, 1), False)


def test_a_long_text_of_few_tokens_is_read_to_its_end():
    words = ("word" + " " * 3000) * 40  # 120,000 characters, fewer tokens than a row has
    examples = encode(part([words]), tokenizer(), 256)
    tokens = len(tokenizer()(words)["input_ids"])
    assert (examples.longest, examples.estimated, examples.cut) == ((tokens, 1), False, 0)


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("place", [0, 1])
def test_a_long_text_of_a_pair_gives_way_to_the_other(kind, place):
    own, long = tokenizer(kind), LINES["chinese"][:16_000]
    for other in ("好", long[:9_000]):
        pair = (other, long) if place else (long, other)
        for most in (32, 33):
            examples = encode(part([pair[0]], [pair[1]]), own, most)
            assert ids(examples) == [own(*pair, truncation=True, max_length=most)["input_ids"]]
            assert examples.estimated
    both = encode(part([long], [long]), own, 32)
    assert length(both[0]) == 32 and both.estimated


@pytest.mark.parametrize("shift", [0, 200, 400])
def test_a_long_word_at_the_end_of_what_is_read_is_read_as_in_the_whole_text(shift):
    """Cut in two it would be known, and as a whole it is not: it has over 500 characters."""
    own = WordPieceTokenizer(tokenizer().vocab, max_chars=500)
    word = "a" * 501 + " "
    start = LONG - 100 - shift - 8000
    text = "b " * 4000 + "a" * (start - 1) + " " + word + "b " * 4000
    most = 4000 + 1 + 4
    called = own(text, truncation=True, max_length=most)["input_ids"]
    assert ids(encode(part([text]), own, most)) == [called]


# What is refused


@pytest.mark.parametrize(
    ("seconds", "most", "error", "message"),
    [
        (None, 2, ValueError, "max_length is 2; give a whole number from 3"),
        (["b"], 4, ValueError, "max_length is 4; give a whole number from 5"),
        (None, 16.0, TypeError, "max_length is 16.0; give a whole number from 3"),
        (None, True, TypeError, "max_length is True; give a whole number from 3"),
    ],
)
def test_a_row_has_room_for_text(seconds, most, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        encode(part(["a"], seconds), tokenizer(), most)
    assert len(ids(encode(part(["好"]), tokenizer(), 3))[0]) == 3


def test_a_tokenizer_has_a_token_to_pad_with():
    own = CharTokenizer.train(["abc"], special_tokens=("[UNK]",))
    with pytest.raises(ValueError, match=r"^the tokenizer has no pad_token, .*; give it one: "):
        encode(part([""]), own, 16)  # before any text is read


def test_a_row_has_a_token():
    own = ByteBPETokenizer.train(["a"], 260, special_tokens=("[PAD]",))
    said = r"^folder/rows\.tsv, line 3: the tokenizer makes no token of the text; remove it$"
    with pytest.raises(ValueError, match=said):
        encode(part(["a", ""]), own, 16)


def test_what_is_no_tokenizer_and_no_part_is_refused():
    with pytest.raises(TypeError, match=r"^encode: takes a Tokenizer, not str$"):
        encode(part(["a"]), "bert-base-chinese", 16)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^encode: the part has no rows; give at least one$"):
        encode(part([]), tokenizer(), 16)


def test_texts_without_labels_are_rows_too():
    (row,) = encoded(["好球"], None, tokenizer("characters"), 16)
    assert row.tokens == len(row.ids) == len(row.types) == 4


@pytest.mark.parametrize(("quiet", "disable"), [(True, True), (False, None)])
def test_a_bar_of_texts_shows_on_a_terminal_alone_unless_quiet(monkeypatch, quiet, disable):
    def bar(rows: Any, *_: Any, **options: Any) -> Any:
        told.append(options["disable"])
        return rows

    told: list[Any] = []
    monkeypatch.setattr("tqdm.tqdm", bar)
    assert len(encode(part(ENGLISH), tokenizer(), 16, quiet)) == 3
    assert told == [disable]
