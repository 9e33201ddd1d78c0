"""What a model is asked for: with a cache and without, padded or not, batched and one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.make_generation import cut
from tests.generation.tables import (
    CachedDecoder,
    CachedEncoderDecoder,
    Decoder,
    EncoderDecoder,
    decoder,
)
from tinygrad_llm import Tensor, nn
from tinygrad_llm.generation import generate

TEXTS = st.lists(st.lists(st.integers(4, 16), min_size=1, max_size=5), min_size=1, max_size=4)

OPTIONS = st.fixed_dictionaries(
    {
        "max_new_tokens": st.integers(1, 7),
        "eos_token_id": st.sampled_from([None, 3, [3, 7]]),
        "repetition_penalty": st.sampled_from([1.0, 1.3]),
        "no_repeat_ngram_size": st.sampled_from([0, 2]),
    }
)

WAYS: list[dict[str, Any]] = [
    {},
    {"num_beams": 3, "num_return_sequences": 2},
    {"num_beams": 2, "early_stopping": True},
    {"do_sample": True, "seed": 2, "top_p": 0.9, "num_return_sequences": 2},
]


def padded(texts):
    """Ids and mask, padded on the left with a token that would be read if it were not masked."""
    longest = max(map(len, texts))
    ids = [[9] * (longest - len(text)) + text for text in texts]
    mask = [[0] * (longest - len(text)) + [1] * len(text) for text in texts]
    return np.array(ids), np.array(mask)


def run(model, ids, mask, options, way):
    if "early_stopping" in way and options["eos_token_id"] is None:
        options = {**options, "eos_token_id": 5}
    start = {"decoder_start_token_id": 1} if isinstance(model, EncoderDecoder) else {}
    return generate(model, ids, attention_mask=mask, return_scores=True, **options, **way, **start)


@settings(max_examples=25)
@given(TEXTS, OPTIONS, st.sampled_from(WAYS), st.integers(0, 3))
def test_a_cache_changes_nothing(texts, options, way, seed):
    ids, mask = padded(texts)
    for full, cached in ((Decoder, CachedDecoder), (EncoderDecoder, CachedEncoderDecoder)):
        one = run(decoder(seed, kind=full), ids, mask, options, way)
        other = run(decoder(seed, kind=cached), ids, mask, options, way)
        np.testing.assert_array_equal(one.sequences, other.sequences)
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-12)


@settings(max_examples=25)
@given(TEXTS, OPTIONS, st.sampled_from(WAYS[:3]), st.integers(0, 3))
def test_a_batch_gives_what_its_rows_give_one_by_one(texts, options, way, seed):
    ids, mask = padded(texts)
    options = {**options, "no_repeat_ngram_size": 0}  # it counts padding, as Hugging Face's does
    together = run(decoder(seed), ids, mask, options, way)
    several = way.get("num_return_sequences", 1)
    for row, text in enumerate(texts):
        alone = run(decoder(seed), np.array([text]), None, options, way)
        mine = slice(row * several, (row + 1) * several)
        eos = options["eos_token_id"] or (5 if "early_stopping" in way else None)
        new = [cut(each, eos) for each in together.sequences[mine, ids.shape[1] :].tolist()]
        assert new == [cut(each, eos) for each in alone.sequences[:, len(text) :].tolist()]
        np.testing.assert_allclose(together.scores[mine], alone.scores, rtol=1e-12)


def test_with_a_cache_each_token_is_read_once():
    model = decoder()
    generate(model, [[4, 5, 6], [7, 8, 9]], max_new_tokens=4)
    assert model.calls == [(2, 3), (2, 1), (2, 1), (2, 1)]


def test_without_a_cache_all_tokens_are_read_at_every_step():
    model = decoder(kind=Decoder)
    generate(model, [[4, 5, 6]], max_new_tokens=3)
    assert model.calls == [(1, 3), (1, 4), (1, 5)]


def test_a_source_is_encoded_once_and_its_states_go_with_the_beams():
    model = decoder(kind=CachedEncoderDecoder)
    found = generate(
        model, [[4, 5, 6], [7, 8, 9]], num_beams=3, max_new_tokens=3, decoder_start_token_id=1
    )
    assert model.calls == [("encode", 2, 3), (2, 1), (6, 1), (6, 1)]
    assert found[:, 0].tolist() == [1, 1]


def test_prompts_are_read_once_for_all_samples_of_them():
    model = decoder()
    generate(model, [[4, 5]], do_sample=True, num_return_sequences=5, max_new_tokens=3)
    assert model.calls == [(1, 2), (5, 1), (5, 1)]


def test_rows_that_have_ended_are_not_read_again():
    model = decoder(6, towards_end=3.0)
    texts = generate(model, [[4, 5], [6, 7], [8, 9]], max_new_tokens=20, eos_token_id=3)
    ends = (texts == 3).argmax(axis=1) - 1  # the number of the step that ends each
    assert len(set(ends.tolist())) == 3
    assert [rows for rows, _ in model.calls] == [(ends > i).sum() for i in range(ends.max())]


class Recorder(nn.Module):
    """Logits that make token 1 win, and what it was called with."""

    def __init__(self):
        self.inner = nn.Dropout(0.5)
        self.weight = nn.Parameter(np.eye(3)[1])
        self.seen: Any = []

    def forward(self, input_ids, attention_mask, position_ids, **others):
        given = {"attention_mask": attention_mask, "position_ids": position_ids, **others}
        self.seen.append({name: np.array(value) for name, value in given.items()})
        self.output = Tensor(np.zeros((*input_ids.shape, 3))) + self.weight
        self.modes = self.training, self.inner.training
        return self.output

    def new_cache(self):
        return None


def test_the_mask_covers_all_tokens_and_places_count_from_the_first_real_one():
    model = Recorder()
    generate(model, [[0, 0, 2], [2, 2, 2]], attention_mask=[[0, 0, 1], [1, 1, 1]], max_new_tokens=3)
    masks = [seen["attention_mask"].tolist() for seen in model.seen]
    assert masks[2] == [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]
    assert model.seen[0]["position_ids"].tolist() == [[0, 0, 0], [0, 1, 2]]
    assert model.seen[2]["position_ids"].tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4]]
    assert model.seen[0]["logits_to_keep"] == 1


def test_without_a_mask_a_pad_token_that_is_no_end_tells_the_padding():
    def mask_seen(**options):
        model = Recorder()
        generate(model, [[0, 2], [2, 2]], max_new_tokens=1, **options)
        return model.seen[0]["attention_mask"].tolist()

    assert mask_seen() == [[1, 1], [1, 1]]
    assert mask_seen(pad_token_id=0) == [[0, 1], [1, 1]]
    assert mask_seen(pad_token_id=0, eos_token_id=[2, 0]) == [[1, 1], [1, 1]]
    assert mask_seen(pad_token_id=0, attention_mask=[[1, 1], [1, 1]]) == [[1, 1], [1, 1]]


@pytest.mark.parametrize("fails", [False, True])
def test_a_model_runs_in_evaluation_without_a_tape_and_is_left_as_it_was(fails):
    model = Recorder()
    model.train()
    model.inner.eval()

    def stream(token):
        assert model.modes == (False, False)
        assert not model.output.requires_grad
        if fails:
            raise RuntimeError("enough")

    if fails:
        with pytest.raises(RuntimeError, match="enough"):
            generate(model, [[2]], max_new_tokens=2, stream=stream)
    else:
        generate(model, [[2]], max_new_tokens=2, stream=stream)
    assert (model.weight * 2.0).requires_grad
    assert (model.training, model.inner.training) == (True, False)


class Anything(nn.Module):
    """Hands on whatever it is given."""

    def __init__(self, model):
        self.model = model

    def forward(self, *args, **kwargs):
        return self.model(*args, **kwargs)


def test_a_model_without_new_cache_is_given_no_cache_though_it_names_one():
    ids, model = [[4, 5], [6, 7]], decoder(kind=CachedDecoder)
    expected = generate(model, ids, max_new_tokens=4)
    for each in (Anything(model), model.forward):
        model.calls.clear()
        np.testing.assert_array_equal(generate(each, ids, max_new_tokens=4), expected)
        assert model.calls == [(2, 2), (2, 3), (2, 4), (2, 5)]


class Characters(Decoder):
    """A decoder with helpers that are no halves of an encoder-decoder."""

    def encode(self, text):
        return [ord(character) - ord("a") for character in text]

    def decode(self, ids, upper=False):
        return "".join(chr(ord("a") + i) for i in ids)


def test_helpers_named_encode_and_decode_make_no_encoder_decoder():
    model = decoder(kind=Characters)
    texts = generate(model, [model.encode("ef")], max_new_tokens=3)
    np.testing.assert_array_equal(texts, generate(decoder(), [[4, 5]], max_new_tokens=3))
    with pytest.raises(ValueError, match=r"no encoder .*an encode, and a decode of two positional"):
        generate(model, [[4, 5]], decoder_start_token_id=1)


class Halves:
    """An encoder-decoder of functions and modules."""

    def __init__(self, decode):
        self.encode, self.decode = lambda ids: Tensor(np.zeros((len(ids), 1, 1))), decode


class Second(nn.Module):
    def forward(self, ids, states):
        return np.eye(5)[(ids + 1) % 5]


@pytest.mark.parametrize("decode", [Second(), Second().forward, lambda *both: Second()(*both)])
def test_a_decode_of_two_inputs_makes_an_encoder_decoder(decode):
    texts = generate(Halves(decode), [[3, 4]], max_new_tokens=3, decoder_start_token_id=1)
    assert texts.tolist() == [[1, 2, 3, 4]]


def test_a_function_of_ids_alone_is_a_model():
    texts = generate(lambda ids: np.eye(5)[(ids + 1) % 5], [[3], [1]], max_new_tokens=3)
    np.testing.assert_array_equal(texts, [[3, 4, 0, 1], [1, 2, 3, 4]])
