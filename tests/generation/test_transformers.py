"""Generation by the package's own models: caches, padding and beams of real attention."""

from typing import Any

import numpy as np
import pytest

from tests.fixtures.make_generation import cut
from tinygrad_llm import manual_seed
from tinygrad_llm.generation import generate
from tinygrad_llm.models import GPT2Config, GPT2LMHeadModel, Transformer, TransformerConfig

END, START = 3, 1

WAYS: list[dict[str, Any]] = [
    {},
    {"num_beams": 3, "num_return_sequences": 3, "early_stopping": "never"},
    {"do_sample": True, "seed": 2, "top_k": 5},
]

TEXTS = [[4, 5, 6, 7], [8], [9, 10]]


def gpt2(positions="learned"):
    manual_seed(0)
    sizes = {"vocab_size": 13, "n_positions": 24, "n_embd": 16, "n_layer": 2, "n_head": 2}
    config = GPT2Config(**sizes, positions=positions, initializer_range=0.7)
    return GPT2LMHeadModel(config).astype(np.float64)


def transformer():
    manual_seed(0)
    sizes = {"vocab_size": 13, "d_model": 16, "nhead": 2, "encoder_layers": 1, "decoder_layers": 2}
    return Transformer(TransformerConfig(**sizes)).astype(np.float64)


class WithoutCache:
    """The same encoder-decoder, which reads all its tokens at every step."""

    def __init__(self, model):
        self.encode = model.encode
        self._decode = model.decode

    def decode(self, ids, states, attention_mask):
        return self._decode(ids, states, attention_mask)


def padded(side):
    longest = max(map(len, TEXTS))
    ids, mask = np.full((len(TEXTS), longest), 11), np.zeros((len(TEXTS), longest), int)
    for row, text in enumerate(TEXTS):
        place = slice(longest - len(text), None) if side == "left" else slice(len(text))
        ids[row, place], mask[row, place] = text, 1
    return {"input_ids": ids, "attention_mask": mask}


def run(model, way, **options):
    return generate(
        model,
        **{"max_new_tokens": 9, "eos_token_id": END, "return_scores": True, **options, **way},
    )


def same(one, other):
    np.testing.assert_array_equal(one.sequences, other.sequences)
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-9)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary", "none"])
@pytest.mark.parametrize("way", WAYS, ids=["greedy", "beams", "sampling"])
def test_a_decoder_with_a_cache_writes_what_it_writes_without(positions, way):
    model = gpt2(positions).eval()

    def full(ids, attention_mask, position_ids):
        return model(ids, attention_mask, position_ids)

    same(run(model, way, **padded("left")), run(full, way, **padded("left")))


@pytest.mark.parametrize("way", WAYS, ids=["greedy", "beams", "sampling"])
def test_an_encoder_decoder_with_a_cache_writes_what_it_writes_without(way):
    model = transformer().eval()
    options = {**padded("right"), "decoder_start_token_id": START}
    same(run(model, way, **options), run(WithoutCache(model), way, **options))


@pytest.mark.parametrize("way", WAYS[:2], ids=["greedy", "beams"])
@pytest.mark.parametrize("make", [gpt2, transformer])
def test_padding_and_the_other_rows_change_nothing(make, way):
    model, alone = make(), make is gpt2
    start = {} if alone else {"decoder_start_token_id": START}
    together = run(model, way, **padded("left" if alone else "right"), **start)
    several, begin = way.get("num_return_sequences", 1), 4 if alone else 1
    for row, text in enumerate(TEXTS):
        one = run(model, way, input_ids=[text], **start)
        mine = slice(row * several, (row + 1) * several)
        new = [cut(each, END) for each in together.sequences[mine, begin:].tolist()]
        first = len(text) if alone else 1
        assert new == [cut(each, END) for each in one.sequences[:, first:].tolist()]
        np.testing.assert_allclose(together.scores[mine], one.scores, rtol=1e-9)


def test_a_model_in_training_writes_without_dropout():
    model = gpt2().train()
    texts = [run(model, {}, input_ids=[[4, 5]]).sequences.tolist() for _ in range(3)]
    assert texts[0] == texts[1] == texts[2]
    assert model.training
