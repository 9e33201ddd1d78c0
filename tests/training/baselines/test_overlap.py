"""Tests of next sentences told by shared words: weights, threshold, and what it can and cannot."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.pretraining.common import CLS, SEP
from tinygrad_llm.data.pretraining import NextSentencePairs
from tinygrad_llm.training.baselines import WordOverlap

TOKENS = st.lists(st.integers(5, 14), min_size=1, max_size=8)
PAIRS = st.lists(st.tuples(TOKENS, TOKENS, st.integers(0, 1)), min_size=1, max_size=12)


def row(a, b, label):
    return {
        "input_ids": np.array([CLS, *a, SEP, *b, SEP]),
        "token_type_ids": np.array([0] * (len(a) + 2) + [1] * (len(b) + 1)),
        "next_sentence_label": label,
    }


def rows_of(pairs):
    return [row(*pair) for pair in pairs]


def right(model, rows):
    """The share of pairs whose label is right."""
    return np.mean(model.predict(rows) == [row["next_sentence_label"] for row in rows])


def plain_scores(train, pairs):
    """The formula of the class, word for word."""
    texts = [set(text) for a, b, _ in train for text in (a, b)]

    def w(token):
        return log((len(texts) + 1) / (sum(token in text for text in texts) + 1))

    def size(tokens):
        return sum(w(token) ** 2 for token in tokens)

    found = []
    for a, b, _ in pairs:
        norm = sqrt(size({*a}) * size({*b}))
        found.append(size({*a} & {*b}) / norm if norm else 0.0)
    return found


@given(PAIRS, PAIRS)
def test_scores_are_the_formula(train, others):
    model = WordOverlap([CLS, SEP]).fit(rows_of(train))
    found = model.scores(rows_of(others))
    np.testing.assert_allclose(found, plain_scores(train, others), atol=1e-12)
    assert found.shape == (len(others),)


@given(PAIRS)
def test_no_other_threshold_has_more_training_pairs_right(train):
    rows = rows_of(train)
    model = WordOverlap([CLS, SEP]).fit(rows)
    scores, labels = model.scores(rows), np.array([label for *_, label in train])
    cuts = [-1.0, *np.unique(scores), 2.0]
    best = max(np.mean((scores < cut) == labels) for cut in cuts)
    assert right(model, rows) == np.mean(model.predict(rows) == labels) == pytest.approx(best)
    assert model.predict(rows).dtype == np.int64


def test_a_threshold_lies_between_two_scores():
    train = [([5, 6], [5, 6], 0), ([5, 7], [5, 8], 0), ([6, 7], [8, 9], 1), ([5, 9], [7, 8], 1)]
    model = WordOverlap([CLS, SEP]).fit(rows_of(train))
    low, high = sorted(model.scores(rows_of(train)))[1:3]
    assert low < model.threshold == pytest.approx((low + high) / 2) and model.threshold < high
    assert right(model, rows_of(train)) == 1.0


def corpus(seed, topics=True):
    """Documents with words of their own among common ones; or without."""
    rng = np.random.default_rng(seed)
    documents = []
    for _ in range(60):
        own = rng.integers(100, 1000, 20) if topics else np.arange(100, 1000)
        documents.append(
            [[*rng.integers(5, 15, 5).tolist(), *rng.choice(own, 5).tolist()] for _ in range(12)]
        )
    return NextSentencePairs(documents, CLS, SEP, max_length=64, rounds=3, seed=seed)


def test_texts_with_words_of_their_own_are_told_and_others_are_not():
    special = [CLS, SEP]
    model = WordOverlap(special).fit(corpus(0))
    assert right(model, corpus(1)) > 0.9
    nothing = WordOverlap(special).fit(corpus(0, topics=False))
    assert 0.4 < right(nothing, corpus(1, topics=False)) < 0.6


def test_special_tokens_do_not_count():
    rows = rows_of([([5], [6], 0), ([7], [8], 1)])
    assert WordOverlap([CLS, SEP]).fit(rows).scores(rows).tolist() == [0.0, 0.0]
    assert WordOverlap([CLS]).fit(rows_of([([5], [6], 0), ([7], [8], 1), ([9], [9], 0)])).scores(
        [row([5], [5], 0)]
    ) == pytest.approx([1.0])
    only = WordOverlap([CLS, SEP, 5]).fit(rows)
    assert only.scores([row([5], [5], 0)]).tolist() == [0.0]


def test_a_token_that_was_never_seen_weighs_most():
    model = WordOverlap([CLS, SEP]).fit(rows_of([([5, 6], [5, 7], 0), ([6, 5], [8, 9], 1)]))
    rare, common = model.scores(rows_of([([5, 40], [6, 40], 0), ([5, 40], [5, 41], 0)]))
    unseen = model.scores(rows_of([([5, 400_000], [6, 400_000], 0)]))
    assert rare > common and unseen == pytest.approx(rare)


def test_wrong_use_is_refused():
    rows = rows_of([([5], [5], 0), ([6], [7], 1)])
    for ask in ("scores", "predict"):
        with pytest.raises(RuntimeError, match=r"nothing is learnt yet; call fit\(rows\) first"):
            getattr(WordOverlap(), ask)(rows)
    with pytest.raises(ValueError, match="there are no rows; give pairs with labels"):
        WordOverlap().fit([])
    with pytest.raises(ValueError, match="a next_sentence_label is neither 0"):
        WordOverlap().fit(rows_of([([5], [5], 2)]))
    batch = {"input_ids": np.ones((2, 3), int), "token_type_ids": np.ones((2, 3), int)}
    with pytest.raises(ValueError, match=r"a row has input_ids \(2, 3\) and token_type_ids \(2, 3"):
        WordOverlap().fit([{**batch, "next_sentence_label": 0}])
