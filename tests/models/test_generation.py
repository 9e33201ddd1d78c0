"""Tests of generation by real models: with a cache they write what they write without one."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models.common import gpt2, ids, translator
from tinygrad_llm import manual_seed
from tinygrad_llm.generation import generate
from tinygrad_llm.models.gpt2 import POSITIONS
from tinygrad_llm.testing import strict_cupy

WAYS = {
    "greedy": {},
    "sampling": {"do_sample": True, "num_return_sequences": 3},
    "beams": {"num_beams": 3, "num_return_sequences": 2},
}


class Forgetful:
    """A decoder alone without a cache."""

    def __init__(self, model):
        self.model = model

    def __call__(self, input_ids, attention_mask=None, position_ids=None):
        return self.model(input_ids, attention_mask, position_ids)


class ForgetfulTranslator:
    """An encoder-decoder without a cache."""

    def __init__(self, model):
        self.model, self.encode = model, model.encode

    def decode(self, input_ids, states, attention_mask=None):
        return self.model.decode(input_ids, states, attention_mask)


def written(model, prompts, **options):
    manual_seed(0)
    return generate(model, prompts, max_new_tokens=8, return_scores=True, **options)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("positions", POSITIONS)
def test_gpt2_with_a_cache_writes_what_it_writes_without(way, positions):
    model, prompts = gpt2(positions=positions), ids(3, 5)
    mask = np.array([[0, 0, 1, 1, 1], [1] * 5, [0, 1, 1, 1, 1]])
    how = {"attention_mask": mask, "eos_token_id": 2, "pad_token_id": 0, **WAYS[way]}
    found = written(model, prompts, **how)
    expected = written(Forgetful(model), prompts, **how)
    assert np.array_equal(found.sequences, expected.sequences)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-9)
    assert len(np.unique(found.sequences[:, 5:])) > 1


def test_gpt2_writes_to_a_padded_prompt_what_it_writes_to_it_alone():
    model, prompts = gpt2(), ids(2, 5)
    mask = np.array([[0, 0, 1, 1, 1], [1] * 5])
    found = generate(model, prompts, attention_mask=mask, max_new_tokens=8)
    alone = generate(model, prompts[:1, 2:], max_new_tokens=8)
    assert np.array_equal(found[0, 5:], alone[0, 3:])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_transformer_with_a_cache_writes_what_it_writes_without(way, norm):
    model, source = translator(norm=norm), ids(3, 6)
    source[0, 4:] = 0
    how = {"decoder_start_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, **WAYS[way]}
    found = written(model, source, **how)
    expected = written(ForgetfulTranslator(model), source, **how)
    assert np.array_equal(found.sequences, expected.sequences)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-9)
    alone = generate(model, source[:1, :4], max_new_tokens=8, decoder_start_token_id=1)
    greedy = generate(model, source[:1], max_new_tokens=8, decoder_start_token_id=1, pad_token_id=0)
    assert np.array_equal(alone, greedy)


def test_a_text_longer_than_the_model_reads_is_refused():
    with pytest.raises(IndexError, match="position 24 is outside 0 … 23: shorten the text"):
        generate(gpt2(), ids(1, 5), max_new_tokens=30)


def test_the_model_is_left_as_it_was():
    model = gpt2().train()
    generate(model, ids(1, 3), max_new_tokens=2)
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("kind", ["rotary", "learned", "translator"])
def test_on_a_device_the_texts_are_those_of_the_cpu(kind):
    model = translator() if kind == "translator" else gpt2(positions=kind)
    start = {"decoder_start_token_id": 1} if kind == "translator" else {}
    mask = [[0, 1, 1, 1]] * 2
    how = {"num_beams": 2, "attention_mask": mask, "max_new_tokens": 6, **start}
    expected = generate(model, ids(2, 4), **how)
    with strict_cupy.installed():
        model.to("cuda")
        assert np.array_equal(generate(model, ids(2, 4), **how), expected)
        model.to("cpu")
