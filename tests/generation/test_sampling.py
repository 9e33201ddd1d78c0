"""Sampling: frequencies, seeds, rows that do not disturb each other, and greedy choice."""

import numpy as np
import pytest

from tests.generation.tables import Decoder, decoder
from tinygrad_llm import manual_seed
from tinygrad_llm.generation import generate
from tinygrad_llm.generation.sampling import Sampler
from tinygrad_llm.ops.softmax import log_softmax

P = np.array([0.3, 0.0, 0.2, 0.05, 0.0, 0.25, 0.1, 0.1])

CRITICAL = {5: 20.52, 25: 52.62}
"""Chi-square by degrees of freedom: a right sampler passes it once in a thousand seeds."""


def chi_square(counts, expected):
    some = expected > 0
    return ((counts - expected)[some] ** 2 / expected[some]).sum()


@pytest.fixture(scope="module")
def drawn():
    """20,000 tokens for each of two rows, drawn from P."""
    sampler, scores = Sampler(2, seed=5), np.log(np.maximum(P, 1e-300))
    scores[P == 0] = -np.inf
    rows = np.arange(2)
    return np.array([sampler(np.array([scores, scores]), rows) for _ in range(20_000)])


@pytest.mark.parametrize("row", [0, 1])
def test_frequencies_of_a_row_are_the_probabilities(drawn, row):
    counts = np.bincount(drawn[:, row], minlength=len(P))
    assert counts[P == 0].sum() == 0
    assert chi_square(counts, P * len(drawn)) < CRITICAL[5]


def test_rows_and_steps_are_independent(drawn):
    some = np.flatnonzero(P)
    for first, second in ((drawn[:, 0], drawn[:, 1]), (drawn[:-1, 0], drawn[1:, 0])):
        pairs = np.zeros((len(P), len(P)))
        np.add.at(pairs, (first, second), 1)
        pairs = pairs[np.ix_(some, some)]
        expected = np.outer(pairs.sum(axis=1), pairs.sum(axis=0)) / pairs.sum()
        assert chi_square(pairs, expected) < CRITICAL[25]


@pytest.mark.parametrize("number", [0.0, np.nextafter(1.0, 0.0)])
def test_the_least_and_the_greatest_random_number_give_tokens_that_can_come(number):
    class Fixed:
        def random(self):
            return number

    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = rng.normal(0, 3, (1, 9))
        scores[0, [0, 8]] = -np.inf
        sampler = Sampler(1, seed=0)
        sampler._generators = [Fixed()]
        assert sampler(scores, np.array([0]))[0] == (1 if number == 0.0 else 7)


def sample(prompts, model=None, **options):
    options = {"do_sample": True, "max_new_tokens": 8, "seed": 3, "pad_token_id": 0, **options}
    return generate(model or decoder(towards_end=0.0), prompts, **options)


def test_a_seed_gives_the_same_text_and_another_seed_another():
    prompts = [[4, 5], [6, 7], [4, 5]]
    first = sample(prompts)
    np.testing.assert_array_equal(first, sample(prompts))
    assert not np.array_equal(first, sample(prompts, seed=4))
    assert not np.array_equal(first[0], first[2])


def test_without_a_seed_manual_seed_decides_and_each_call_draws_anew():
    texts = []
    for _ in range(2):
        manual_seed(1)
        texts.append([sample([[4, 5]], seed=None).tolist() for _ in range(2)])
    assert texts[0] == texts[1]
    assert texts[0][0] != texts[0][1]


def test_a_row_does_not_depend_on_the_others():
    texts = sample([[4, 5], [6, 7], [8, 9]], eos_token_id=3)
    alone = sample([[4, 5]], eos_token_id=3)
    other = sample([[10, 11], [6, 7]], eos_token_id=3)
    np.testing.assert_array_equal(alone[0], texts[0, : alone.shape[1]])
    shorter = min(other.shape[1], texts.shape[1])
    np.testing.assert_array_equal(other[1, :shorter], texts[1, :shorter])


def test_several_sequences_of_a_row_stand_together():
    texts = sample([[4, 5], [6, 7]], num_return_sequences=3)
    assert texts[:, :2].tolist() == [[4, 5]] * 3 + [[6, 7]] * 3
    assert len({tuple(text) for text in texts.tolist()}) == 6


