"""What is done to scores: as recorded from Hugging Face, and by the definition of each."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generation.tables import FIGURES, decoder
from tinygrad_llm.generation import GenerationConfig, generate, processors
from tinygrad_llm.generation.processors import pipeline, softmax

SCORES = st.lists(st.integers(-6, 6), min_size=1, max_size=12).map(
    lambda values: np.array([values]) / 2.0
)
"""One row with many ties."""

TEXTS = st.lists(st.integers(0, 3), min_size=1, max_size=12)


def rows_of(scores, ids=((0,),)):
    ids = np.array(ids)
    numbers = np.arange(len(ids))
    return SimpleNamespace(
        ids=ids, mask=np.ones_like(ids), numbers=numbers, logits=np.array(scores)
    )


@pytest.mark.parametrize("number", range(len(FIGURES["filters"])))
def test_probabilities_after_the_filters_are_those_of_hugging_face(number):
    row = FIGURES["filters"][number]
    processed = pipeline(GenerationConfig(do_sample=True, **row["options"]), 1)
    found = softmax(processed(rows_of([row["scores"]])))
    np.testing.assert_allclose(found, [row["p"]], atol=1e-10)


@given(SCORES, st.floats(0.01, 1.0))
def test_top_p_keeps_the_least_set_that_reaches_p(scores, p):
    kept = np.isfinite(processors.top_p(scores, p))[0]
    mass = softmax(scores)[0]
    assert mass[kept].sum() >= p - 1e-12
    assert mass[kept].sum() - mass[kept].min() < p + 1e-12
    assert mass[kept].min() >= mass[~kept].max(initial=0.0)


def test_top_p_keeps_the_token_that_crosses_and_the_last_of_equal_ones():
    p = np.array([[0.5, 0.25, 0.125, 0.125]])
    kept = [np.isfinite(processors.top_p(np.log(p), level))[0].tolist() for level in (0.6, 0.8)]
    assert kept == [[True, True, False, False], [True, True, False, True]]


def test_top_p_needs_no_more_than_p_itself_and_keeps_one_token_at_least():
    even = np.zeros((1, 4))
    kept = [np.isfinite(processors.top_p(even, p))[0].tolist() for p in (0.5, 1e-20)]
    assert kept == [[False, False, True, True], [False, False, False, True]]


@given(SCORES, st.integers(1, 15))
def test_top_k_keeps_k_and_what_is_as_great_as_the_last_of_them(scores, k):
    out = processors.top_k(scores, k)[0]
    kept = np.isfinite(out)
    least = np.sort(scores[0])[::-1][min(k, scores.size) - 1]
    np.testing.assert_array_equal(kept, scores[0] >= least)
    np.testing.assert_array_equal(out[kept], scores[0][kept])


@given(SCORES, st.floats(0.0, 1.0))
def test_min_p_keeps_a_share_of_the_greatest_probability(scores, p):
    mass = softmax(scores)[0]
    clear = np.abs(mass / mass.max() - p) > 1e-12
    kept = np.isfinite(processors.min_p(scores, p))[0]
    np.testing.assert_array_equal(kept[clear], (mass >= p * mass.max())[clear])
    assert kept[scores[0].argmax()]


def test_min_p_of_one_keeps_the_most_probable_tokens():
    found = processors.min_p(np.array([[1.0, 3.0, 3.0]]), 1.0)
    np.testing.assert_array_equal(found, [[-np.inf, 3.0, 3.0]])


def test_temperature_scales_the_log_odds():
    p = softmax(processors.temperature(np.log([[0.8, 0.2]]), 2.0))[0]
    assert p[0] / p[1] == pytest.approx(2.0)


def test_repetition_penalty_divides_positive_scores_and_multiplies_negative_ones():
    scores = np.array([[2.0, -2.0, 3.0, -3.0, 0.0]] * 2)
    ids = np.array([[0, 1, 1], [4, 0, 3]])
    found = processors.repetition_penalty(ids, scores, 2.0)
    np.testing.assert_array_equal(found[0], [1.0, -4.0, 3.0, -3.0, 0.0])
    np.testing.assert_array_equal(found[1], [1.0, -2.0, 3.0, -6.0, 0.0])


def test_repetition_penalty_leaves_padding_out():
    mask = np.array([[0, 0, 1]])
    found = processors.repetition_penalty(np.array([[0, 0, 1]]), np.ones((1, 3)), 2.0, mask)
    np.testing.assert_array_equal(found, [[1.0, 0.5, 1.0]])


def grams(text, size):
    return [tuple(text[i : i + size]) for i in range(len(text) - size + 1)]


@given(TEXTS, st.integers(1, 4))
def test_no_repeat_ngram_rules_out_what_would_make_one_occur_twice(text, size):
    found = processors.no_repeat_ngram(np.array([text]), np.zeros((1, 4)), size)[0]
    for token in range(4):
        new = grams([*text, token], size)[-1:]
        assert np.isneginf(found[token]) == (bool(new) and new[0] in grams(text, size))


def test_rows_are_processed_each_by_its_own_text():
    ids = np.array([[1, 2, 1], [2, 1, 2]])
    found = processors.no_repeat_ngram(ids, np.zeros((2, 3)), 2)
    np.testing.assert_array_equal(np.isneginf(found), [[0, 0, 1], [0, 1, 0]])


def test_no_end_before_the_length():
    scores = np.zeros((1, 4))
    early = processors.no_end_before(np.zeros((1, 2), int), scores, 3, [1, 3])
    np.testing.assert_array_equal(np.isneginf(early), [[0, 1, 0, 1]])
    late = processors.no_end_before(np.zeros((1, 3), int), scores, 3, [1, 3])
    np.testing.assert_array_equal(late, scores)


def test_forced_end_comes_last_only():
    scores = np.array([[5.0, 1.0, 2.0]])
    last = processors.forced_end(np.zeros((1, 3), int), scores, 4, [1, 2])
    np.testing.assert_array_equal(last, [[-np.inf, 0.0, 0.0]])
    before = processors.forced_end(np.zeros((1, 2), int), scores, 4, [1, 2])
    np.testing.assert_array_equal(before, scores)


@pytest.mark.parametrize(
    "change",
    [
        lambda ids, s: processors.temperature(s, 0.5),
        lambda ids, s: processors.top_k(s, 1),
        lambda ids, s: processors.top_p(s, 0.1),
        lambda ids, s: processors.min_p(s, 0.9),
        lambda ids, s: processors.repetition_penalty(ids, s, 2.0),
        lambda ids, s: processors.no_repeat_ngram(ids, s, 1),
        lambda ids, s: processors.no_end_before(ids, s, 9, [0]),
        lambda ids, s: processors.forced_end(ids, s, ids.shape[1] + 1, [0]),
    ],
)
def test_what_comes_in_is_not_changed(change):
    ids, scores = np.array([[0, 1]]), np.array([[1.0, 2.0, 4.0]])
    assert not np.array_equal(change(ids, scores), scores)
    np.testing.assert_array_equal(scores, [[1.0, 2.0, 4.0]])
    np.testing.assert_array_equal(ids, [[0, 1]])


def test_beams_begin_with_log_probabilities_of_great_scores_and_of_tokens_ruled_out_too():
    scores = pipeline(GenerationConfig(num_beams=2), 1)
    found = scores(rows_of([[1000.0, 1000.0, -np.inf]], [[0]]))
    np.testing.assert_allclose(found, [[np.log(0.5), np.log(0.5), -np.inf]])


def test_own_processors_come_after_those_of_the_text_and_before_those_of_sampling():
    seen = []

    def own(ids, scores):
        seen.append(scores.copy())
        return scores + np.array([[0.0, 0.0, 9.0]])

    config = GenerationConfig(
        do_sample=True, repetition_penalty=2.0, temperature=2.0, top_k=1, min_p=0.5, top_p=0.9
    )
    found = pipeline(config, 1, [own])(rows_of([[4.0, 3.0, 1.0]], [[0]]))
    np.testing.assert_array_equal(seen, [[[2.0, 3.0, 1.0]]])
    np.testing.assert_array_equal(found, [[-np.inf, -np.inf, 5.0]])


WAYS = [{}, {"num_beams": 2}, {"do_sample": True}]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused_with_the_row_of_the_prompt(way, value):
    """Row 0 has ended before, so that row 1 is the first of those that go on."""

    def own(ids, scores):
        scores = np.where((ids[:, :1] == 4) & (np.arange(17) != 3), -np.inf, scores)
        return np.where((ids[:, :1] == 6) & (ids.shape[1] == 4), value, scores)

    options = {"eos_token_id": 3, "max_new_tokens": 5, "logits_processor": [own], **way}
    with pytest.raises(ValueError, match=r"a logits_processor .* made NaN or \+inf in row 1$"):
        generate(decoder(towards_end=-99.0), [[4, 5], [6, 7]], **options)


@pytest.mark.parametrize("options", [{}, {"top_k": 2, "top_p": 0.5, "min_p": 0.5}], ids=str)
def test_a_temperature_too_low_for_the_scores_is_refused(options):
    config = GenerationConfig(do_sample=True, temperature=1e-310, **options)
    with pytest.raises(ValueError, match=r"temperature, .* made NaN or \+inf in row 0$"):
        pipeline(config, 1)(rows_of([[3.0, 2.0, -1.0]]))


def test_a_penalty_too_small_for_the_scores_is_refused():
    config = GenerationConfig(repetition_penalty=1e-310)
    with pytest.raises(ValueError, match=r"repetition_penalty\) made NaN or \+inf in row 0$"):
        pipeline(config, 1)(rows_of([[3.0, 2.0, -1.0]]))


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize(
    ("own", "error", "words"),
    [
        (lambda ids, s: None, TypeError, "gave NoneType, expected an array of floats"),
        (lambda ids, s: s.tolist(), TypeError, "gave list, expected an array of floats"),
        (lambda ids, s: s > 0, TypeError, "gave bool, expected an array of floats"),
        (lambda ids, s: s[0], ValueError, r"gave scores \(17,\), expected \([24], 17\)"),
        (lambda ids, s: s[:1], ValueError, r"gave scores \(1, 17\), expected \([24], 17\)"),
        (lambda ids, s: s[:, :5], ValueError, r"gave scores \([24], 5\), expected \([24], 17\)"),
    ],
)
def test_what_a_processor_gives_must_be_scores_of_its_rows(own, error, words, way):
    with pytest.raises(error, match=f"^generate: a logits_processor {words}"):
        generate(decoder(), [[4, 5], [6, 7]], max_new_tokens=2, logits_processor=[own], **way)
