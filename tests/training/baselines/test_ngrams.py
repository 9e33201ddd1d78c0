"""Tests of the n-gram model against plain dictionaries and fractions."""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data.corpora import english
from tinygrad_llm.training.baselines import WittenBell

ORDERS = st.integers(1, 5)
TEXTS = st.lists(st.integers(0, 4), min_size=1, max_size=60)


class Plain:
    """Witten and Bell's rule word for word, in exact fractions."""

    def __init__(self, order, text, size):
        self.order, self.size = order, size
        self.after = defaultdict(Counter)
        for place, token in enumerate(text):
            for length in range(min(order, place + 1)):
                self.after[tuple(text[place - length : place])][token] += 1

    def p(self, token, context):
        context = tuple(context)[max(0, len(context) - self.order + 1) :]
        shorter = self.p(token, context[1:]) if context else Fraction(1, self.size)
        seen = self.after.get(context)
        if not seen:
            return shorter
        return (seen[token] + len(seen) * shorter) / Fraction(sum(seen.values()) + len(seen))


@given(ORDERS, TEXTS, TEXTS, st.integers(0, 3))
def test_it_is_the_rule_word_for_word(order, text, other, more):
    size = max(*text, *other) + 1 + more
    model, plain = WittenBell(order).fit(text, size), Plain(order, text, size)
    found = model.logprobs(other)
    expected = [log(plain.p(token, other[:place])) for place, token in enumerate(other)]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert model.nats(other) == pytest.approx(-sum(expected) / len(expected), abs=1e-12)


@given(ORDERS, TEXTS, st.lists(st.integers(0, 4), max_size=7), st.integers(0, 3))
def test_probabilities_of_all_tokens_have_the_sum_one(order, text, context, more):
    size = max([*text, *context]) + 1 + more
    model, plain = WittenBell(order).fit(text, size), Plain(order, text, size)
    exact = [plain.p(token, context) for token in range(size)]
    assert sum(exact) == 1
    found = model.probabilities(context)
    assert found.shape == (size,) and found.min() > 0.0
    assert found.sum() == pytest.approx(1.0, abs=1e-14 * size)
    np.testing.assert_allclose(found, [float(p) for p in exact], rtol=1e-12)
    by_logprobs = [model.logprobs([*context, token])[-1] for token in range(size)]
    np.testing.assert_allclose(np.exp(by_logprobs), found, rtol=1e-12)


def test_the_sum_is_one_over_a_whole_vocabulary_after_real_contexts():
    ids, _ = characters(100_000)
    size = int(ids.max()) + 10
    rng = np.random.default_rng(0)
    for order in range(1, 6):
        model = WittenBell(order).fit(ids[:90_000], size)
        for start in rng.integers(0, 99_000, 30):
            p = model.probabilities(ids[start : start + order + 2])
            assert p.min() > 0.0 and abs(p.sum() - 1.0) < 1e-12


def test_an_example_by_hand():
    """Text 0 1 0 1 0 2: 0 three times, 1 twice, 2 once, and three kinds of six tokens."""
    model = WittenBell(2).fit([0, 1, 0, 1, 0, 2], 4)
    single = np.array([3 + 3 / 4, 2 + 3 / 4, 1 + 3 / 4, 3 / 4]) / (6 + 3)
    np.testing.assert_allclose(model.probabilities([]), single, rtol=1e-14)
    # After 0 came 1, 1 and 2: three tokens of two kinds.
    after = (np.array([0, 2, 1, 0]) + 2 * single) / (3 + 2)
    np.testing.assert_allclose(model.probabilities([3, 0]), after, rtol=1e-14)
    # After 2, at the end of the text, and after 3 came nothing.
    for last in (2, 3):
        np.testing.assert_allclose(model.probabilities([last]), single, rtol=1e-14)
    np.testing.assert_allclose(np.exp(model.logprobs([3, 0, 1])), [single[3], single[0], after[1]])


def characters(most=None):
    """English prose as numbers of characters, and where the last tenth begins."""
    text = "\n".join(text for document in english.documents() for text in document.paragraphs)
    codes = np.frombuffer(text[:most].encode("utf-32-le"), np.uint32)
    ids = np.unique(codes, return_inverse=True)[1]
    return ids, len(ids) * 9 // 10


def test_longer_contexts_tell_more_about_english():
    ids, cut = characters()
    assert len(ids) > 800_000
    size = int(ids.max()) + 1
    found = [WittenBell(order).fit(ids[:cut], size).nats(ids[cut:]) for order in range(1, 6)]
    assert log(size) > found[0]
    steps = -np.diff(found)
    assert 3.0 < found[0] < 3.6 and (steps[:3] > 0.25).all() and steps[3] > 0.02


def test_ids_may_be_lists_or_arrays_of_any_integers():
    for ids in ([1, 0, 1], np.array([1, 0, 1], np.uint8), np.array([1, 0, 1], np.uint16)):
        assert WittenBell(3).fit(ids).vocab_size == 2
        assert WittenBell(3).fit(ids).nats(ids) == WittenBell(3).fit([1, 0, 1]).nats([1, 0, 1])
    assert WittenBell(2).fit([0]).logprobs([]).shape == (0,)
    large = np.array([70_000, 5] * 50, np.int32)
    assert WittenBell(5).fit(large).nats(large) < 0.6


def test_a_second_fit_forgets_the_first():
    model = WittenBell(3).fit([0, 1, 2, 0, 1])
    assert model.fit([0, 0, 1], 2).vocab_size == 2
    np.testing.assert_array_equal(
        model.logprobs([1, 0]), WittenBell(3).fit([0, 0, 1]).logprobs([1, 0])
    )


@pytest.mark.parametrize(
    ("ids", "size", "message"),
    [
        ([], None, "there are no ids to count; give a text"),
        ([[1, 2]], None, r"ids have shape \(1, 2\); give a vector"),
        ([1, 5], 5, "id 5 is outside the vocabulary's 0 to 4; give fit"),
        ([1, -1], None, "id -1 is outside the vocabulary's 0 to 1; give fit"),
    ],
)
def test_what_cannot_be_counted_is_one_clear_line(ids, size, message):
    with pytest.raises(ValueError, match=rf"^WittenBell: {message}.*$"):
        WittenBell(2).fit(np.array(ids, np.int64), size)


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match=r"^WittenBell: order is at least 1, not 0$"):
        WittenBell(0)
    with pytest.raises(TypeError, match="integer"):
        WittenBell(1.5)
    with pytest.raises(TypeError, match="ids are float64; give integers, a tokenizer's ids"):
        WittenBell(2).fit([0.5])
    for ask in ("logprobs", "nats", "probabilities"):
        with pytest.raises(RuntimeError, match=r"nothing is counted yet; call fit\(ids\) first"):
            getattr(WittenBell(2), ask)([0])
    model = WittenBell(2).fit([0, 1])
    for ask in (model.logprobs, model.nats, model.probabilities):
        with pytest.raises(ValueError, match="id 2 is outside the vocabulary's 0 to 1; give fit"):
            ask([2])
    with pytest.raises(ValueError, match="no ids have no mean; give at least one"):
        model.nats([])
