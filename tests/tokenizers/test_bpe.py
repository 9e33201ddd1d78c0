"""Byte-level BPE: ids, spans and merges equal to those of `tokenizers`, round trips, errors."""

import json
import pickle
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.tokenizers import AddedToken, ByteBPETokenizer
from tinygrad_llm.tokenizers.bpe import BPE, train_bpe
from tinygrad_llm.tokenizers.bytemap import ALPHABET, to_piece
from tinygrad_llm.tokenizers.patterns import compile_pattern, split

FIGURES = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "tokenizer_bpe.json").read_text(encoding="utf8")
)

VOCAB = {piece: id for id, piece in enumerate(FIGURES["model"]["vocab"])}
MERGES = [tuple(merge) for merge in FIGURES["model"]["merges"]]
BYTES = {piece: id for id, piece in enumerate(ALPHABET)}

texts = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def bpe():
    return BPE(VOCAB, MERGES)


def spans(columns):
    return list(zip(columns.starts, columns.ends))


@pytest.mark.parametrize("name", FIGURES["encoded"])
def test_ids_and_spans_equal_the_librarys(name):
    model = BPE(VOCAB, MERGES, "llama3" if name == "cl100k" else name)
    assert len(FIGURES["strings"]) >= 150
    for text, (ids, ends) in zip(FIGURES["strings"], FIGURES["encoded"][name], strict=True):
        tokens = model.encode(text)
        assert tokens.ids == ids, ascii(text)
        assert [end for span in spans(tokens) for end in span] == ends, ascii(text)


@pytest.mark.parametrize("case", [FIGURES["model"], *FIGURES["trained"]])
def test_training_equals_the_librarys(case):
    vocab, merges = train_bpe(
        case["texts"],
        case["vocab_size"],
        special_tokens=["<|endoftext|>"],
        min_frequency=case["min_frequency"],
    )
    assert merges == [tuple(merge) for merge in case["merges"]]
    assert sorted(vocab, key=vocab.get) == case["vocab"]
    assert sorted(vocab.values()) == list(range(len(vocab)))


@pytest.mark.parametrize("case", FIGURES["spaced"])
def test_training_with_a_space_first_equals_the_librarys(case):
    tokenizer = ByteBPETokenizer.train(
        case["texts"],
        case["vocab_size"],
        min_frequency=case["min_frequency"],
        add_prefix_space=True,
        special_tokens=["<|endoftext|>"],
    )
    assert tokenizer.merges == [tuple(merge) for merge in case["merges"]]
    assert tokenizer.add_prefix_space and list(tokenizer.vocab) == case["vocab"]


def test_words_that_begin_texts_are_learnt_with_the_space_that_they_get():
    tokenizer = ByteBPETokenizer.train(["hello"] * 3, 300, add_prefix_space=True)
    assert tokenizer.tokenize("hello") == ["Ġhello"]


def joined(word: tuple, pair: tuple) -> tuple:
    """The word with the pair joined from left to right."""
    done, i = [], 0
    while i < len(word):
        step = 2 if word[i : i + 2] == pair else 1
        done.append("".join(word[i : i + step]))
        i += step
    return tuple(done)


def train_plainly(corpus: list[str], count: int) -> list[tuple]:
    """Merges by counting all pairs anew for each."""
    ids, words, merges = dict(BYTES), Counter(), []
    for text in corpus:
        words.update(tuple(to_piece(w.encode())) for w in split(compile_pattern("gpt2"), text))
    for _ in range(count):
        pairs = Counter()
        for word, weight in words.items():
            for pair in pairwise(word):
                pairs[pair] += weight
        pairs = Counter({pair: n for pair, n in pairs.items() if n > 1})
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], ids[p[0]], ids[p[1]]))
        ids.setdefault("".join(best), len(ids))
        merges.append(best)
        words = Counter({joined(word, best): weight for word, weight in words.items()})
    return merges


@given(st.lists(st.text("ab é", min_size=1, max_size=30), min_size=1, max_size=8))
def test_training_equals_counting_anew(corpus):
    _, merges = train_bpe(corpus, 256 + 12)
    assert merges == train_plainly(corpus, len(merges) + 1)[: len(merges)]
    assert len(merges) == 12 or merges == train_plainly(corpus, 20)


@given(texts)
def test_decoding_gives_the_text_back(bpe, text):
    data = b"".join(bpe.bytes_of[id] for id in bpe.encode(text).ids)
    assert data.decode() == text


@given(texts)
def test_spans_cover_the_text_in_order(bpe, text):
    found = spans(bpe.encode(text))
    assert all(0 <= start < end <= len(text) for start, end in found)
    assert found == sorted(found)
    assert {i for start, end in found for i in range(start, end)} == set(range(len(text)))


@given(texts)
def test_words_are_the_pre_tokens(bpe, text):
    found = bpe.encode(text)
    cut = split(compile_pattern("gpt2"), text)
    pieces = [[] for _ in cut]
    for id, word in zip(found.ids, found.words):
        pieces[word].append(bpe.bytes_of[id])
    assert [b"".join(piece).decode() for piece in pieces] == cut


@given(texts)
def test_a_second_encoding_equals_the_first(text):
    model = BPE(VOCAB, MERGES)
    assert model.encode(text) == model.encode(text)


@given(st.text("a e\u0301今", max_size=40), st.randoms(use_true_random=False))
def test_the_lowest_rank_is_joined_first_and_the_leftmost(text, random):
    """With merges in any order, against a search of the whole word for every join."""
    merges = [("a", "a"), ("aa", "aa"), ("aa", "a"), ("a", "aa"), ("Ġ", "a"), ("Ġa", "a")]
    random.shuffle(merges)
    vocab = dict(BYTES)
    for pair in merges:
        vocab.setdefault("".join(pair), len(vocab))
    expected = []
    for word in split(compile_pattern("gpt2"), text):
        pieces = list(to_piece(word.encode()))
        while found := [
            (merges.index(pair), i) for i, pair in enumerate(pairwise(pieces)) if pair in merges
        ]:
            _, i = min(found)
            pieces[i : i + 2] = ["".join(pieces[i : i + 2])]
        expected += [vocab[piece] for piece in pieces]
    assert BPE(vocab, merges).encode(text).ids == expected


