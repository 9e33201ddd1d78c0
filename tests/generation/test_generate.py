"""What `generate` takes and gives, and how it refuses what does not fit together."""

import numpy as np
import pytest

from tests.generation.tables import CachedEncoderDecoder, decoder
from tinygrad_llm import Tensor
from tinygrad_llm.generation import Generation, GenerationConfig, generate

PROMPTS = [[4, 5], [6, 7]]


@pytest.mark.parametrize(
    "prompts", [PROMPTS, np.array(PROMPTS, np.int32), Tensor(np.array(PROMPTS))]
)
def test_prompts_are_lists_arrays_or_tensors(prompts):
    found = generate(decoder(), prompts, max_new_tokens=3)
    assert found.dtype == np.int64
    assert found.shape == (2, 5)
    np.testing.assert_array_equal(found[:, :2], PROMPTS)
    np.testing.assert_array_equal(found, generate(decoder(), PROMPTS, max_new_tokens=3))


def test_scores_come_when_asked_for():
    found = generate(decoder(), PROMPTS, max_new_tokens=3, return_scores=True)
    assert isinstance(found, Generation)
    assert found.scores.shape == (2,)
    np.testing.assert_array_equal(found.sequences, generate(decoder(), PROMPTS, max_new_tokens=3))


def test_lengths():
    assert generate(decoder(), PROMPTS).shape == (2, 22)
    assert generate(decoder(), PROMPTS, max_length=6).shape == (2, 6)
    start = {"decoder_start_token_id": 1}
    model = decoder(kind=CachedEncoderDecoder)
    assert generate(model, PROMPTS, max_length=6, **start).shape == (2, 6)
    assert generate(model, PROMPTS, max_new_tokens=6, **start).shape == (2, 7)


def test_options_take_the_place_of_the_configuration():
    config = GenerationConfig(max_new_tokens=3, num_beams=3, num_return_sequences=2)
    assert generate(decoder(), PROMPTS, generation_config=config).shape == (4, 5)
    found = generate(decoder(), PROMPTS, generation_config=config, max_new_tokens=4, num_beams=2)
    assert found.shape == (4, 6)
    assert config.max_new_tokens == 3


def test_stream_is_called_with_each_token_as_it_comes():
    model, tokens, reads = decoder(1, towards_end=0.5), [], []

    def stream(token):
        tokens.append(token)
        reads.append(len(model.calls))

    found = generate(model, [[4, 5]], max_new_tokens=9, eos_token_id=3, stream=stream)
    assert tokens == found[0, 2:].tolist()
    assert all(type(token) is int for token in tokens)
    assert reads == list(range(1, len(tokens) + 1))


def test_several_forced_ends_share_the_last_place():
    found = generate(
        decoder(), PROMPTS, max_new_tokens=4, forced_eos_token_id=[5, 3], return_scores=True
    )
    assert found.sequences[:, -1].tolist() == [3, 3]


def test_the_least_length_includes_the_prompt():
    options = {"eos_token_id": [3, 7], "max_new_tokens": 9}
    model = decoder(1, towards_end=30.0)
    assert generate(model, PROMPTS, **options).shape == (2, 3)
    assert generate(model, PROMPTS, min_length=5, **options).shape == (2, 6)
    assert generate(model, PROMPTS, min_new_tokens=5, **options).shape == (2, 8)


LONG = {"num_beams": 2, "eos_token_id": 3}


