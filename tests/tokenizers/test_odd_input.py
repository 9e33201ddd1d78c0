"""Input that nobody means: it is refused in one line, or takes no longer than other input."""

import json
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.tokenizers import (
    AddedToken,
    ByteBPETokenizer,
    CharTokenizer,
    Template,
    Tokenizer,
    WordPieceTokenizer,
)
from tinygrad_llm.tokenizers.added import Finder
from tinygrad_llm.tokenizers.bytemap import ALPHABET
from tinygrad_llm.tokenizers.composition import compose
from tinygrad_llm.tokenizers.published import read_folder
from tinygrad_llm.tokenizers.words import remove_stop_words

TEXTS = ["the cat sat on the mat", "the cat sat"]
BYTES = {piece: id for id, piece in enumerate(ALPHABET)}
NAMES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = {token: id for id, token in enumerate([*NAMES, "the", "cat", "##s"])}

every_class = pytest.mark.parametrize("kind", [CharTokenizer, ByteBPETokenizer, WordPieceTokenizer])


@pytest.fixture
def letters():
    return CharTokenizer.train(TEXTS)


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@pytest.mark.parametrize(
    ("vocab", "error", "message"),
    [
        (["a", "b"], TypeError, "vocab is of type list"),
        ({1: 300}, TypeError, "vocab has 1: 300"),
        ({"zz": "300"}, TypeError, "vocab has 'zz': '300'"),
        ({"zz": True}, TypeError, "vocab has 'zz': True"),
        ({"zz": 300.0}, TypeError, r"vocab has 'zz': 300\.0"),
        ({"zz": -1}, ValueError, "'zz' has the id -1"),
        ({"": 300}, ValueError, "the token with the id 300 is empty"),
        ({"\ud800": 300}, ValueError, "lone surrogate"),
        ({"yy": 300, "zz": 300}, ValueError, "'yy' and 'zz' the same id, 300"),
    ],
)
def test_what_is_no_vocabulary(vocab, error, message):
    whole = {CharTokenizer: {}, ByteBPETokenizer: BYTES, WordPieceTokenizer: WORDS}
    for kind, rest in whole.items():
        given = {**rest, **vocab} if isinstance(vocab, dict) else vocab
        with pytest.raises(error, match=message):
            kind(given, *([[]] if kind is ByteBPETokenizer else []))


@pytest.mark.parametrize("merge", ["a b", ("a",), ("a", "b", "c"), None])
def test_a_merge_is_a_pair(merge):
    with pytest.raises(ValueError, match="give two pieces"):
        ByteBPETokenizer(BYTES, [merge])


@every_class
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"vocab_size": 300.5}, TypeError, r"vocab_size is 300\.5"),
        ({"vocab_size": "300"}, TypeError, "vocab_size is '300'"),
        ({"vocab_size": True}, TypeError, "vocab_size is True"),
        ({"min_frequency": 1.5}, TypeError, r"min_frequency is 1\.5"),
        ({"min_frequency": "2"}, TypeError, "min_frequency is '2'"),
        ({"min_frequency": 0}, ValueError, "min_frequency must be at least 1"),
        ({"special_tokens": "[UNK]"}, TypeError, "special_tokens is one string"),
        ({"special_tokens": None}, TypeError, "special_tokens is a NoneType"),
        ({"special_tokens": {"pad_token": "[PAD]"}}, TypeError, "special_tokens is a dict; for tr"),
        ({"special_tokens": iter(["[UNK]"])}, TypeError, "special_tokens is a list_iterator"),
        ({"special_tokens": ["[UNK]", "[UNK]"]}, ValueError, r"'\[UNK\]' is empty or there twice"),
        ({"special_tokens": ["[UNK]", ""]}, ValueError, "'' is empty or there twice"),
        ({"special_tokens": ["[UNK]", 5]}, TypeError, "5: 1"),
        ({"special_tokens": ["[UNK]", "\ud800"]}, ValueError, "lone surrogate"),
        ({"texts": b"the cat"}, TypeError, "texts is one string"),
    ],
)
def test_training_that_nobody_means(kind, arguments, error, message):
    with pytest.raises(error, match=message):
        kind.train(**{"texts": TEXTS, "vocab_size": 300, **arguments})


@every_class
def test_numpys_integers_are_integers(kind):
    tokenizer = kind.train(TEXTS, np.int64(300))
    cut = tokenizer("the cat", truncation=True, max_length=np.int64(3))
    assert cut["input_ids"] == tokenizer.encode("the cat", truncation=True, max_length=3)
    with pytest.raises(ValueError, match="max_length is True"):
        tokenizer("the cat", truncation=True, max_length=True)


