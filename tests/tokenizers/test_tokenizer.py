"""What the three kinds share: roles, templates, batches, decoding, and what they refuse."""

import copy
import doctest
import pickle

import numpy as np
import pytest

from tinygrad_llm import tokenizers
from tinygrad_llm.tokenizers import (
    AddedToken,
    ByteBPETokenizer,
    CharTokenizer,
    Template,
    Tokenizer,
    WordPieceTokenizer,
)
from tinygrad_llm.tokenizers.attributes import Role, RoleId

TEXTS = ["the quick brown fox jumps over the lazy dog.", "今天天气很好,我们去公园。"]


@pytest.fixture(scope="module")
def words():
    return WordPieceTokenizer.train(TEXTS * 3, 150)


@pytest.fixture(scope="module")
def pieces():
    return ByteBPETokenizer.train(TEXTS * 3, 300, special_tokens=("<|endoftext|>", "<pad>"))


@pytest.fixture(scope="module")
def characters():
    return CharTokenizer.train(TEXTS)


def test_the_base_is_not_built():
    with pytest.raises(TypeError, match="abstract"):
        Tokenizer({"a": 0})


def test_usual_tokens_get_their_roles(words, pieces, characters):
    assert (words.cls_token, words.cls_token_id) == ("[CLS]", words.vocab["[CLS]"])
    assert words.bos_token is None and words.bos_token_id is None
    assert pieces.eos_token == pieces.bos_token == "<|endoftext|>"
    assert pieces.pad_token_id == 1
    assert characters.unk_token_id == 1
    assert isinstance(WordPieceTokenizer.pad_token, Role)
    assert isinstance(WordPieceTokenizer.pad_token_id, RoleId)


def test_a_role_can_be_set_and_taken_away():
    tokenizer = ByteBPETokenizer.train(TEXTS, 260)
    with pytest.raises(
        ValueError, match=r"set tokenizer.pad_token = tokenizer.eos_token, or train"
    ):
        tokenizer(TEXTS, padding=True)
    tokenizer.pad_token = tokenizer.eos_token
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 0
    assert tokenizer(["a", "ab"], padding=True)["input_ids"][0][-1] == 0
    tokenizer.pad_token = None
    assert tokenizer.pad_token_id is None
    with pytest.raises(ValueError, match=r"pad_token '<pad>' is not in the vocabulary"):
        tokenizer.pad_token = "<pad>"
    with pytest.raises(AttributeError, match="set pad_token, not pad_token_id"):
        tokenizer.pad_token_id = 3
    with pytest.raises(ValueError, match="'end_token' is no role"):
        tokenizer.set_role("end_token", "a")


def test_a_token_with_a_role_is_found_wherever_it_stands():
    tokenizer = ByteBPETokenizer.train(TEXTS, 300)
    assert "he" in tokenizer.vocab and tokenizer.tokenize("xheb") == ["x", "he", "b"]
    assert tokenizer.tokenize("they") != ["t", "he", "y"]
    tokenizer.mask_token = "he"
    assert tokenizer.tokenize("they") == ["t", "he", "y"]


def test_added_tokens_stand_at_the_end_and_are_found():
    tokenizer = WordPieceTokenizer.train(TEXTS, 120)
    before = len(tokenizer)
    assert "the" in tokenizer.vocab and tokenizer.tokenize("thebox")[0] != "the"
    assert tokenizer.add_tokens(["[NAME]", "the", "[NAME]", "<x>"]) == 3
    assert (len(tokenizer), tokenizer.vocab_size) == (before + 2, before)
    assert tokenizer.vocab["[NAME]"] == before
    assert tokenizer.tokenize("thebox")[0] == "the"
    assert tokenizer.add_tokens("[NAME]") == 0
    assert "[NAME]" in tokenizer.tokenize("a [NAME]b")
    assert tokenizer.decode([tokenizer.vocab["[NAME]"]], skip_special_tokens=True) == "[NAME]"
    assert tokenizer.add_tokens("[END]", special_tokens=True) == 1
    assert tokenizer.decode([tokenizer.vocab["[END]"]], skip_special_tokens=True) == ""
    with pytest.raises(ValueError, match="is empty"):
        tokenizer.add_tokens([""])