def never(ids, attention_mask):
    raise AssertionError("the model ran")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0.0, "do_sample": True}, "temperature=0.0: expected above 0"),
        ({"temperature": float("nan"), "do_sample": True}, "temperature=nan: expected a finite"),
        ({"temperature": 0.5}, "temperature=0.5: expected do_sample=True"),
        ({"top_p": 0.0, "do_sample": True}, "top_p=0.0: expected above 0 and at most 1"),
        ({"top_p": 1.1, "do_sample": True}, "top_p=1.1"),
        ({"top_p": 0.5}, "top_p=0.5: expected do_sample=True"),
        ({"seed": 1}, "seed=1: expected do_sample=True"),
        ({"top_k": -1, "do_sample": True}, "top_k=-1: expected at least 0"),
        ({"top_k": 5}, "top_k=5: expected do_sample=True"),
        ({"min_p": 1.5, "do_sample": True}, "min_p=1.5: expected from 0 to 1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty=0.0: expected above 0"),
        ({"no_repeat_ngram_size": -2}, "no_repeat_ngram_size=-2: expected at least 0"),
        ({"num_beams": 0}, "num_beams=0: expected at least 1"),
        ({"num_beams": 2, "do_sample": True}, "beam search does not draw"),
        ({"num_beams": 2, "stream": print}, "stream follows one text"),
        ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences=3"),
        ({"num_return_sequences": 2}, "num_return_sequences=2: expected do_sample=True"),
        ({"length_penalty": 2.0, "eos_token_id": 3}, "length_penalty=2.0: expected num_beams"),
        ({"early_stopping": True, "eos_token_id": 3}, "early_stopping=True: expected num_beams"),
        ({"length_penalty": 2.0, "num_beams": 2}, "length_penalty=2.0: expected an eos_token_id"),
        ({"early_stopping": True, "num_beams": 2}, "early_stopping=True: expected an eos_token"),
        ({"early_stopping": "always", "num_beams": 2}, "early_stopping='always': expected True"),
        ({"min_new_tokens": 2}, "min_new_tokens=2: expected an eos_token_id"),
        ({"min_length": 2}, "min_length=2: expected an eos_token_id"),
        ({"max_new_tokens": 0}, "max_new_tokens=0: expected at least 1"),
        ({"max_new_tokens": 5, "max_length": 9}, "both given"),
        ({"max_length": 2}, "max_length=2 leaves no room after a prompt of 2"),
        (
            {"min_new_tokens": 6, "max_new_tokens": 5, "eos_token_id": 3},
            "min_new_tokens=6 is beyond the 5 tokens .*: lower it, or give max_new_tokens=6",
        ),
        (
            {"min_new_tokens": 2, "min_length": 8, "max_length": 7, "eos_token_id": 3},
            "min_length=8 is beyond the 5 tokens .*: lower it, or give max_length=8",
        ),
        (
            {"min_length": 4, "max_new_tokens": 1, "eos_token_id": 3},
            "min_length=4 is beyond the 1 token that .*, or give max_new_tokens=2",
        ),
        ({"eos_token_id": -1}, "eos_token_id=-1: expected at least 0"),
        ({"eos_token_id": []}, r"eos_token_id=\[\]: expected a token id at least, or None"),
        ({"eos_token_id": np.array([], int)}, "eos_token_id=.*: expected a token id at least"),
        ({"pad_token_id": 2**70}, f"pad_token_id={2**70}: expected at most {2**63 - 1}"),
        (LONG | {"length_penalty": 16.5}, r"length_penalty=16\.5: expected from -16 to 16"),
        (LONG | {"length_penalty": -17}, "length_penalty=-17: expected from -16 to 16"),
        ({"seed": -1}, "seed=-1: expected at least 0"),
        ({"decoder_start_token_id": 1}, "has no encoder"),
        ({"attention_mask": [[1, 0]]}, "row 0 ends with padding"),
        ({"attention_mask": [[1, 1, 1]]}, r"attention_mask \(1, 3\) must be 0 and 1"),
        ({"attention_mask": [[2, 1]]}, "must be 0 and 1"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_the_model_runs(options, words):
    with pytest.raises(ValueError, match=f"^generate: .*{words}"):
        generate(never, [[4, 5]], **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_beams": 2.0}, "num_beams=2.0: expected an integer"),
        ({"num_beams": True}, "num_beams=True: expected an integer"),
        ({"temperature": "hot"}, "temperature='hot': expected a number"),
        ({"eos_token_id": "</s>"}, "eos_token_id='</s>': expected an integer or a list"),
        ({"eos_token_id": [3, 2.5]}, "eos_token_id=2.5: expected an integer"),
        ({"eos_token_id": True}, "eos_token_id=True: expected an integer"),
        ({"eos_token_id": np.array([1.5])}, "eos_token_id=1.5: expected an integer"),
        ({"do_sample": "False"}, "do_sample='False': expected True or False"),
        ({"return_scores": 1}, "return_scores=1: expected True or False"),
        ({"stream": True}, "stream=True: expected a function of a token's id"),
        ({"topk": 3}, r"^generate: no option 'topk'; top_k\?$"),
        ({"max_tokens": 3}, r"no option 'max_tokens'; max_new_tokens\?$"),
        ({"streamer": print}, r"no option 'streamer'; stream\?$"),
        ({"use_cache": True}, "no option 'use_cache'; GenerationConfig has them all$"),
        ({"generation_config": {"top_k": 3}}, "is a dict: give a GenerationConfig, or its fields"),
        ({"logits_processor": max}, r"logits_processor=.*: expected a list .* \[f\] for one"),
        ({"logits_processor": [1]}, r"logits_processor=\[1\]: expected a list of functions"),
    ],
    ids=str,
)
def test_settings_of_a_wrong_type_are_refused(options, words):
    with pytest.raises(TypeError, match=words):
        generate(never, [[4, 5]], **options)


