"""WordPiece against recorded ids, offsets and vocabularies of the `tokenizers` library."""

import json
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.tokenizers import (
    Normalizer,
    WordPiece,
    WordPieceTokenizer,
    load_vocab,
    save_vocab,
    split_words,
    train_wordpiece,
)
from tinygrad_llm.tokenizers.wordpiece import join_pieces

RECORDED = json.loads(
    (Path(__file__).parent.parent / "fixtures" / "tokenizer_wordpiece.json").read_text("ascii")
)
VOCAB = {token: number for number, token in enumerate(RECORDED["vocab"])}

SETTINGS: dict[str, dict] = {
    "uncased": {},
    "cased": {"lowercase": False},
    "small letters with accents": {"strip_accents": False},
    "large letters without accents": {"lowercase": False, "strip_accents": True},
    "ideographs together": {"tokenize_chinese_chars": False},
}

LETTERS = {"[UNK]": 0, "a": 1, "##a": 2, "##b": 3, "ab": 4, "##ab": 5, "b": 6, "é": 7}

TEXTS = st.text(st.sampled_from("abABÉé 你好한.$#'\u0301\u200d\t")) | st.text()


def tokens_of(ids):
    return [RECORDED["vocab"][id] for id in ids]


def test_many_texts_are_recorded():
    assert len(RECORDED["texts"]) >= 250 and set(RECORDED["encoded"]) == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_ids_offsets_words_and_texts_equal_those_of_the_library(name):
    pieces = WordPiece(VOCAB, **SETTINGS[name])
    for text, row in zip(RECORDED["texts"], RECORDED["encoded"][name], strict=True):
        found = pieces.encode(text)
        assert found.ids == row["ids"], ascii(text)
        assert [list(span) for span in zip(found.starts, found.ends)] == row["offsets"], ascii(text)
        assert found.words == row["words"], ascii(text)
        assert join_pieces(tokens_of(row["ids"])) == row["decoded"], ascii(text)


def test_decoded_texts_equal_those_of_the_library():
    for ids, text in RECORDED["decoded"]:
        assert join_pieces(tokens_of(ids)) == text


def test_the_longest_piece_is_taken_and_an_unknown_word_is_unknown_as_a_whole():
    found = WordPiece(LETTERS).encode("abab xa")
    assert found == ([4, 5, 0], [0, 2, 5], [2, 4, 7], [0, 0, 1])


def test_a_word_that_is_too_long_is_unknown():
    pieces = WordPiece(LETTERS, max_chars=3)
    assert pieces.encode("aba abab").ids == [4, 2, 0]
    assert len(WordPiece(LETTERS).encode("a" * 100).ids) == 100
    assert WordPiece(LETTERS).encode("a" * 101) == ([0], [0], [101], [0])


@given(TEXTS, st.booleans(), st.booleans())
def test_offsets_cut_the_text_to_what_a_token_covers(text, lowercase, strip):
    pieces = WordPiece(VOCAB, lowercase, strip)
    before = -1
    for id, start, end, word in zip(*pieces.encode(text)):
        parts = [pieces.normalizer.normalize(c).strip() for c in text[start:end]]
        token = RECORDED["vocab"][id].removeprefix("##" if word == before else "")
        assert parts[0] and parts[-1]
        if token != "[UNK]" and max(map(len, parts)) == 1:
            assert "".join(parts) == token
        elif token != "[UNK]":  # A hangul syllable, say, whose letters all have its span.
            assert token in "".join(parts)
        before = word


@given(TEXTS)
def test_words_are_numbered_in_order_and_each_is_covered(text):
    pieces = WordPiece(VOCAB)
    normalized = pieces.normalizer.normalize(text)
    numbers = pieces.encode(text).words
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(len(split_words(normalized))))


def test_a_word_is_cut_the_same_way_the_second_time():
    pieces = WordPiece(VOCAB)
    found = pieces.encode("unaffable unaffable")
    assert found.ids == 2 * pieces.encode("unaffable").ids
    assert (
        found.ends[3:] == [10 + end for end in found.ends[:3]] and found.words == [0] * 3 + [1] * 3
    )


def test_words_between_two_spaces_are_counted_on():
    found = WordPiece({"[UNK]": 0, "a": 1, ".": 2}).encode("a. a  .a")
    assert found == ([1, 2, 1, 2, 1], [0, 1, 3, 6, 7], [1, 2, 4, 7, 8], [0, 1, 2, 3, 4])