@pytest.mark.parametrize("options", [{"top_k": 1}, {"temperature": 1e-3}, {"top_p": 1e-6}])
def test_sampling_from_one_token_is_greedy_choice(options):
    prompts = [[4, 5], [6, 7]]
    model = decoder(towards_end=0.0)
    greedy = generate(model, prompts, max_new_tokens=8)
    np.testing.assert_array_equal(sample(prompts, model, **options), greedy)


def test_the_first_tokens_of_many_samples_follow_the_model():
    model = decoder(seed=2)
    texts = sample([[4, 5]], model, max_new_tokens=1, num_return_sequences=4000, temperature=1.5)
    logits = full_logits(model, [[4, 5]])[0, -1] / 1.5
    p = np.exp(log_softmax(np, logits[None], -1))[0]
    counts = np.bincount(texts[:, -1], minlength=len(p))
    assert chi_square(counts, p * 4000) < 39.25  # 16 degrees of freedom


def full_logits(model, ids):
    ids = np.array(ids)
    places = np.zeros_like(ids) + np.arange(ids.shape[1])
    return model._logits(ids, np.ones_like(ids), places, None)


@pytest.mark.parametrize("options", [{}, {"do_sample": True, "temperature": 0.7, "seed": 1}])
def test_a_score_is_the_log_probability_of_the_new_tokens(options):
    model = decoder(seed=1, kind=Decoder)
    prompts = [[4, 5, 6], [7, 8, 9]]
    found = generate(
        model, prompts, max_new_tokens=9, eos_token_id=3, return_scores=True, **options
    )
    for text, score in zip(found.sequences.tolist(), found.scores):
        end = text.index(3) + 1 if 3 in text else len(text)
        logits = full_logits(model, [text])[0] / options.get("temperature", 1.0)
        chosen = log_softmax(np, logits, -1)[np.arange(2, end - 1), text[3:end]]
        assert score == pytest.approx(chosen.sum(), rel=1e-12)


def stuck(ids, scores):
    """Rules out every token after [4, 5] and one more."""
    return np.where((ids[:, :1] == 4) & (ids.shape[1] >= 3), -np.inf, scores)


@pytest.mark.parametrize("way", [{}, {"do_sample": True, "seed": 1}], ids=str)
def test_a_row_in_which_no_token_may_come_ends_and_the_others_go_on(way):
    prompts, options = [[6, 7], [4, 5]], {"max_new_tokens": 6, "return_scores": True, **way}
    ends = {"eos_token_id": 3, "pad_token_id": 0}
    model = decoder(towards_end=-99.0)
    found = generate(model, prompts, logits_processor=[stuck], **ends, **options)
    free = generate(model, prompts, **ends, **options)
    assert found.sequences[0].tolist() == free.sequences[0].tolist()
    assert found.sequences[1].tolist() == [4, 5, free.sequences[1, 2], 3, 0, 0, 0, 0]
    one = generate(model, prompts, **{**options, "max_new_tokens": 1})
    np.testing.assert_allclose(found.scores, [free.scores[0], one.scores[1]], rtol=1e-12)


def test_the_scores_of_a_caller_are_left_as_they_are():
    own = np.full((1, 17), -np.inf)
    texts = generate(decoder(), [[4]], logits_processor=[lambda ids, s: own], eos_token_id=3)
    assert texts.tolist() == [[4, 3]] and np.isneginf(own).all()


def test_without_an_end_such_a_row_is_named_and_its_step():
    with pytest.raises(ValueError, match="ruled out in row 1 at new token 2: give an eos_token_id"):
        generate(decoder(), [[6, 7], [4, 5]], logits_processor=[stuck], max_new_tokens=6)
    options = {"do_sample": True, "num_return_sequences": 3, "max_new_tokens": 6}
    with pytest.raises(ValueError, match="ruled out in row 1 at new token 2"):
        generate(decoder(), [[6, 7], [4, 5]], logits_processor=[stuck], **options)


def test_only_the_tokens_that_come_are_kept_however_many_may():
    model = decoder(1, towards_end=30.0)
    found = generate(model, [[4, 5]], max_new_tokens=2**62, eos_token_id=[3, 7])
    assert found.shape == (1, 3) and (found.base is None or found.base.size == 3)


def test_greedy_choice_takes_the_first_of_equal_scores():
    texts = generate(lambda ids: np.zeros((*ids.shape, 4)), [[2]], max_new_tokens=2)
    np.testing.assert_array_equal(texts, [[2, 0, 0]])