@pytest.mark.parametrize(
    ("prompts", "error", "words"),
    [
        ([4, 5], ValueError, r"input_ids \(2,\) must be \(B, T\)"),
        ([[]], ValueError, r"input_ids \(1, 0\) is empty: each text needs a first token"),
        ([[4], [5, 6]], ValueError, "rows of different lengths"),
        ([[4, -1]], ValueError, "input_ids holds -1"),
        ([[0.5]], TypeError, "input_ids holds float64"),
        ([[4, 5], [6, 7]], ValueError, "stream follows one text"),
    ],
    ids=str,
)
def test_wrong_prompts_are_refused(prompts, error, words):
    with pytest.raises(error, match=words):
        generate(never, prompts, stream=print)


def test_a_model_that_cannot_be_told_of_padding_gets_none():
    with pytest.raises(ValueError, match="takes no attention_mask"):
        generate(lambda ids: ids, [[4, 5]], attention_mask=[[0, 1]])


def test_an_encoder_decoder_needs_its_first_token():
    with pytest.raises(ValueError, match="CachedEncoderDecoder needs a decoder_start_token_id"):
        generate(decoder(kind=CachedEncoderDecoder), [[4, 5]])


def test_ids_outside_of_the_vocabulary_are_refused():
    def model(ids):
        return np.zeros((*ids.shape, 3))

    for options in ({"eos_token_id": [1, 3]}, {"forced_eos_token_id": 3}):
        with pytest.raises(ValueError, match="eos_token_id 3 is outside of the model's vocabulary"):
            generate(model, [[1]], **options)
    with pytest.raises(ValueError, match="input_ids 5 is outside"):
        generate(model, [[5]])


def test_ends_may_be_an_array():
    found = [
        generate(decoder(1, 30.0), PROMPTS, eos_token_id=ends, max_new_tokens=9)
        for ends in ([3, 7], np.array([3, 7]), np.array([3, 7], np.uint8))
    ]
    assert found[0].shape == (2, 3)
    np.testing.assert_array_equal(found[1:], [found[0]] * 2)
    assert GenerationConfig(eos_token_id=np.array(3)) == GenerationConfig(eos_token_id=3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"do_sample": True}], ids=str)
def test_logits_that_are_no_numbers_are_refused(value, options):
    with pytest.raises(ValueError, match="logits hold NaN"):
        generate(lambda ids: np.full((*ids.shape, 3), [0.0, value, 0.0]), [[1]], **options)


def test_logits_of_a_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 3\), expected \(1, T, V\)"):
        generate(lambda ids: np.zeros((1, 3)), [[1]])


@pytest.mark.parametrize(
    ("answer", "name"), [((1, 2), "tuple"), (None, "NoneType"), ([[[0.0]]], "list")], ids=str
)
def test_answers_that_are_no_logits_are_refused(answer, name):
    with pytest.raises(TypeError, match=rf"the model gave {name}, expected logits \(N, T, V\)"):
        generate(lambda ids: answer, [[1]])


def test_a_configuration_cannot_be_changed():
    with pytest.raises(AttributeError):
        GenerationConfig().seed = 3
