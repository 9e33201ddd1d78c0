"""Tests of next sentence pairs: what follows what, how often, how long, and what gives it away."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.pretraining.common import CLS, SEP, check_rate
from tinygrad_llm.data import DataLoader, Padding, row_hash
from tinygrad_llm.data.pretraining import NextSentencePairs

SIZES = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=9), min_size=2, max_size=6)


def numbered(sizes):
    """Documents whose tokens are all different: 100, 101, … in their order."""
    documents, number = [], 100
    for sentences in sizes:
        document = []
        for length in sentences:
            document.append(list(range(number, number + length)))
            number += length
        documents.append(document)
    return documents


def corpus(documents=80, seed=0, most=12):
    rng = np.random.default_rng(seed)
    return numbered([rng.integers(3, 15, rng.integers(2, most)).tolist() for _ in range(documents)])


def pairs(documents, **settings):
    return NextSentencePairs(documents, CLS, SEP, **settings)


def texts(row):
    """A and B of a row whose special tokens are where they must be."""
    ids, types = row["input_ids"].tolist(), row["token_type_ids"].tolist()
    middle = types.index(1)
    assert types == [0] * middle + [1] * (len(ids) - middle)
    assert ids[0] == CLS and ids[middle - 1] == ids[-1] == SEP
    a, b = ids[1 : middle - 1], ids[middle:-1]
    assert a and b and not {CLS, SEP} & {*a, *b}
    return a, b


class Where:
    """For each token its document, its sentence in it, and its place among all tokens."""

    def __init__(self, documents):
        self.document, self.sentence = {}, {}
        for d, document in enumerate(documents):
            for s, sentence in enumerate(document):
                for token in sentence:
                    self.document[token], self.sentence[token] = d, s


@given(SIZES, st.integers(5, 40), st.integers(0, 2**40), st.floats(0.0, 1.0), st.integers(1, 3))
def test_every_pair_is_what_its_label_says(sizes, length, seed, short, rounds):
    sizes = [*sizes, [2, 3], [1, 4, 1]]
    documents = numbered(sizes)
    where = Where(documents)
    found = pairs(documents, max_length=length, seed=seed, short_probability=short, rounds=rounds)
    assert abs(found.labels.sum() - len(found) / 2) <= 0.5
    for number in range(len(found)):
        row = found[number]
        assert row["input_ids"].dtype == row["token_type_ids"].dtype == np.int64
        assert len(row["input_ids"]) <= length
        assert row["next_sentence_label"] == found.labels[number]
        a, b = texts(row)
        for text in (a, b):
            assert text == list(range(text[0], text[-1] + 1))
            assert len({where.document[token] for token in text}) == 1
        same = where.document[a[0]] == where.document[b[0]]
        assert same == (row["next_sentence_label"] == 0)
        if same:
            assert where.sentence[b[0]] >= where.sentence[a[-1]]
            # What lies between them was trimmed: only where the row is full.
            assert b[0] == a[-1] + 1 or len(row["input_ids"]) == length


def test_halves_are_halves_and_b_is_the_next_sentence():
    documents = corpus(900)
    found = pairs(documents, max_length=48, rounds=6)
    assert len(found) > 10_000 and abs(found.labels.mean() - 0.5) < 1e-4
    where = Where(documents)
    untrimmed = pairs(documents, max_length=400)
    follows = 0
    for row in untrimmed:
        a, b = texts(row)
        assert documents[where.document[b[0]]][where.sentence[b[0]]][0] == b[0]
        assert documents[where.document[a[-1]]][where.sentence[a[-1]]][-1] == a[-1]
        follows += b[0] == a[-1] + 1 and row["next_sentence_label"] == 0
    assert follows == (untrimmed.labels == 0).sum()


def test_rows_are_full_but_at_the_end_of_a_document_and_where_they_are_made_shorter():
    documents = corpus()
    last = {document[-1][-1] for document in documents}
    found = pairs(documents, max_length=40, short_probability=0.0, rounds=3)
    for row in found:
        if row["next_sentence_label"] == 0 and len(row["input_ids"]) < 40:
            assert texts(row)[1][-1] in last
    lengths = np.array([len(row["input_ids"]) for row in found])
    assert (lengths == 40).mean() > 0.5
    short = pairs(documents, max_length=40, short_probability=1.0, rounds=3)
    assert np.mean([len(row["input_ids"]) for row in short]) < lengths.mean() - 4
    two = pairs([[[7] * 90, [8] * 90, [9] * 90]] * 2, max_length=100)
    assert {len(row["input_ids"]) for row in two} == {100}


def trimmed_lengths(a, b, room):
    """One token at a time, of the longer text, of B where both are as long."""
    while a + b > room:
        a, b = (a - 1, b) if a > b else (a, b - 1)
    return a, b


@given(st.integers(1, 60), st.integers(1, 60), st.integers(5, 60))
def test_the_longer_text_gives_way(in_a, in_b, length):
    documents = [[[10] * in_a, [11] * in_b], [[12] * in_a, [13] * in_b]]
    for row in pairs(documents, max_length=length):
        a, b = texts(row)
        assert (len(a), len(b)) == trimmed_lengths(in_a, in_b, length - 3)


def test_tokens_are_lost_at_the_front_and_at_the_back_alike():
    documents = numbered([[100, 100]] * 40)
    starts = {sentence[0] for document in documents for sentence in document}
    front = total = at_front = 0
    for row in pairs(documents, max_length=163, rounds=20):
        for text in texts(row):
            front += (text[0] - 100) % 100
            total += 100 - len(text)
            at_front += text[0] in starts
    check_rate(front, total, 0.5)
    assert at_front < 10


def test_a_single_token_is_lost_at_the_front_as_often_as_at_the_back():
    documents = numbered([[20, 20]] * 200)
    lost = []
    for row in pairs(documents, max_length=42, rounds=10, short_probability=0.0):
        if row["next_sentence_label"] == 0:
            a, b = texts(row)
            lost += [text[0] % 20 for text in (a, b) if len(text) == 19]
    assert {*lost} == {0, 1}
    check_rate(sum(lost), len(lost), 0.5)


def test_either_label_may_be_the_first_of_two():
    labels = pairs(corpus(400), max_length=48, rounds=8).labels
    first, second = labels[: len(labels) // 2 * 2].reshape(-1, 2).T
    assert (first + second == 1).all()
    check_rate(first.sum(), len(first), 0.5)


def test_a_pair_that_is_made_shorter_may_have_any_length_from_two_tokens_on():
    documents = numbered([[1] * 200] * 20)
    found = pairs(documents, max_length=7, short_probability=1.0, rounds=4)
    lengths = np.array([len(row["input_ids"]) - 3 for row in found])
    for length in (2, 3, 4):
        check_rate((lengths == length).sum(), len(lengths), 1 / 3, among=3)


def test_random_texts_are_from_anywhere_else():
    """Each sentence of another document is as likely to begin B, but the first of a document, which
    never follows anything: else its place, or its document's size, would tell the label."""
    documents = numbered([[3] * 3, [3] * 9, [3] * 5, [3], [3] * 2])
    found = pairs(documents, max_length=12, short_probability=0.0, rounds=4000)
    where = Where(documents)
    own = np.zeros(5, int)
    begun = {}
    for row in found:
        a, b = texts(row)
        if row["next_sentence_label"] == 1:
            place = (where.document[b[0]], where.sentence[b[0]])
            begun[place] = begun.get(place, 0) + 1
            own[where.document[a[0]]] += 1
    followers = np.array([2, 8, 4, 0, 1])
    assert own[3] == 0 and all(sentence > 0 for _, sentence in begun)
    for d, size in enumerate(followers):
        expected = sum(own[e] / (15 - followers[e]) for e in range(5) if e != d)
        trials = own.sum() - own[d]
        for sentence in range(1, size + 1):
            check_rate(begun[d, sentence], trials, expected / trials, among=15)


