"""Tests of guesses from the left neighbour against plain counting."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.pretraining.common import CLS, MASK, PAD, SEP, tokenizer
from tinygrad_llm.data import DataLoader
from tinygrad_llm.data.pretraining import MaskedLanguageCollator
from tinygrad_llm.training.baselines import LeftNeighbour

TEXTS = st.lists(st.lists(st.integers(0, 6), max_size=12), min_size=1, max_size=6)


def first_most(counts):
    return min(counts, key=lambda token: (-counts[token], token))


def plain(texts, special):
    """The most frequent token, and the most frequent one after each."""
    single, after = Counter(), defaultdict(Counter)
    for text in texts:
        for place, token in enumerate(text):
            if token not in special:
                single[token] += 1
                if place:
                    after[text[place - 1]][token] += 1
    return first_most(single), {left: first_most(counts) for left, counts in after.items()}


@given(TEXTS, TEXTS, st.sets(st.integers(0, 6), max_size=3))
def test_it_counts_as_one_counts_by_hand(texts, others, special):
    texts = [*texts, [7, 7]]
    model = LeftNeighbour(special).fit(texts)
    common, after = plain(texts, special)
    assert model.most_frequent == common
    for row in others:
        found = model.guess(np.array([row], np.int64).reshape(1, -1))
        expected = [common] * min(1, len(row)) + [after.get(left, common) for left in row[:-1]]
        assert found.dtype == np.int64 and found.tolist() == [expected]


def right(model, batches):
    """The share of the hidden tokens that are guessed, and that are the most frequent one."""
    truth, guesses = [], []
    for batch in batches:
        asked = batch["labels"] != -100
        truth += batch["labels"][asked].tolist()
        guesses += model.guess(batch["input_ids"])[asked].tolist()
    return [np.mean(np.equal(truth, each)) for each in (guesses, model.most_frequent)]


def test_the_neighbour_is_what_is_seen_and_not_what_is_hidden():
    model = LeftNeighbour([MASK]).fit([[5, 6, 7, 7, 7, 8], [5, 6]])
    # After [MASK], and after 9, which was never seen, comes 7, the most frequent.
    found = model.guess(np.array([[5, MASK, MASK], [9, MASK, 7]]))
    assert found.tolist() == [[7, 6, 7], [7, 7, 7]]


def test_on_a_language_of_pairs_it_beats_the_most_frequent_token():
    rng = np.random.default_rng(0)
    follower = rng.permutation(95) + 5

    def text(length=30):
        ids = [int(rng.integers(5, 100))]
        while len(ids) < length:
            sure = rng.random() < 0.7
            ids.append(int(follower[ids[-1] - 5]) if sure else int(rng.integers(5, 100)))
        return [CLS, *ids, SEP]

    masking = MaskedLanguageCollator(tokenizer())
    held = [{"input_ids": text()} for _ in range(300)]
    model = LeftNeighbour([PAD, CLS, SEP, MASK]).fit([text() for _ in range(300)])
    neighbour, unigram = right(model, DataLoader(held, 32, collate_fn=masking))
    # Right where the left neighbour is to be seen (.85 + .15 · .1, at the least) and told (.7).
    assert unigram < 0.03 and 0.5 < neighbour < 0.7


@pytest.mark.parametrize(
    ("texts", "special", "message"),
    [
        ([], (), "the texts have no token to count; give texts"),
        ([[], [3]], (3,), "the texts have no token to count; give texts"),
        ([[[1, 2]]], (), r"a text has shape \(1, 2\); give a vector of ids from 0 on"),
        ([[1, -2]], (), r"a text has shape \(2,\); give a vector of ids from 0 on"),
    ],
)
def test_texts_that_cannot_be_counted_are_one_clear_line(texts, special, message):
    with pytest.raises(ValueError, match=rf"^LeftNeighbour: {message}$"):
        LeftNeighbour(special).fit(texts)


def test_wrong_use_is_refused():
    with pytest.raises(TypeError, match="a text has float64; give integers, a tokenizer's ids"):
        LeftNeighbour().fit([[0.5]])
    with pytest.raises(RuntimeError, match=r"nothing is counted yet; call fit\(texts\) first"):
        LeftNeighbour().guess(np.zeros((1, 2), int))
    model = LeftNeighbour().fit([[1, 2]])
    for ids in ([1, 2], [[-1, 2]]):
        with pytest.raises(ValueError, match=r"input_ids have shape .* give \(B, T\) ids from 0"):
            model.guess(np.array(ids))