def test_a_normalized_token_is_found_in_the_normalized_text(words):
    added = [AddedToken("Café", 500, special=False, normalized=True)]
    tokenizer = WordPieceTokenizer(words.vocab, added_tokens=added)
    row = tokenizer("the CAFÉ, cafe\u0301s [MASK]", return_offsets_mapping=True)
    assert row.tokens() == [
        "[CLS]", "the", "Café", ",", "Café", "s", "[MASK]", "[SEP]"
    ]  # fmt: skip
    assert row["offset_mapping"][2] == (4, 8)
    assert row.word_ids() == [None, 0, 1, 2, 3, 4, 5, None]


def test_pairs_have_types_and_sequences(words):
    row = words("the dog", "lazy fox.")
    assert row["token_type_ids"] == [0] * (row.sequence_ids().count(0) + 2) + [1] * (
        row.sequence_ids().count(1) + 1
    )
    assert row.encodings[0].char_to_token(4) == row.tokens().index("dog")
    assert row.char_to_token(4) == row.char_to_token(0, 4) == row.tokens().index("dog")
    assert row.char_to_token(0, 0, sequence_index=1) == row.sequence_ids().index(1)
    assert row.char_to_token(0, 3) is None  # a space


def test_positions_are_looked_up_in_one_row_or_a_named_one(words):
    batch = words(["the dog", "lazy"])
    assert batch.char_to_token(1, 0) == 1
    assert batch.word_to_tokens(1, 0) == (1, len(batch.tokens(1)) - 1)
    assert batch.word_to_tokens(1, 3) is None
    assert batch.token_to_chars(0, 1) == (0, 3)
    assert batch.token_to_chars(0, 0) is None and batch.token_to_chars(0, -1) is None
    for look in (batch.char_to_token, batch.word_to_tokens, batch.token_to_chars):
        with pytest.raises(ValueError, match="there are 2 rows; give the row, then 0"):
            look(0)


def test_keys_are_attributes_too(words):
    row = words("the dog")
    assert row.input_ids is row["input_ids"]
    with pytest.raises(AttributeError, match=r"no 'labels'; its keys are \['input_ids', 'token_"):
        row.labels  # noqa: B018
    assert copy.deepcopy(row).tokens() == row.tokens()
    assert pickle.loads(pickle.dumps(row)).encodings == row.encodings


def test_what_a_caller_changes_is_the_callers_own(words):
    row = words("the dog")
    row.input_ids.append(7)
    row.attention_mask.clear()
    assert len(row.encodings[0]) == len(row.encodings[0].attention_mask) == len(row.tokens())


def test_a_tokenizer_can_be_copied(words, pieces):
    for tokenizer in (copy.deepcopy(words), pickle.loads(pickle.dumps(pieces))):
        tokenizer.add_tokens("quick")
        assert "quick" in tokenizer.tokenize("xquickx")
    assert "quick" not in words.tokenize("xquickx") + pieces.tokenize("xquickx")


def test_lists_of_special_tokens_and_of_all(words):
    assert words.all_special_tokens == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert words.all_special_ids == [0, 1, 2, 3, 4]
    vocab = words.get_vocab()
    assert vocab == words.vocab and vocab is not words.vocab


def test_a_template_of_ones_own():
    template = Template(("<s>", "$A", "</s>"), ("<s>", "$A", "</s>", "</s>", "$B", "</s>"))
    tokenizer = CharTokenizer.train(
        ["ab"], special_tokens=("<s>", "</s>", "[UNK]"), template=template
    )
    assert tokenizer.tokenize("a", "b", add_special_tokens=True) == [
        "<s>", "a", "</s>", "</s>", "b", "</s>"
    ]  # fmt: skip
    assert tokenizer("a", "b", return_token_type_ids=True)["token_type_ids"] == [0] * 6
    assert tokenizer.encode("a<s>b", add_special_tokens=False) == [3, 0, 4]


@pytest.mark.parametrize(
    ("single", "pair"), [((), ("$A", "$B")), (("$A",), ("$A",)), (("$A", "$A"), ("$A", "$B"))]
)
def test_a_template_needs_each_text_once(single, pair):
    with pytest.raises(ValueError, match="each once"):
        Template(single, pair)