def test_no_more_than_so_many_chunks_are_remembered(monkeypatch):
    monkeypatch.setattr("tinygrad_llm.tokenizers.wordpiece._CACHED_CHUNKS", 2)
    pieces = WordPiece(LETTERS)
    assert pieces.encode("a b ab aa a").ids == [1, 6, 4, 1, 2, 1]
    assert len(pieces._cache) <= 2


def test_long_chunks_are_not_remembered():
    pieces = WordPiece(LETTERS)
    pieces.encode("a" * 20 + " " + "a" * 21)
    assert list(pieces._cache) == ["a" * 20]


@pytest.mark.parametrize(
    ("vocab", "error", "message"),
    [
        (["[UNK]"], TypeError, "vocab is of type list"),
        ({"[UNK]": "0"}, TypeError, "vocab has '\\[UNK\\]': '0'"),
        ({"a": 0}, ValueError, "vocab has no \\[UNK\\]"),
        ({"[UNK]": 0, "a": 1, "b": 1}, ValueError, "vocab gives 'a' and 'b' the same id, 1"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(vocab, error, message):
    with pytest.raises(error, match=message):
        WordPiece(vocab)


def test_calls_that_cannot_be_right_are_refused():
    with pytest.raises(ValueError, match="max_chars is 0"):
        WordPiece(LETTERS, max_chars=0)
    with pytest.raises(TypeError, match="text is of type bytes"):
        WordPiece(LETTERS).encode(b"a")


def test_a_vocabulary_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "vocab.txt"
    save_vocab(path, VOCAB)
    assert path.read_bytes().startswith(b"[PAD]\n[UNK]\n")
    assert load_vocab(path) == VOCAB


def test_a_file_with_carriage_returns_or_no_last_line_break_is_read(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes("[UNK]\r\na\u2028b\r\né".encode())
    assert load_vocab(path) == {"[UNK]": 0, "a\u2028b": 1, "é": 2}


def test_a_byte_order_mark_and_white_space_at_the_end_of_a_line_are_left_out(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes("\ufeff[UNK] \nthe \t\na\u2028\n b\n".encode())
    assert load_vocab(path) == {"[UNK]": 0, "the": 1, "a": 2, " b": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "vocab.txt is empty"),
        (b"[UNK]\na\nb\na\n", "line 4 repeats 'a' of line 2"),
        (b"[UNK]\n\nb\n", "line 2 is empty"),
        (b"a\nb\n", "has no line \\[UNK\\]"),
        (b"[UNK]\n\xff\n", "is not UTF-8"),
    ],
)
def test_a_broken_vocabulary_file_is_refused(tmp_path, content, message):
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_vocab(path)


@pytest.mark.parametrize(
    ("vocab", "message"),
    [
        ({"[UNK]": 0, "a": 2}, "have gaps"),
        ({"[UNK]": 0, "a\nb": 1}, "does not fit on a line"),
        ({"[UNK]": 0, "": 1}, "with the id 1 is empty"),
        ({"[UNK]": 0, "a ": 1}, "does not fit on a line"),
    ],
)
def test_a_vocabulary_that_cannot_be_written_is_refused(tmp_path, vocab, message):
    with pytest.raises(ValueError, match=message):
        save_vocab(tmp_path / "vocab.txt", vocab)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("row", RECORDED["trained"], ids=lambda row: row["name"])
def test_a_trained_vocabulary_equals_that_of_the_library(row):
    vocab = train_wordpiece(row["texts"], **row["settings"])
    assert sorted(vocab) == row["vocab"]
    assert list(vocab.values()) == list(range(len(vocab)))


def test_the_most_frequent_pair_is_merged_first():
    vocab = train_wordpiece(["ab ab ab bc bc", "x"], 100, special_tokens=["[UNK]"])
    assert list(vocab) == ["[UNK]", "a", "b", "c", "x", "##b", "##c", "ab", "bc"]


def test_a_pair_that_lost_some_of_its_places_is_merged_with_those_it_has_left():
    vocab = train_wordpiece(["ab " * 6 + "abc abc dbc dbc ebc ebc"], 12, special_tokens=["[UNK]"])
    assert list(vocab)[6:] == ["##b", "##c", "ab", "##bc", "dbc", "ebc"]


def by_counting(texts, size):
    """The same training in the plainest way: all pairs of all words are counted for each merge."""
    counts = Counter(" ".join(texts).split())
    words = {word: [word[0], *("##" + c for c in word[1:])] for word in sorted(counts)}
    pieces = [piece for word in words.values() for piece in word]
    vocab = list(dict.fromkeys(["[UNK]", *sorted(set("".join(counts))), *pieces]))
    while len(vocab) < size:
        pairs: Counter = Counter()
        for word, spelt in words.items():
            for pair in pairwise(spelt):
                pairs[pair] += counts[word]
        if not pairs or max(pairs.values()) < 2:
            break
        best = min(pairs, key=lambda p: (-pairs[p], vocab.index(p[0]), vocab.index(p[1])))
        token = best[0] + best[1][2:]
        vocab += [token] * (token not in vocab)
        for spelt in words.values():
            place = 0
            while place < len(spelt) - 1:
                if (spelt[place], spelt[place + 1]) == best:
                    spelt[place : place + 2] = [token]
                place += 1
    return vocab


WORDS = st.text("ab", min_size=1, max_size=9) | st.sampled_from(["abc", "bca", "dcba", "cbad"])
CORPORA = st.lists(st.lists(WORDS, min_size=1, max_size=9).map(" ".join), min_size=1, max_size=6)


@given(CORPORA, st.integers(9, 30))
def test_training_with_a_heap_equals_training_by_counting(texts, size):
    assert list(train_wordpiece(texts, size, special_tokens=["[UNK]"])) == by_counting(texts, size)


RULES = st.fixed_dictionaries(
    {
        "lowercase": st.booleans(),
        "strip_accents": st.sampled_from([None, True, False]),
        "tokenize_chinese_chars": st.booleans(),
    }
)


@given(st.lists(st.text("abBcéÉ\u0301你İ한.", max_size=12), min_size=1, max_size=5), RULES)
def test_what_was_trained_on_is_known_and_comes_back_whatever_the_rules(texts, rules):
    tokenizer = WordPieceTokenizer.train(["a", *texts], 90, **rules)
    assert {name: getattr(tokenizer, name) for name in rules} == rules
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids).replace(" ", "") == Normalizer(**rules).normalize(
            text
        ).replace(" ", "")


def test_accents_that_are_kept_are_learnt():
    tokenizer = WordPieceTokenizer.train(["the café", "the cafe"], 200, strip_accents=False)
    assert tokenizer.tokenize("the café")[0] == "the" and "[UNK]" not in tokenizer.tokenize("café")


def test_training_ends_at_the_size_and_at_the_frequency():
    texts = ["banana bandana cabana"] * 2 + ["solo"]
    assert len(train_wordpiece(texts, 25)) == 25
    often = train_wordpiece(texts, 100, min_frequency=2)
    assert "banana" in often and "solo" not in often
    assert "solo" in train_wordpiece(texts, 100, min_frequency=1)


def test_training_tells_letters_apart_where_case_is_kept():
    assert {"A", "a"} <= set(train_wordpiece(["A a"], 20, lowercase=False))
    assert "A" not in train_wordpiece(["A a"], 20)


@pytest.mark.parametrize(
    ("texts", "more", "error", "message"),
    [
        ("abc", {}, TypeError, "texts is one string"),
        (["a", 1], {}, TypeError, "text must be a str, not int"),
        (["", " \u200b"], {}, ValueError, "the corpus is empty: no text has a word"),
        (["abc"], {"vocab_size": 9}, ValueError, "less than the 10 special tokens and single"),
        (["abc"], {"min_frequency": 0}, ValueError, "min_frequency must be at least 1, not 0"),
        (["abc"], {"special_tokens": ["[PAD]"]}, ValueError, "special_tokens lacks \\[UNK\\]"),
    ],
)
def test_training_that_cannot_be_meant_is_refused(texts, more, error, message):
    with pytest.raises(error, match=message):
        train_wordpiece(texts, **{"vocab_size": 30, **more})


def test_a_bar_is_shown_where_it_is_wanted(capsys):
    train_wordpiece(["ab ab"], 20, progress=True)
    assert "9/20" in capsys.readouterr().err
    train_wordpiece(["ab ab"], 20)
    assert capsys.readouterr().err == ""


def test_training_a_long_text_takes_no_long_time():
    words = [f"{a}{b}{c}{d}" for a in "bdfgk" for b in "aeiou" for c in "lmnrs" for d in "aeiou"]
    texts = [" ".join(words[i:] + words[: i * 7 % 97]) for i in range(0, 600, 3)]
    start = time.perf_counter()
    train_wordpiece(texts, 2000)
    assert time.perf_counter() - start < 5