@every_class
def test_special_tokens_of_training_are_found_with_a_role_or_without(kind):
    tokenizer = kind.train(TEXTS, 300, special_tokens=("[UNK]", "[USER]"))
    ids = tokenizer.encode("[USER]the")
    assert ids[0] == tokenizer.vocab["[USER]"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "the"
    flagged = AddedToken("[USER]", 1, lstrip=True)
    spaced = kind.train(TEXTS, 300, special_tokens=("[UNK]", "[USER]"), added_tokens=[flagged])
    assert spaced.encode("  [USER]") == [1]


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        (["x", 5], TypeError, "tokens has 5; give strings or AddedTokens"),
        ([None], TypeError, "tokens has None"),
        (5, TypeError, "tokens is 5; give a string, an AddedToken, or a list"),
        (None, TypeError, "tokens is None"),
        (b"x", TypeError, "tokens is b'x'"),
        ({"x": 90}, TypeError, "tokens is {'x': 90}"),
        (AddedToken("x", 90), ValueError, "'x' has the id 90, but would get"),
        (AddedToken(5), TypeError, "5: 0"),
        (["x", "\ud800"], ValueError, "lone surrogate"),
        (["x", ""], ValueError, "is empty"),
    ],
)
def test_tokens_that_cannot_be_added_leave_the_tokenizer_as_it_was(letters, tokens, error, message):
    before = dict(letters.vocab)
    with pytest.raises(error, match=message):
        letters.add_tokens(tokens)
    assert letters.vocab == before
    assert letters.decode(letters.encode("the cat")) == "the cat"


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        (["x"], TypeError, "added_tokens has 'x'; give AddedToken"),
        ([AddedToken(5, 1)], TypeError, "5: 1"),
        ([AddedToken("x", True)], TypeError, "'x': True"),
        ([AddedToken("x", -1)], ValueError, "'x' has the id -1"),
        ([AddedToken("x", 1), AddedToken("x", 2)], ValueError, "'x' has the ids 1 and 2"),
    ],
)
def test_what_is_no_added_token(tokens, error, message):
    with pytest.raises(error, match=message):
        CharTokenizer({"a": 0}, added_tokens=tokens)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ("12", "ids is the text '12'; give integers"),
        (["1"], "an id is '1'"),
        ([1.7], r"an id is 1\.7"),
        (np.array([1.0]), r"an id is 1\.0"),
        ([None], "an id is None"),
        (None, "ids is a NoneType"),
        ({"input_ids": [1]}, "an id is 'input_ids'"),
    ],
)
def test_ids_are_integers(letters, ids, message):
    with pytest.raises(TypeError, match=message):
        letters.decode(ids)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("padding_side", "Left", ValueError),
        ("truncation_side", None, ValueError),
        ("model_max_length", 0, ValueError),
        ("model_max_length", "8", TypeError),
        ("model_input_names", "input_ids", TypeError),
        ("model_input_names", [1], TypeError),
        ("template", ["[CLS]", "$A"], TypeError),
        ("template", Template(("[X]", "$A"), ("$A", "$B")), ValueError),
    ],
)
def test_what_is_set_is_checked_and_else_stays(name, value, error):
    tokenizer = WordPieceTokenizer(WORDS)
    before = getattr(tokenizer, name)
    with pytest.raises(error, match=name):
        setattr(tokenizer, name, value)
    assert getattr(tokenizer, name) is before


def test_what_is_set_has_an_effect():
    tokenizer = WordPieceTokenizer(WORDS)
    tokenizer.padding_side, tokenizer.model_max_length = "left", np.int64(4)
    tokenizer.model_input_names = ["input_ids"]
    assert dict(tokenizer("the", padding="max_length")) == {"input_ids": [0, 2, 5, 3]}
    tokenizer.template = Template(("the", "$A"), ("$A", "$B"))
    assert tokenizer.encode("cat") == [5, 6]
    assert tokenizer.tokenize("thecat") == ["the", "cat"]


@pytest.mark.parametrize(
    "name", ["lowercase", "strip_accents", "tokenize_chinese_chars", "max_chars"]
)
def test_the_rules_of_wordpiece_are_read_and_not_set(name):
    tokenizer = WordPieceTokenizer(WORDS, lowercase=False, strip_accents=True, max_chars=7)
    assert (tokenizer.lowercase, tokenizer.strip_accents) == (False, True)
    assert (tokenizer.tokenize_chinese_chars, tokenizer.max_chars) == (True, 7)
    with pytest.raises(AttributeError):
        setattr(tokenizer, name, True)


@pytest.mark.parametrize(
    ("length", "error"), [("5", TypeError), (1e30, TypeError), (True, TypeError), (0, ValueError)]
)
def test_a_length_is_a_positive_integer(length, error):
    with pytest.raises(error, match="model_max_length is"):
        CharTokenizer({"a": 0}, model_max_length=length)