def test_arrays_are_int64_and_of_one_length(words):
    batch = words(TEXTS, padding=True, return_tensors="np")
    assert {a.dtype for a in batch.values()} == {np.dtype("int64")}
    assert (
        batch["input_ids"].shape
        == batch["attention_mask"].shape
        == (2, max(map(len, batch.encodings)))
    )
    assert words("the", return_tensors="np")["input_ids"].shape == (1, 3)
    empty = words([], padding=True, return_tensors="np", return_offsets_mapping=True)
    assert (empty.input_ids.shape, empty.offset_mapping.shape) == ((0, 0), (0, 0, 2))
    blank = words("", add_special_tokens=False, return_tensors="np", return_offsets_mapping=True)
    assert (blank.input_ids.shape, blank.offset_mapping.shape) == ((1, 0), (1, 0, 2))
    with pytest.raises(ValueError, match="a max_length that leaves room for text beside the sp"):
        words("the dog", padding=True, truncation=True, max_length=2, return_tensors="np",
              return_overflowing_tokens=True)  # fmt: skip
    with pytest.raises(ValueError, match=r"rows of \d+ to \d+ tokens make no array"):
        words(["the", "the dog"], return_tensors="np")


def test_decoding_takes_arrays_and_rows(words, pieces, characters):
    ids = words("the lazy dog", return_tensors="np")["input_ids"]
    assert words.batch_decode(ids, skip_special_tokens=True) == ["the lazy dog"]
    assert pieces.decode(np.array(pieces.encode("今天 a"))) == "今天 a"
    assert characters.decode(characters.vocab["t"]) == "t"
    with pytest.raises(ValueError, match="one row"):
        words.decode(ids)
    with pytest.raises(ValueError, match=r"id 9999 is not in the vocabulary of"):
        pieces.decode([9999])


def test_a_special_token_parts_the_bytes_of_a_character(pieces):
    ids = pieces.encode("é", add_special_tokens=False)
    broken = pieces.decode([ids[0], 0, *ids[1:]])
    assert "<|endoftext|>" in broken and "é" not in broken
    assert pieces.decode(ids) == "é"


def test_tokens_and_ids(words, characters):
    assert words.convert_ids_to_tokens(words.convert_tokens_to_ids(["the", "[SEP]"])) == [
        "the",
        "[SEP]",
    ]
    assert words.convert_tokens_to_ids("never") == words.unk_token_id
    without = CharTokenizer({"a": 0})
    with pytest.raises(ValueError, match="no unk_token"):
        without.convert_tokens_to_ids("b")
    with pytest.raises(ValueError, match="'b' at position 1 is not in the vocabulary"):
        without.encode("ab")


def test_words_are_told_from_texts(words):
    row = words(["the", "brown", "dog."], is_split_into_words=True)
    assert row.word_ids()[1:-1][0] == 0
    assert row.word_ids()[-2] == 2
    batch = words([["the"], ["dog", "."]], is_split_into_words=True)
    assert batch.encodings[0].word_ids == [None, 0, None]
    assert words([["the"], []], is_split_into_words=True).word_ids(1) == [None, None]


