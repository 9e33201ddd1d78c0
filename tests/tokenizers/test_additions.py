"""Added tokens, padding of rows, and pairs in a batch, against recordings of Hugging Face's."""

import inspect
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from tests.tokenizers.recorded import build, read
from tinygrad_llm.tokenizers import (
    AddedToken,
    ByteBPETokenizer,
    Normalizer,
    Tokenizer,
    WordPieceTokenizer,
)
from tinygrad_llm.tokenizers.bytemap import ALPHABET

RECORDED = read("tokenizer_added")
BYTES = {piece: id for id, piece in enumerate(ALPHABET)}
WORDS = {token: id for id, token in enumerate(["[UNK]", "the", "dog", "##s", "ed", "x", "<", "s"])}


def fresh(kind):
    """A tokenizer of a recorded kind that may be changed."""
    return build.__wrapped__(kind)


def token(given):
    return AddedToken(**given) if isinstance(given, dict) else given


def add(tokenizer, steps):
    """What each call of add_tokens returns."""
    return [
        tokenizer.add_tokens(
            [token(one) for one in given] if isinstance(given, list) else token(given),
            special_tokens=special,
        )
        for given, special in steps
    ]


def case_name(case):
    return f"{case['kind']} {case['steps'][0][0]}"[:40]


@pytest.mark.parametrize("case", RECORDED["added"], ids=case_name)
def test_tokens_are_added_as_by_the_library(case):
    tokenizer = fresh(case["kind"])
    assert add(tokenizer, case["steps"]) == case["counts"]
    assert (len(tokenizer), tokenizer.vocab_size) == (case["tokens"], case["vocab_size"])
    for text, (ids, spans) in zip(case["texts"], case["rows"], strict=True):
        (row,) = tokenizer([text]).encodings
        assert row.ids == ids, ascii(text)
        for ours, theirs in zip(row.offsets, spans, strict=True):
            # The library's span has only the first character of what NFC composes.
            composed = unicodedata.is_normalized("NFC", text[slice(*ours)])
            assert list(ours) == theirs or (not composed and ours[0] == theirs[0] < theirs[1])


@pytest.mark.parametrize("case", RECORDED["added"], ids=case_name)
def test_added_tokens_are_decoded_as_by_the_library(case):
    tokenizer = fresh(case["kind"])
    add(tokenizer, case["steps"])
    # The library writes a normalized token as it looks for it, and "é" as if it were a byte.
    bert = isinstance(tokenizer, WordPieceTokenizer) and tokenizer.lowercase
    written = Normalizer().normalize if bert else lambda text: text.replace("é", "\ufffd")
    for (ids, _), said in zip(case["rows"], case["said"], strict=True):
        ours = written(tokenizer.decode(ids, skip_special_tokens=True))
        assert " ".join(ours.split()) == " ".join(written(said).split())


@pytest.mark.parametrize(("rows", "options", "outcome"), RECORDED["padded"])
def test_rows_are_padded_as_by_the_library(rows, options, outcome):
    tokenizer = build("uncased")
    if "raises" in outcome:
        with pytest.raises(ValueError, match="rows have no input_ids, only"):
            tokenizer.pad(rows, **options)
        return
    assert dict(tokenizer.pad(rows, **options)) == outcome["result"]


@pytest.mark.parametrize(("texts", "options", "outcome"), RECORDED["pairs"])
def test_pairs_in_a_batch_are_encoded_as_by_the_library(texts, options, outcome):
    if "raises" in outcome:
        with pytest.raises(TypeError, match=r"text\[0\] is a list; give a string, or a pair"):
            build("uncased")(texts, **options)
        return
    for given in (texts, [tuple(one) if isinstance(one, list) else one for one in texts]):
        assert dict(build("uncased")(given, **options)) == outcome["result"]


def test_words_and_tokens_are_where_the_library_says():
    words, tokens = RECORDED["places"]
    row = build("uncased")("the dogs are [MASK]", "a dog")
    assert [[row.word_to_tokens(i, sequence_index=n) for i in range(6)] for n in range(2)] == [
        [span and tuple(span) for span in each] for each in words
    ]
    assert [row.token_to_chars(i) for i in range(len(tokens))] == [s and tuple(s) for s in tokens]


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_arguments_are_those_of_the_library_but_for_what_the_readme_names(readme):
    text = Path(__file__).parents[2].joinpath(readme).read_text(encoding="utf8")
    (note,) = (
        line.split("|")[3] for line in text.splitlines() if "(texts, padding=True, ret" in line
    )
    ours = inspect.signature(Tokenizer.__call__).parameters
    missing = [name for name in RECORDED["arguments"]["__call__"] if name not in ours]
    assert missing == re.findall("`([a-z_]+)`", note)[: len(missing)]
    pad = inspect.signature(Tokenizer.pad).parameters
    assert [n for n in RECORDED["arguments"]["pad"] if n not in pad] == [
        "encoded_inputs",
        "verbose",
    ]


def test_tokens_as_written_are_found_before_normalized_ones():
    tokenizer = WordPieceTokenizer(WORDS)
    tokenizer.add_tokens("<s>", special_tokens=True)
    tokenizer.add_tokens(AddedToken("x<", special=False, normalized=True))
    assert tokenizer.tokenize("x<s>") == ["x", "<s>"]
    assert tokenizer.tokenize("X<x<") == ["x<", "x<"]