def best_by_threshold(numbers, labels):
    return max(
        max(np.mean((numbers <= n) == labels), np.mean((numbers > n) == labels))
        for n in np.unique(numbers)
    )


def test_lengths_do_not_tell_the_label():
    found = pairs(corpus(400, most=30), max_length=64, rounds=4)
    a, b = (np.array([len(texts(row)[i]) for row in found]) for i in (0, 1))
    for numbers in (a, b, a + b):
        assert best_by_threshold(numbers, found.labels == 1) < 0.55


def test_the_cut_between_a_and_b_is_anywhere():
    documents = numbered([[1] * 5] * 20)
    cuts = [
        len(texts(row)[0])
        for row in pairs(documents, max_length=64, short_probability=0.0, rounds=200)
        if row["next_sentence_label"] == 0 and texts(row)[0][0] % 5 == 0
    ]
    for cut in (1, 2, 3, 4):
        check_rate(cuts.count(cut), len(cuts), 1 / 4, among=4)


def test_a_text_goes_on_after_b_where_b_follows_and_else_after_a():
    """Five sentences of four tokens fill a row, so that nothing is trimmed."""
    documents = numbered([[4] * 40] * 3)
    where = Where(documents)
    rows = list(pairs(documents, max_length=23, short_probability=0.0))
    for row, after in pairwise(rows):
        (a, b), (begun, _) = texts(row), texts(after)
        if where.document[a[0]] == where.document[begun[0]]:
            assert begun[0] == (b if row["next_sentence_label"] == 0 else a)[-1] + 1
        else:
            assert where.sentence[begun[0]] == 0