@pytest.mark.parametrize(
    ("text", "arguments", "error", "message"),
    [
        (3, {}, TypeError, "text is a int"),
        (b"ab", {}, TypeError, "text is a bytes"),
        (["a", None], {}, TypeError, r"text\[1\] is a NoneType; a text is a string"),
        ("a b", {"is_split_into_words": True}, TypeError, "give its words"),
        (["a", 3], {"is_split_into_words": True}, TypeError, "text, word 1, is a int"),
        ([["a"], "b"], {"is_split_into_words": True}, TypeError, r"text\[1\] is a str; give"),
        ("a\udc00", {}, ValueError, r"lone surrogate, U\+DC00, at position 1"),
        ("a", {"text_pair": ["b"]}, ValueError, "must both be one text"),
        (["a"], {"text_pair": ["b", "c"]}, ValueError, "1 texts but 2 in text_pair"),
        ("a", {"padding": "long"}, ValueError, "padding is 'long'"),
        ("a", {"truncation": 1}, ValueError, "truncation is 1"),
        ("a", {"truncation": True}, ValueError, "needs a max_length"),
        ("a", {"padding": "max_length"}, ValueError, "needs a max_length"),
        ("a", {"max_length": 8}, ValueError, "max_length alone does nothing"),
        ("a", {"stride": 2}, ValueError, "need truncation=True"),
        ("a", {"truncation": True, "max_length": -1}, ValueError, "max_length is -1"),
        ("a", {"truncation": True, "max_length": 2.5}, ValueError, "max_length is 2.5"),
        ("a", {"padding": True, "pad_to_multiple_of": 0}, ValueError, "at least 1"),
        ("a", {"pad_to_multiple_of": 8}, ValueError, "needs padding=True"),
        ("a", {"padding_side": "top"}, ValueError, "padding_side is 'top'"),
        ("a", {"return_tensors": "pt"}, ValueError, "return_tensors is 'pt'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_clear_error(words, text, arguments, error, message):
    with pytest.raises(error, match=message):
        words(text, **arguments)


def test_encode_takes_one_text(words):
    with pytest.raises(TypeError, match="encode takes one text, not list"):
        words.encode(["a", "b"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"padding_side": "top"}, "padding_side is 'top'"),
        ({"special_tokens": {"pad_token": "[P]"}}, r"pad_token '\[P\]' is not in the vocabulary"),
        ({"special_tokens": {"start": "a"}}, "'start' is no role"),
        ({"template": Template(("[X]", "$A"), ("$A", "$B"))}, r"template: '\[X\]' is not in"),
        ({"added_tokens": [AddedToken("x", 0)]}, "the same id, 0"),
    ],
)
def test_what_a_tokenizer_cannot_be_built_of(arguments, message):
    with pytest.raises(ValueError, match=message):
        CharTokenizer({"a": 0}, **arguments)


def test_roles_are_a_dict():
    with pytest.raises(TypeError, match=r"special_tokens is a list; give a dict, as \{'pad_token'"):
        CharTokenizer({"a": 0}, special_tokens=["a"])


def test_what_the_files_say_can_be_overridden(words, tmp_path):
    words.save_pretrained(tmp_path)
    tokenizer = Tokenizer.from_pretrained(
        tmp_path, padding_side="left", lowercase=False, pad_token="[MASK]", bos_token="[CLS]"
    )
    assert (tokenizer.padding_side, tokenizer.lowercase) == ("left", False)
    assert (tokenizer.pad_token, tokenizer.bos_token) == ("[MASK]", "[CLS]")
    assert tokenizer.unk_token == "[UNK]"
    with pytest.raises(TypeError, match="pad_side"):
        Tokenizer.from_pretrained(tmp_path, pad_side="left")
    with pytest.raises(FileNotFoundError, match="nothing is downloaded here: give a folder"):
        Tokenizer.from_pretrained("bert-base-uncased")


def test_the_size_of_the_vocabulary_stays_through_files(characters, tmp_path):
    tokenizer = copy.deepcopy(characters)
    tokenizer.add_tokens(["<x>", "fox"])
    tokenizer.save_pretrained(tmp_path)
    again = Tokenizer.from_pretrained(tmp_path)
    assert (len(again), again.vocab_size) == (len(tokenizer), len(characters))
    assert again.tokenize("a<x>fox") == ["a", "<x>", "fox"]


@pytest.mark.parametrize("module", [tokenizers, tokenizers.characters, tokenizers.kinds])
def test_the_examples_are_true(module):
    results = doctest.testmod(module)
    assert results.attempted >= 2 and not results.failed


def test_model_max_length_stands_for_max_length(words):
    tokenizer = WordPieceTokenizer(words.vocab, model_max_length=4)
    assert len(tokenizer.encode("the lazy dog jumps", truncation=True)) == 4
    assert len(tokenizer.encode("the", padding="max_length")) == 4


def test_characters_most_frequent_are_kept_in_the_order_of_their_code_points():
    tokenizer = CharTokenizer.train(["bbaacczz d"], vocab_size=5)
    assert list(tokenizer.vocab) == ["[PAD]", "[UNK]", "a", "b", "c"]
    assert tokenizer.decode(tokenizer.encode("abd")) == "ab[UNK]"
    assert "d" not in CharTokenizer.train(["bb", "d"], min_frequency=2).vocab


@pytest.mark.parametrize("kind", [CharTokenizer, ByteBPETokenizer, WordPieceTokenizer])
def test_a_corpus_must_have_texts(kind):
    with pytest.raises(TypeError, match="texts is one string"):
        kind.train("abc", 400)
    with pytest.raises(TypeError):
        kind.train([3], 400)
    with pytest.raises(ValueError, match="corpus is empty"):
        kind.train(["", ""], 400)
    with pytest.raises(ValueError, match="lone surrogate"):
        kind.train(["a\ud800"], 400)


def test_a_vocabulary_smaller_than_the_alphabet_is_refused():
    with pytest.raises(ValueError, match="at least 257"):
        ByteBPETokenizer.train(TEXTS, 100)
    with pytest.raises(ValueError, match="is less than"):
        WordPieceTokenizer.train(TEXTS, 10)
    with pytest.raises(ValueError, match="give 3 or more"):
        CharTokenizer.train(TEXTS, 2)
