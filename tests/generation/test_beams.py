"""Beam search against an exhaustive one, against greedy choice, and its rules of stopping."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generation.tables import CachedDecoder, decoder
from tinygrad_llm.generation import GenerationConfig, generate
from tinygrad_llm.generation.beams import Finished, beam_search, best
from tinygrad_llm.generation.processors import pipeline
from tinygrad_llm.generation.rows import Rows
from tinygrad_llm.ops.softmax import log_softmax

VALUES = st.lists(st.sampled_from([-math.inf, -2.0, -1.0, 0.5]), min_size=1, max_size=12)


@given(VALUES, st.integers(1, 15))
def test_best_are_the_greatest_and_of_equals_the_first(values, count):
    order = sorted(range(len(values)), key=lambda i: -values[i])
    expected = [i for i in order if values[i] > -math.inf][:count]
    assert best(np.array(values), count).tolist() == expected


def small(seed, vocabulary=5):
    """A model of 5 tokens, float64."""
    model = decoder(seed, kind=CachedDecoder)
    for name, table in vars(model._tables).items():
        rows = vocabulary + 1 if name == "before" else min(len(table), vocabulary)
        setattr(model._tables, name, table[:rows, :vocabulary])
    return model


def all_texts(model, prompt, steps, eos):
    """(log-probability, new tokens) of every text that ends, or has `steps` tokens."""
    open_texts, done = [(0.0, [])], []
    for step in range(steps):
        longer = []
        for so_far, new in open_texts:
            ids = np.array([prompt + new])
            places = np.arange(ids.shape[1])[None]
            logits = model._logits(ids, np.ones_like(ids), places, None)
            p = log_softmax(np, logits[:, -1], -1)[0].tolist()
            longer += [(so_far + p[token], [*new, token]) for token in range(len(p))]
        ends = [text for text in longer if text[1][-1] in eos or step == steps - 1]
        done += ends
        open_texts = [text for text in longer if text not in ends]
    return done


@pytest.mark.parametrize("penalty", [-1.0, 0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("early", [False, True, "never"])
@pytest.mark.parametrize("eos", [[3], [1, 3], None])
def test_beams_as_wide_as_all_texts_find_them_all(penalty, early, eos):
    if eos is None and (penalty, early) != (1.0, False):
        penalty, early = 1.0, False
    model, prompt = small(4), [2, 4]
    texts = all_texts(model, prompt, 3, eos or [])
    texts = sorted(((p / len(new) ** penalty, new) for p, new in texts), reverse=True)
    found = generate(
        model,
        [prompt],
        **{"max_new_tokens": 3, "num_beams": 130, "num_return_sequences": len(texts)},
        **{"length_penalty": penalty, "early_stopping": early, "eos_token_id": eos},
        pad_token_id=0,
        return_scores=True,
    )
    np.testing.assert_allclose(found.scores, [score for score, _ in texts], rtol=1e-10)
    expected = [prompt + new + [0] * (3 - len(new)) for _, new in texts]
    assert found.sequences.tolist() == expected


@pytest.mark.parametrize("seed", range(8))
def test_one_beam_is_greedy_choice(seed):
    model = decoder(seed)
    prompts = np.array([[4, 5], [6, 7], [8, 9]])
    config = GenerationConfig(max_new_tokens=9, eos_token_id=[3, 7])
    greedy = generate(model, prompts, generation_config=config)
    rows = Rows(model, prompts, np.ones_like(prompts))
    rows.read()
    texts = beam_search(rows, config, pipeline(config, 2))
    for row, found in zip(greedy.tolist(), texts):
        assert len(found) == 1
        assert found[0].ids.tolist() == row[: len(found[0].ids)]
        assert set(row[len(found[0].ids) :]) <= {3}


@pytest.mark.parametrize("seed", range(4))
def test_more_beams_find_no_worse_texts_and_never_the_same_twice(seed):
    model, scores = decoder(seed), []
    for width in (2, 8, 64):
        found = generate(
            model,
            [[4, 5]],
            **{"num_beams": width, "num_return_sequences": width, "max_new_tokens": 6},
            **{"eos_token_id": 3, "length_penalty": 0.0, "early_stopping": "never"},
            return_scores=True,
        )
        assert len({tuple(text) for text in found.sequences.tolist()}) == width
        assert (np.diff(found.scores) <= 0).all()
        scores.append(found.scores[0])
    assert scores[0] <= scores[2] and scores[1] <= scores[2]


def reads(early):
    """How many rows the model reads at each step, for two prompts and three beams."""
    model = decoder(2, towards_end=1.0)
    generate(
        model,
        [[4, 5], [6, 7]],
        **{"num_beams": 3, "max_new_tokens": 30, "eos_token_id": 3, "length_penalty": 0.6},
        early_stopping=early,
    )
    return [rows for rows, _ in model.calls]


def test_early_stopping_reads_least_and_never_reads_most():
    assert sum(reads(True)) < sum(reads(False)) < sum(reads("never"))


def test_prompts_are_read_once_and_one_whose_search_has_ended_no_more():
    assert reads(True) == [2] + [6] * 6 + [3] * 10


@pytest.mark.parametrize(
    ("early", "penalty", "best_beam", "closed"),
    [
        (False, 1.0, -8.0, True),  # -8 / 2 = -4, as good as the worst finished text
        (False, 1.0, -7.9, False),
        ("never", 1.0, -39.0, False),  # -39 / 10 at the greatest length
        ("never", 1.0, -40.0, True),
        ("never", -1.0, -1.9, False),  # -1.9 * 2 now, and less later
        ("never", -1.0, -2.0, True),
        ("never", 0.0, -3.9, False),
        (True, 1.0, -0.1, True),
        (False, 1.0, -math.inf, True),
    ],
)
def test_a_search_ends_when_its_beams_cannot_be_better(early, penalty, best_beam, closed):
    options = {"early_stopping": early, "length_penalty": penalty, "eos_token_id": 1}
    finished = Finished(GenerationConfig(num_beams=2, **options), steps=10)
    for score in (-2.0, -4.0):
        finished.close(best_beam, 2)
        assert finished.closed == (best_beam == -math.inf)
        finished.add(score, np.array([0, 1]), 1)
    finished.close(best_beam, 2)
    assert finished.closed == closed


@pytest.mark.parametrize("penalty", [-16.0, 16.0])
def test_the_greatest_penalties_and_lengths_give_numbers(penalty):
    config = GenerationConfig(num_beams=2, length_penalty=penalty, eos_token_id=1)
    finished = Finished(replace(config, early_stopping="never"), steps=2**63 - 1)
    for length in (1, 10**6):
        finished.add(-1e5, np.array([0, 1]), length)
        finished.close(-1e5, length)
    assert all(-np.inf < text.score < 0.0 for text in finished.texts)


def test_several_ends_leave_enough_candidates_to_go_on():
    """Both ends are better than all else after both beams; 2 * 2 candidates would all be ends."""
    calls = []

    def model(ids):
        calls.append(ids.shape)
        return np.zeros((*ids.shape, 4)) + [4.0, 3.9, 0.0, -0.1]

    generate(
        model,
        [[2]],
        **{"num_beams": 2, "eos_token_id": [0, 1], "max_new_tokens": 5, "length_penalty": 5.0},
        early_stopping="never",
    )
    assert calls == [(1, 1), (2, 2), (2, 3), (2, 4), (2, 5)]


def test_fewer_texts_than_asked_for_are_refused():
    def model(ids):
        return np.zeros((*ids.shape, 3))

    with pytest.raises(ValueError, match="row 0 has 3 possible texts"):
        generate(model, [[1]], num_beams=4, num_return_sequences=4, max_new_tokens=1)


@pytest.mark.parametrize("several", [1, 2])
def test_beams_in_none_of_which_a_token_may_come_end_where_the_row_has_no_text(several):
    """All beams of row 1 are stuck after one token; its texts end there, with these scores."""

    def stuck(ids, scores):
        return np.where((ids[:, :1] == 4) & (ids.shape[1] >= 3), -np.inf, scores)

    model, prompts = decoder(towards_end=-99.0), [[6, 7], [4, 5]]
    options = {"num_beams": 3, "num_return_sequences": several, "return_scores": True}
    ends = {"eos_token_id": 3, "pad_token_id": 0, "length_penalty": 0.0, "max_new_tokens": 5}
    found = generate(model, prompts, logits_processor=[stuck], **options, **ends)
    free = generate(model, prompts, **options, **ends)
    one = generate(model, prompts, **options, max_new_tokens=1)
    own = slice(several, 2 * several)
    np.testing.assert_array_equal(found.sequences[:several], free.sequences[:several])
    expected = np.pad(one.sequences[own], [(0, 0), (0, 4)], constant_values=[(0, 0), (0, 0)])
    expected[:, 3] = 3
    np.testing.assert_array_equal(found.sequences[own], expected)
    np.testing.assert_allclose(found.scores[own], one.scores[own], rtol=1e-12)
    with pytest.raises(ValueError, match="row 1 has 0 possible texts"):
        generate(model, prompts, logits_processor=[stuck], **options, max_new_tokens=5)


def test_stuck_beams_are_given_up_where_enough_texts_are_finished():
    """Token 1 is likelier than the end, 3, but nothing may come after it."""

    def own(ids, scores):
        return np.where(ids.shape[1] == 1, np.log([[1e-9, 0.8, 1e-9, 0.2]]), -np.inf) + 0 * scores

    def model(ids):
        return np.zeros((*ids.shape, 4))

    options = {"num_beams": 2, "eos_token_id": 3, "length_penalty": 0.0, "logits_processor": [own]}
    assert generate(model, [[2]], **options).tolist() == [[2, 3]]
    both = generate(model, [[2]], **options, num_return_sequences=2, return_scores=True)
    assert both.sequences.tolist() == [[2, 1, 3], [2, 3, 3]]
    np.testing.assert_allclose(both.scores, np.log([0.8, 0.2]))


def test_padding_outside_of_the_vocabulary_is_never_read():
    """Only one beam of the first step does not end: the others are empty places."""
    calls = []

    def model(ids):
        calls.append(ids.max())
        return np.zeros((*ids.shape, 5))

    options = {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 3}
    found = generate(model, [[1]], eos_token_id=[1, 2, 3, 4], pad_token_id=99, **options)
    assert max(calls) < 5 and len(calls) == 2
    assert found.tolist() == [[1, 1, 99], [1, 2, 99], [1, 3, 99], [1, 0, 1]]


def test_texts_that_end_sooner_are_filled_up():
    model = decoder(2, towards_end=3.0)
    options = {"num_beams": 4, "num_return_sequences": 4, "max_new_tokens": 8, "eos_token_id": 3}
    ends = generate(model, [[4, 5]], **options)
    pads = generate(model, [[4, 5]], pad_token_id=0, **options)
    assert (ends == 3).argmax(axis=1).tolist() == [2, 3, 4, 4]
    assert (ends == 3).sum(axis=1).tolist() == [3, 2, 1, 1]
    assert ((pads == 0).sum(axis=1)).tolist() == [2, 1, 0, 0]
    np.testing.assert_array_equal(np.where(pads == 0, 3, pads), ends)