def test_the_last_word_on_a_token_counts():
    tokenizer = WordPieceTokenizer(WORDS)
    ids = tokenizer.encode("the dog")
    for special, said in ((True, "dog"), (False, "the dog"), (True, "dog")):
        assert tokenizer.add_tokens("the", special_tokens=special) == 1
        assert tokenizer.decode(ids, skip_special_tokens=True) == said
        assert ("the" in tokenizer.all_special_tokens) == special
    assert tokenizer.add_tokens(["the", AddedToken("the", special=False)], special_tokens=True) == 0
    assert "the" in tokenizer.all_special_tokens


def test_a_single_word_may_touch_a_token_found_before():
    tokenizer = WordPieceTokenizer(WORDS)
    tokenizer.add_tokens(AddedToken("dog", special=False))
    tokenizer.add_tokens(AddedToken("ed", special=False, single_word=True, normalized=True))
    row = tokenizer("Thedog dogED", return_offsets_mapping=True)
    assert row.tokens() == ["the", "dog", "dog", "ed"]
    assert row.offset_mapping == [(0, 3), (3, 6), (7, 10), (10, 12)]


@pytest.mark.parametrize("prefix", [False, True])
def test_a_normalized_token_is_found_in_composed_text(prefix):
    tokenizer = ByteBPETokenizer(BYTES, [], normalization="NFC", add_prefix_space=prefix)
    assert tokenizer.add_tokens("é") == 1
    row = tokenizer("e\u0301ae\u0301", return_offsets_mapping=True)
    space = ["Ġ"] * prefix
    assert row.tokens() == ["é", *space, "a", "é"]
    assert row.offset_mapping == [(0, 2), *[(2, 2)] * prefix, (2, 3), (3, 5)]
    assert tokenizer.decode(row.input_ids) == f"é{' ' * prefix}aé"


def test_a_space_that_was_put_before_composed_text_stands_nowhere():
    tokenizer = ByteBPETokenizer(BYTES, [], normalization="NFC", add_prefix_space=True)
    row = tokenizer("ae\u0301", return_offsets_mapping=True)
    assert row.offset_mapping == [(0, 0), (0, 1), (1, 3), (1, 3)]


@pytest.mark.parametrize(
    ("rows", "options", "error", "message"),
    [
        ([[1, 2]], {}, TypeError, "pad takes a list of dicts"),
        (3, {}, TypeError, "pad takes a list of dicts"),
        ({"input_ids": [1, 2]}, {}, TypeError, r"input_ids\[0\] is 1; give a list for each row"),
        ([{"input_ids": [1], "x": 1}, {"input_ids": [1]}], {}, ValueError, "row 1 has no x"),
        (
            {"input_ids": [[1]], "attention_mask": [[1, 1]]},
            {},
            ValueError,
            r"attention_mask\[0\] has 2 entries for 1 input_ids",
        ),
        ({"input_ids": [[1]], "label": [1, 2]}, {}, ValueError, "label has 2 rows, but input_ids"),
        ([{"input_ids": [1]}], {"max_length": 3}, ValueError, "max_length goes with padding="),
        ([{"input_ids": [1]}], {"padding": "all"}, ValueError, "padding is 'all'"),
        (
            [{"input_ids": [1], "labels": [1]}, {"input_ids": [1, 2], "labels": [1, 2]}],
            {"return_tensors": "np"},
            ValueError,
            "labels has entries of different lengths",
        ),
        (
            [{"input_ids": [1], "text": "a"}],
            {"return_tensors": "np"},
            ValueError,
            "text is not all numbers",
        ),
        (
            {"input_ids": [[1], [1, 2]]},
            {"padding": False, "return_tensors": "np"},
            ValueError,
            "rows of 1 to 2 tokens make no array",
        ),
    ],
)
def test_what_cannot_be_padded(rows, options, error, message):
    with pytest.raises(error, match=message):
        build("uncased").pad(rows, **options)


def test_padded_rows_are_arrays_for_a_model():
    tokenizer = build("uncased")
    rows = [dict(tokenizer(text, return_offsets_mapping=True)) for text in ("the", "a dog")]
    rows = [{**row, "input_ids": np.array(row["input_ids"]), "label": 0.5} for row in rows]
    before = [row["attention_mask"][:] for row in rows]
    batch = tokenizer.pad(rows, pad_to_multiple_of=8, return_tensors="np")
    shapes = {key: array.shape for key, array in batch.items()}
    spans = shapes.pop("offset_mapping")
    assert (shapes.pop("label"), set(shapes.values()), spans) == ((2,), {(2, 8)}, (2, 8, 2))
    assert {batch[key].dtype for key in shapes} == {np.dtype("int64")}
    assert batch.label.dtype == float
    assert [row["attention_mask"] for row in rows] == before
    with pytest.raises(ValueError, match="no encodings: it was made by pad"):
        batch.tokens()
    expected = tokenizer(["the", "a dog"], padding=True, pad_to_multiple_of=8, return_tensors="np")
    assert all(np.array_equal(batch[key], expected[key]) for key in expected)
    assert tokenizer.pad([], return_tensors="np").input_ids.shape == (0, 0)