def hashes(dataset):
    return [row_hash(row) for row in dataset]


def test_the_seed_fixes_all_pairs_and_each_round_has_its_own():
    documents = corpus()
    first = hashes(pairs(documents, max_length=40))
    assert hashes(pairs(documents, max_length=40)) == first
    assert len({*hashes(pairs(documents, max_length=40, seed=1))} & {*first}) < len(first) / 5
    twice = hashes(pairs(documents, max_length=40, rounds=2))
    assert twice[: len(first)] == first
    assert len({*twice[len(first) :]} & {*first}) < len(first) / 5


def test_no_text_is_left_out():
    documents = corpus()
    seen = {t for row in pairs(documents, max_length=1000) for text in texts(row) for t in text}
    lost = {token for document in documents for s in document for token in s} - seen
    # A sentence that is left alone at the end begins no pair.
    assert lost <= {token for document in documents for token in document[-1]}
    assert len(lost) < len(seen) / 20


def test_word_ids_go_with_their_tokens():
    documents = corpus(20)
    words = [[[token + 1000 for token in s] for s in document] for document in documents]
    for row in pairs(documents, max_length=30, word_ids=words):
        ids = row["input_ids"]
        special = np.isin(ids, [CLS, SEP])
        assert row["word_ids"].tolist() == np.where(special, -1, ids + 1000).tolist()


def test_a_loader_makes_batches_of_them():
    found = pairs(corpus(), max_length=40)
    seen = 0
    for batch in DataLoader(found, 8, shuffle=True, collate_fn=Padding()):
        assert batch["input_ids"].shape == batch["attention_mask"].shape
        assert batch["next_sentence_label"].shape == (len(batch["input_ids"]),)
        seen += len(batch["input_ids"])
    assert seen == len(found)
    with pytest.raises(IndexError):
        found[len(found)]
    assert row_hash(found[-1]) == row_hash(found[len(found) - 1])


GOOD = [[[7], [8]], [[9], [10]]]


@pytest.mark.parametrize(
    ("documents", "settings", "message"),
    [
        (
            [[[7], [8], [9]]],
            {},
            "1 of 1 documents have two sentences or more, and random texts must be from another "
            r"document than A; give at least two such documents \(a long text can be parted",
        ),
        ([[[7]], [[8]], [[9], [9]]], {}, "1 of 3 documents have two sentences or more, and"),
        ([], {}, "0 of 0 documents have two sentences or more, and"),
        ([[[7], []], *GOOD], {}, "document 0 has an empty sentence; leave it out"),
        (GOOD, {"max_length": 4}, "max_length 4 has no room for three special tokens and a token"),
        (GOOD, {"rounds": 0}, "rounds is at least 1, not 0"),
        (GOOD, {"short_probability": 1.5}, "short_probability is from 0 to 1, not 1.5"),
        (GOOD, {"short_probability": -0.1}, "short_probability is from 0 to 1, not -0.1"),
        (GOOD, {"word_ids": [[[7], [8]]]}, "word_ids have another form than the documents; give"),
        (GOOD, {"word_ids": [[[7], [8]], [[9], [1, 2]]]}, "word_ids have another form than the d"),
    ],
)
def test_what_makes_no_pairs_is_one_clear_line(documents, settings, message):
    with pytest.raises(ValueError, match=rf"^NextSentencePairs: {message}.*$"):
        pairs(documents, **settings)


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([["some text"], *GOOD], "a sentence of document 0 is a str, not a list of token ids; a"),
        ([*GOOD, [5, 6]], "a sentence of document 2 is a int, not a list of token ids; a document"),
        ([[[0.5], [1.0]], *GOOD], "a sentence of document 0 has no integers; give token ids"),
    ],
)
def test_what_are_no_ids_is_one_clear_line(documents, message):
    with pytest.raises(TypeError, match=rf"^NextSentencePairs: {message}.*$"):
        pairs(documents)
