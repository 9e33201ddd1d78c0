"""Tests of key-value caches: what is read piece by piece is what is read at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.common import drawn, same_bits
from tinygrad_llm import Tensor, manual_seed, nn, no_grad
from tinygrad_llm.testing import strict_cupy


def decoder(**options) -> nn.TransformerDecoder:
    manual_seed(0)
    return nn.TransformerDecoder(2, 8, 4, **options).astype("float64").eval()


OPTIONS = [
    {},
    {"norm": "pre", "num_kv_heads": 2},
    {"rotary": nn.Rotary(2)},
    {"cross": True},
]


@given(st.sampled_from(OPTIONS), st.lists(st.integers(1, 40), min_size=1, max_size=5))
@settings(max_examples=30)
def test_pieces_are_the_whole(options, pieces):
    """Of any lengths, beyond the room that a cache begins with."""
    module, length = decoder(**options), sum(pieces)
    x = Tensor(drawn(2, length, 8))
    states = [Tensor(drawn(2, 3, 8, seed=1))] if options.get("cross") else []
    with no_grad():
        expected = module(x, *states).data
        cache, begin = module.new_cache(), 0
        for piece in pieces:
            found = module(x[:, begin : begin + piece], *states, cache=cache)
            here = expected[:, begin : begin + piece]
            np.testing.assert_allclose(found.data, here, rtol=1e-10, atol=1e-10)
            begin += piece
            assert cache.length == begin


@pytest.mark.parametrize("rotary", [None, nn.Rotary(2)])
def test_with_padding_on_the_left_each_row_is_that_of_the_text_alone(rotary):
    module, x = decoder(rotary=rotary), drawn(3, 7, 8)
    mask = np.array([[0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1, 1], [1] * 7])
    places = np.where(mask, mask.cumsum(axis=1) - 1, 0)
    with no_grad():
        cache, found = module.new_cache(), []
        for begin, end in ((0, 4), (4, 5), (5, 6), (6, 7)):
            piece = Tensor(x[:, begin:end])
            how = {"mask": mask[:, :end], "positions": places[:, begin:end]}
            found.append(module(piece, cache=cache, **how).data)
        for row, text, seen in zip(np.concatenate(found, axis=1), x, mask):
            alone = module(Tensor(text[None, seen == 1]))
            np.testing.assert_allclose(row[seen == 1], alone.data[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rows", [[1, 0], [0, 0], [1], [0, 1, 1, 0]])
@pytest.mark.parametrize("cross", [False, True])
def test_after_reorder_each_row_goes_on_from_its_own(rows, cross):
    module, x, states = decoder(cross=cross), drawn(2, 5, 8), drawn(2, 3, 8, seed=1)
    more, rows = drawn(len(rows), 3, 8, seed=2), np.array(rows)
    given = [Tensor(states)] if cross else []
    with no_grad():
        cache = module.new_cache()
        module(Tensor(x), *given, cache=cache)
        cache.reorder(rows)
        given = [Tensor(states[rows])] if cross else []
        found = module(Tensor(more), *given, cache=cache)
        expected = module(Tensor(np.concatenate([x[rows], more], axis=1)), *given)
    np.testing.assert_allclose(found.data, expected.data[:, 5:], rtol=1e-10, atol=1e-10)


def test_the_memory_is_read_once():
    module, x, states = decoder(cross=True), drawn(1, 2, 8), Tensor(drawn(1, 3, 8))
    calls = []
    for layer in module.layers:
        layer.cross_attention.key.register_forward_hook(lambda *_: calls.append(1))
    with no_grad():
        cache = module.new_cache()
        for t in range(2):
            module(Tensor(x[:, t : t + 1]), states, cache=cache)
    assert len(calls) == len(module.layers)


def test_earlier_answers_stay_when_more_is_read():
    cache, first = nn.LayerCache(), drawn(1, 2, 3, 4)
    keys, _ = cache.extend(Tensor(first), Tensor(first))
    cache.extend(Tensor(drawn(1, 2, 3, 4, seed=1)), Tensor(first))
    assert np.array_equal(keys.data, first)
    keys, values = cache.extend(Tensor(drawn(1, 2, 200, 4)), Tensor(drawn(1, 2, 200, 5)[..., :4]))
    assert keys.shape == (1, 2, 206, 4) and np.array_equal(keys.data[:, :, :3], first)
    assert np.array_equal(values.data[:, :, 3:6], first)


def test_room_is_made_seldom():
    """Twice as much as is needed, so that 300 tokens one by one are copied three times."""
    cache, rooms = nn.LayerCache(), set()
    for _ in range(300):
        keys, _ = cache.extend(Tensor(drawn(1, 1, 1, 2)), Tensor(drawn(1, 1, 1, 2)))
        rooms.add(keys.data.base.shape[2])
    assert rooms == {64, 130, 262, 526}


def test_another_number_of_texts_is_refused():
    cache = nn.LayerCache()
    cache.extend(Tensor(drawn(3, 2, 1, 4)), Tensor(drawn(3, 2, 1, 4)))
    with pytest.raises(ValueError, match=r"cache: 1 texts, but it has read 3: say by reorder"):
        cache.extend(Tensor(drawn(1, 2, 1, 4)), Tensor(drawn(1, 2, 1, 4)))
    assert cache.length == 1
    with pytest.raises(ValueError, match="KeyValueCache: layers 0 is below 1"):
        nn.KeyValueCache(0)


def test_under_gradients_a_cache_is_refused():
    module = decoder()
    with pytest.raises(RuntimeError, match="a cache keeps no tape"):
        module(Tensor(drawn(1, 2, 8)), cache=module.new_cache())


def test_on_a_device_the_bits_are_those_of_the_cpu():
    module, x = decoder(), drawn(2, 4, 8)

    def run(device: str) -> Tensor:
        cache = module.new_cache()
        module(Tensor(x[:, :3], device=device), cache=cache)
        cache.reorder(np.array([1, 1]))
        return module(Tensor(x[:, 3:], device=device), cache=cache)

    with no_grad():
        expected = run("cpu")
        with strict_cupy.installed():
            module.to("cuda")
            found = run("cuda")
            assert found.device == "cuda:0" and same_bits(found.to("cpu"), expected)
            module.to("cpu")
