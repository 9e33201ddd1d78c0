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


@pytest.mark.parametrize("options", OPTIONS)
def test_an_error_or_ctrl_c_leaves_the_cache_as_it_was(options):
    module, x = decoder(**options), Tensor(drawn(1, 6, 8))
    states = [Tensor(drawn(1, 3, 8, seed=1))] if options.get("cross") else []

    def interrupt(*call):
        raise KeyboardInterrupt

    with no_grad():
        cache, expected = module.new_cache(), module(x, *states).data
        for begin in (0, 2, 4):
            piece = x[:, begin : begin + 2]
            with pytest.raises(ValueError, match="mask"):
                module(piece, *states, cache=cache, mask=np.ones((1, begin + 1), int))
            remove = module.layers[0].register_forward_hook(interrupt)
            with pytest.raises(KeyboardInterrupt):
                module(piece, *states, cache=cache)
            remove()
            assert [cache[i].length for i in range(2)] == [begin, begin]
            found = module(piece, *states, cache=cache).data
            here = expected[:, begin : begin + 2]
            np.testing.assert_allclose(found, here, rtol=1e-10, atol=1e-10)


def test_a_cache_of_another_number_of_layers_is_refused():
    with no_grad(), pytest.raises(ValueError, match=r"a cache of 3 layers for 2: .* new_cache\(\)"):
        decoder()(Tensor(drawn(1, 2, 8)), cache=nn.KeyValueCache(3))


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


@pytest.mark.parametrize(
    ("keys", "values", "error", "message"),
    [
        (drawn(3, 1, 1, 4), None, ValueError, r"cache: 1 heads of 4 features, but it holds 2 of 4"),
        (drawn(3, 2, 1, 1), None, ValueError, r"cache: 2 heads of 1 features, but it holds 2 of 4"),
        (drawn(3, 2, 1, 4), drawn(3, 2, 2, 4), ValueError, r"keys \(3, 2, 1, 4\), but values"),
        (drawn(3, 2, 1, 4).astype("float32"), None, TypeError, "cache: float32 after float64: beg"),
    ],
)
def test_keys_and_values_of_another_form_are_refused(keys, values, error, message):
    cache = nn.LayerCache()
    cache.extend(Tensor(drawn(3, 2, 2, 4)), Tensor(drawn(3, 2, 2, 4)))
    with pytest.raises(error, match=message):
        cache.extend(Tensor(keys), Tensor(keys if values is None else values))
    assert cache.length == 2


def pair() -> tuple[Tensor, Tensor]:
    return Tensor(drawn(2, 2, 3, 4)), Tensor(drawn(2, 2, 3, 4, seed=1))


def test_another_memory_than_the_first_is_refused():
    cache, states, other = nn.LayerCache(), Tensor(drawn(2, 3, 8)), Tensor(drawn(2, 3, 8, seed=1))
    first = cache.memory(pair, states)
    assert cache.memory(pair, states) is first
    with pytest.raises(RuntimeError, match="keys and values of another memory: give the same Tens"):
        cache.memory(pair, other)
    cache.reorder(np.array([1, 0]))
    cache.memory(pair, other)  # the states of those rows are a new Tensor
    with pytest.raises(RuntimeError, match="another memory"):
        cache.memory(pair, states)
    cache.reorder(np.array([1]))
    with pytest.raises(ValueError, match=r"a memory of \(2, 3\) .*, but it holds \(1, 3\)"):
        cache.memory(pair, other)


def test_a_cache_of_one_source_is_refused_to_another():
    module, x = decoder(cross=True), Tensor(drawn(1, 1, 8))
    with no_grad():
        cache = module.new_cache()
        module(x, Tensor(drawn(1, 3, 8)), cache=cache)
        with pytest.raises(RuntimeError, match="keys and values of another memory"):
            module(x, Tensor(drawn(1, 3, 8, seed=1)), cache=cache)


def test_beams_of_one_text_share_its_memory_and_it_is_not_copied_for_them():
    cache, (keys, _) = nn.LayerCache(), pair()
    cache.memory(pair, Tensor(drawn(2, 3, 8)))
    cache.reorder([0, 0, 1, 1])
    wide = cache.memory(pair, Tensor(drawn(4, 3, 8)))
    assert np.array_equal(wide[0].data, keys.data[[0, 0, 1, 1]])
    cache.reorder([1, 1, 3, 2])
    assert cache.memory(pair, Tensor(drawn(4, 3, 8))) is wide
    cache.reorder([2, 3])
    found = cache.memory(pair, Tensor(drawn(2, 3, 8)))
    assert np.array_equal(found[0].data, keys.data[[1, 1]])


def test_reorder_leaves_out_room_that_is_far_from_used():
    cache, x = nn.LayerCache(), drawn(1, 1, 300, 2)
    cache.extend(Tensor(x), Tensor(x))
    cache.reorder([0, 0])
    keys, _ = cache.extend(Tensor(np.ones((2, 1, 1, 2))), Tensor(np.ones((2, 1, 1, 2))))
    assert keys.data.base.shape[2] == 364 and np.array_equal(keys.data[:, :, :300], x.repeat(2, 0))


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