@pytest.mark.parametrize("first", ["[CLS]:0", "x:1", ":0"])
def test_a_name_may_end_as_a_type_does(first, tmp_path):
    roles = {"unk_token": "[UNK]", "cls_token": first, "sep_token": "s:7"}
    vocab = {"[UNK]": 0, first: 1, "s:7": 2, "a": 3}
    tokenizer = WordPieceTokenizer(vocab, special_tokens=roles)
    assert tokenizer.encode("a", "a") == [1, 3, 2, 3, 2]
    tokenizer.save_pretrained(tmp_path)
    assert Tokenizer.from_pretrained(tmp_path).template == tokenizer.template


@pytest.mark.parametrize("single", ["[CLS] $A [SEP]", [5, "$A"]])
def test_a_template_is_a_list_of_strings(single):
    with pytest.raises(TypeError, match="single must be a list"):
        Template(single, ("$A", "$B"))


def test_a_vocabulary_that_fits_no_lines_is_saved_without_them(tmp_path):
    WordPieceTokenizer(WORDS).save_pretrained(tmp_path)
    tokenizer = WordPieceTokenizer(WORDS)
    tokenizer.add_tokens([AddedToken("\n"), AddedToken("  ")])
    tokenizer.save_pretrained(tmp_path)
    assert not (tmp_path / "vocab.txt").exists()
    again = Tokenizer.from_pretrained(tmp_path)
    assert again.tokenize("the\ncat  the") == ["the", "\n", "cat", "  ", "the"]


@pytest.mark.parametrize("name", ["vocab.txt", "vocab.json", "merges.txt"])
def test_errors_show_no_endless_tokens(name, tmp_path):
    long = "x" * 10**5
    files = {
        "vocab.txt": {"vocab.txt": f"[UNK]\n{long}\n{long}\n"},
        "vocab.json": {"vocab.json": f'{{"a": 1, "{long}": 1}}', "merges.txt": ""},
        "merges.txt": {"vocab.json": json.dumps(BYTES), "merges.txt": f"a {long}\n"},
    }[name]
    for file, content in files.items():
        Path(tmp_path, file).write_text(content, encoding="utf8")
    with pytest.raises(ValueError, match=rf"{name}.*\.\.\. \(100000 characters\)") as caught:
        read_folder(tmp_path)
    assert len(str(caught.value)) < 600


def test_windows_that_nobody_asks_for_are_not_made():
    tokenizer = WordPieceTokenizer(WORDS)
    text = "the cat " * 1000
    row = tokenizer(text, text, truncation=True, max_length=7)
    assert len(row["input_ids"]) == 7 and not row.encodings[0].overflowing
    assert seconds(lambda: tokenizer(text, text, truncation=True, max_length=7)) < 2


def test_marks_in_disorder_take_no_long_time():
    text = "a" + "\u0301\u0316" * 30_000
    assert seconds(lambda: compose(text)) < 3


@given(
    st.lists(st.sampled_from(["a", "\u0301", "\u0316", "\u0327", "\u0344", "ế", "ᄒ", "ᅡ", "ᆫ"]))
    | st.text("\u0301\u0316\u0327\u0308a", min_size=60),
)
def test_long_runs_of_marks_are_composed_as_unicode_says(parts):
    text = "e" + "".join(parts) * 9
    assert compose(text)[0] == unicodedata.normalize("NFC", text)


def test_tokens_of_white_space_that_take_white_space_take_no_long_time():
    tokens = {"  ": AddedToken("  ", 1, lstrip=True, rstrip=True)}
    found = []
    assert seconds(lambda: found.extend(Finder(tokens).sections(" " * 30_000))) < 2
    assert [section[:2] for section in found] == [(0, 30_000)]


def test_many_added_tokens_take_no_longer_than_few(letters):
    letters.add_tokens([f"{a}{b}{c}{d}" for a in "abcdefghij" for b in "xyz" * 9 for c in "12345678"
                        for d in range(100)])  # fmt: skip
    text = "the cat sat on the mat and had its hat " * 1000
    assert len(letters) > 20_000
    assert seconds(lambda: letters.encode(text)) < 5


@given(st.text("abc", max_size=30), st.lists(st.text("abc", min_size=1, max_size=4), max_size=6))
def test_the_longest_token_from_the_left_is_found(text, names):
    tokens = {name: AddedToken(name, i) for i, name in enumerate(names)}
    expected, at = [], 0
    while at < len(text):
        fitting = [name for name in tokens if text.startswith(name, at)]
        name = max(fitting, key=len, default=text[at])
        expected += [(at, at + len(name), tokens[name])] if fitting else []
        at += len(name)
    found = [section for section in Finder(tokens).sections(text) if section[2]]
    assert found == expected


def test_an_added_token_of_which_nothing_is_left_is_not_found():
    accent = AddedToken("\u0301", 8, normalized=True, lstrip=True, rstrip=True)
    tokenizer = WordPieceTokenizer(WORDS, added_tokens=[accent])
    assert tokenizer.tokenize("the  cats") == ["the", "cat", "##s"]


def test_words_may_come_from_a_generator():
    assert remove_stop_words((word for word in ["the", "cat"]), "english") == ["cat"]
