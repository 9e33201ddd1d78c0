"""Generation by the package's own models: caches, padding and beams of real attention."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.fixtures.make_generation import cut
from tinygrad_llm import manual_seed
from tinygrad_llm.generation import GenerationConfig, generate
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
        self.config, self.encode = model.config, model.encode
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


STOP = 4
"""A token that both models write soon."""

IDS = {"decoder_start_token_id": START, "pad_token_id": 0, "eos_token_id": STOP}


def told(model, **ids):
    """The model, whose config says which tokens begin, end and pad a text."""
    model.config = replace(model.config, **ids)
    return model


def zero_padded(side):
    """The texts, with the token 0 for padding and no mask."""
    given = padded(side)
    return given["input_ids"] * given["attention_mask"]


@pytest.mark.parametrize("way", WAYS, ids=["greedy", "beams", "sampling"])
def test_tokens_that_nobody_says_are_those_of_the_models_config(way):
    how = {"max_new_tokens": 9, "return_scores": True, **way}
    source, prompts = zero_padded("right"), zero_padded("left")
    same(
        generate(told(transformer(), **IDS), source, **how),
        generate(transformer(), source, attention_mask=source != 0, **IDS, **how),
    )
    ends = {"eos_token_id": STOP, "pad_token_id": 0}
    found = generate(told(gpt2(), **ends), prompts, **how)
    same(found, generate(gpt2(), prompts, attention_mask=prompts != 0, **ends, **how))
    assert (found.sequences[:, 4:] == STOP).any()


def test_sources_padded_as_the_config_says_are_written_on_as_the_texts_alone():
    model = told(transformer(), **IDS)
    for row, text in zip(generate(model, zero_padded("right"), max_new_tokens=9), TEXTS):
        alone = generate(model, [text], max_new_tokens=9)[0]
        assert cut(row.tolist(), STOP) == cut(alone.tolist(), STOP)


def test_what_is_said_takes_the_place_of_the_models_config():
    model = told(gpt2(), eos_token_id=STOP, pad_token_id=0)
    first, second = generate(model, [[8]], max_new_tokens=2)[0, 1:].tolist()
    assert STOP not in (first, second)
    for how in (
        {"eos_token_id": first},
        {"generation_config": GenerationConfig(eos_token_id=first)},
        {"generation_config": GenerationConfig(eos_token_id=STOP), "eos_token_id": first},
    ):
        assert generate(model, [[8]], **how).tolist() == [[8, first]]
    assert generate(model, [[8]], eos_token_id=None, max_new_tokens=20).shape == (1, 21)
    assert generate(model, [[8]], max_new_tokens=20).shape[1] < 21
    longer = GenerationConfig(min_new_tokens=6)  # of an end that the model's config says
    assert generate(model, [[8]], generation_config=longer).shape[1] >= 7
    prompts, how = np.array([[0, 8], [9, 10]]), {"max_new_tokens": 3, "eos_token_id": None}
    all_read = generate(model, prompts, pad_token_id=None, **how)
    assert np.array_equal(all_read, generate(gpt2(), prompts, max_new_tokens=3))
    assert not np.array_equal(all_read, generate(model, prompts, **how))


def test_a_text_longer_than_the_model_reads_is_refused_before_it_runs():
    model, calls = gpt2(), []
    model.register_forward_hook(lambda *_: calls.append(1))
    for prompts, mask in (([[4] * 5], None), ([[4] * 9], [[0] * 4 + [1] * 5])):
        how = {"attention_mask": mask, "max_new_tokens": 20}
        assert generate(model, prompts, **how).shape == (1, len(prompts[0]) + 20)
        calls.clear()
        with pytest.raises(ValueError, match=r"21 new tokens after 5 .* 24 .* max_new_tokens=20$"):
            generate(model, prompts, **{**how, "max_new_tokens": 21})
        with pytest.raises(ValueError, match="25 tokens, but the model reads 24: shorten them"):
            generate(model, [[4] * 25], max_new_tokens=1)
        assert not calls
    assert generate(gpt2("rotary"), [[4] * 5], max_new_tokens=21).shape == (1, 26)


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ([[13]], {}, "input_ids 13 is outside of the model's vocabulary of 13"),
        ([[4]], {"eos_token_id": [4, 13]}, "eos_token_id 13 is outside"),
        ([[4]], {"forced_eos_token_id": 14}, "forced_eos_token_id 14 is outside"),
    ],
)
def test_ids_outside_of_the_configs_vocabulary_are_refused_before_the_model_runs(
    prompts, options, message
):
    model = gpt2()
    model.register_forward_hook(lambda *_: pytest.fail("the model ran"))
    with pytest.raises(ValueError, match=message):
        generate(model, prompts, max_new_tokens=3, **options)


@pytest.mark.parametrize("target", [9, 20, None])
def test_an_encoder_decoder_reads_one_vocabulary_and_writes_the_other(target):
    sizes = {"d_model": 8, "nhead": 2, "encoder_layers": 1, "decoder_layers": 1}
    model = Transformer(TransformerConfig(13, target_vocab_size=target, **sizes))
    size, start = target or 13, {"decoder_start_token_id": 1}
    ends = {"decoder_start_token_id": size - 1, "eos_token_id": size - 1}
    assert generate(model, [[12]], max_new_tokens=2, **ends).shape[1] > 1
    model.encoder.register_forward_hook(lambda *_: pytest.fail("the model ran"))
    for prompts, options, message in (
        ([[13]], start, "input_ids 13 is outside of the model's vocabulary of 13"),
        ([[4]], {"decoder_start_token_id": size}, f"decoder_start_token_id {size} is outside of"),
        ([[4]], {**start, "eos_token_id": size}, f"eos_token_id {size} is .* of {size}$"),
    ):
        with pytest.raises(ValueError, match=message):
            generate(model, prompts, **options)


def test_an_encoder_decoder_is_refused_sources_and_texts_longer_than_it_reads():
    sizes = {"d_model": 8, "nhead": 2, "encoder_layers": 1, "decoder_layers": 1}
    model = Transformer(TransformerConfig(13, **sizes, positions="learned", max_length=6))
    assert generate(model, [[4] * 6], max_new_tokens=6, **IDS | {"eos_token_id": None}).size == 7
    with pytest.raises(
        ValueError, match="7 new tokens after 1 come to more than the 6 that the model"
    ):
        generate(model, [[4]], max_new_tokens=7, **IDS)
    with pytest.raises(ValueError, match="7 tokens, but the model reads 6"):
        generate(model, [[4] * 7], max_new_tokens=2, **IDS)


def test_beams_of_one_source_share_its_states_and_they_are_not_copied_for_them():
    model, seen = transformer().eval(), []
    plain = model.decode

    def decode(ids, states, attention_mask):
        seen.append(states)
        return plain(ids, states, attention_mask)

    model.decode = decode
    run(model, {"num_beams": 3}, **padded("right"), decoder_start_token_id=START, eos_token_id=None)
    assert len(seen) == 9 and len({id(states) for states in seen}) == 2
    assert [len(states) for states in seen[:2]] == [3, 9]