def test_a_pair_that_an_earlier_join_made_waits_for_its_own_rank():
    merges = [("b", "c"), ("a", "b"), ("bc", "d"), ("a", "bc")]
    vocab = BYTES | {"bc": 256, "ab": 257, "bcd": 258, "abc": 259}
    found = BPE(vocab, merges).encode("abcd")
    assert found == ([BYTES["a"], 258], [0, 1], [1, 4], [0, 0])


def test_bytes_of_one_character_share_its_span():
    assert spans(BPE(BYTES, []).encode("a🙂é")) == [
        (0, 1), (1, 2), (1, 2), (1, 2), (1, 2), (2, 3), (2, 3),
    ]  # fmt: skip


def test_half_a_character_is_decoded_as_the_replacement_character():
    plain = ByteBPETokenizer(BYTES, [], added_tokens=[AddedToken("Ġé", 256)])
    ids = plain.encode("é")
    assert plain.decode(ids[:1]) == "\ufffd"
    assert plain.decode([*ids[:1], 256, *ids]) == "\ufffdĠéé"
    assert plain.decode([]) == ""


def test_a_very_long_word_takes_little_time():
    merges = [("a" * 2**k, "a" * 2**k) for k in range(12)]
    vocab = BYTES | {"".join(pair): 256 + i for i, pair in enumerate(merges)}
    model = BPE(vocab, merges)
    start = time.perf_counter()
    tokens = model.encode("a" * 100_000)
    assert time.perf_counter() - start < 10
    assert tokens.ids[:2] == [267, 267] and spans(tokens)[:2] == [(0, 4096), (4096, 8192)]
    assert tokens.ends[-1] == 100_000
    assert not model._cache


def test_the_memory_of_words_starts_anew_when_it_is_full(monkeypatch):
    monkeypatch.setattr("tinygrad_llm.tokenizers.bpe._CACHED_WORDS", 3)
    model = BPE(VOCAB, MERGES)
    assert model.encode("a b c d a b") == BPE(VOCAB, MERGES).encode("a b c d a b")
    assert len(model._cache) <= 3


def test_a_model_can_be_pickled(bpe):
    assert pickle.loads(pickle.dumps(bpe)).encode("tokens") == bpe.encode("tokens")


def test_special_tokens_come_first_and_are_never_merged():
    vocab, merges = train_bpe(["pad pad pad pad"], 300, special_tokens=["<s>", "pad"])
    assert (vocab["<s>"], vocab["pad"], vocab["!"]) == (0, 1, 2)
    assert all("".join(pair) != "pad" for pair in merges)


def test_the_vocabulary_ends_where_no_pair_is_frequent():
    vocab, merges = train_bpe(["abc"], 1000)
    assert (len(vocab), merges) == (256, [])
    assert train_bpe(["abc"], 1000, min_frequency=1)[1] == [("a", "b"), ("ab", "c")]


def test_texts_may_come_from_a_generator_and_a_bar_may_be_shown(capsys):
    assert train_bpe((t for t in ["aa", "aa"]), 257, progress=True)[1] == [("a", "a")]
    assert "257/257" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"texts": []}, ValueError, "corpus is empty"),
        ({"texts": ["", ""]}, ValueError, "corpus is empty"),
        ({"texts": "text"}, TypeError, "texts is one string"),
        ({"texts": ["a", None]}, TypeError, "must be a str, not NoneType"),
        ({"texts": ["a\udc00"]}, ValueError, r"U\+DC00, at position 1"),
        ({"vocab_size": 255}, ValueError, "at least 256"),
        ({"vocab_size": 257, "special_tokens": ["x1", "x2"]}, ValueError, "at least 258"),
        ({"min_frequency": 0}, ValueError, "min_frequency must be at least 1"),
        ({"special_tokens": ["x1", "x1"]}, ValueError, "'x1' is empty or there twice"),
        ({"special_tokens": [""]}, ValueError, "'' is empty"),
        ({"special_tokens": ["a"]}, ValueError, "'a' is .*the character of a byte"),
        ({"special_tokens": "<s>"}, TypeError, "special_tokens is one string"),
        ({"pattern": "(a)"}, ValueError, "capturing group"),
    ],
)
def test_training_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        train_bpe(**({"texts": ["some text"], "vocab_size": 300} | arguments))


@pytest.mark.parametrize(
    ("vocab", "merges", "message"),
    [
        (BYTES, [("a", "b")], "merge 0, 'a' and 'b', needs 'ab', which vocab lacks; take"),
        (BYTES | {"ab": 256}, [("a", "b"), ("ab", "xy")], "merge 1, 'ab' and 'xy', needs 'xy'"),
        (BYTES | {"ab": 3}, [], "'\\$' and 'ab' the same id, 3"),
        ({p: i for p, i in BYTES.items() if p != "Ġ"}, [], "lacks 'Ġ', the piece of the byte 32"),
    ],
)
def test_a_model_refuses(vocab, merges, message):
    with pytest.raises(ValueError, match=message):
        BPE(vocab, merges)


def test_encoding_refuses(bpe):
    with pytest.raises(ValueError, match=r"U\+D800, at position 2"):
        bpe.encode("ab\ud800")
    with pytest.raises(TypeError, match="must be a str, not list"):
        bpe.encode(["a"])
