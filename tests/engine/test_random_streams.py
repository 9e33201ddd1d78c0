"""Tests of the random streams: counters, seeds, resuming, and what dropout draws from them."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from tests.engine.common import leaf, same_bits
from tinygrad_llm import Tensor, grad, manual_seed, rand, randn
from tinygrad_llm import functional as F
from tinygrad_llm.backend import Stream, random, stream
from tinygrad_llm.backend.random import Draw, keep_mask


@pytest.fixture(autouse=True)
def fresh_streams(monkeypatch):
    """Each test begins with no stream and seed 0, and leaves the others as they were."""
    monkeypatch.setattr(random, "_streams", {})
    monkeypatch.setattr(random, "_seed", 0)


def words(draw, n=4):
    return draw.bits().random_raw(n).tolist()


def test_the_same_key_and_offset_give_the_same_bits():
    draw = Stream("dropout", 7).next()
    assert words(draw) == words(draw) == words(Draw(draw.key, 0))
    assert np.array_equal(draw.generator().normal(size=5), draw.generator().normal(size=5))


def test_names_seeds_and_draws_all_give_other_bits():
    first = Stream("a", 0)
    draws = [first.next(), first.next(), first.next(), Stream("b", 0).next(), Stream("a", 1).next()]
    assert len({tuple(words(draw)) for draw in draws}) == len(draws)
    assert [draw.offset for draw in draws[:3]] == [0, 1, 2]


def test_a_name_is_not_mixed_up_with_a_seed():
    assert Stream("1", 1).key != Stream("", 11).key
    assert Stream("x", 0).key != Stream("0:x", 0).key


def test_draws_lie_two_to_the_64_blocks_apart():
    """A draw would have to take 2⁶⁶ words to reach the next one."""
    draw = Stream("a", 3).next()
    far = draw.bits()
    far.advance(2**64)
    assert far.random_raw(8).tolist() == words(Draw(draw.key, 1), 8)


def test_long_draws_share_no_word():
    draws = [Draw(Stream("a", 3).key, offset) for offset in range(4)]
    seen = np.concatenate([draw.bits().random_raw(20_000) for draw in draws])
    assert len(np.unique(seen)) == seen.size


def test_parts_of_a_draw_are_repeatable_and_meet_no_other_draw():
    """Counters of 256 bits: blocks in the lowest 64, draws in the next, parts above them."""
    draw = Stream("a", 3).next()
    assert draw.part(5) == draw.part(np.int64(5)) == Draw(draw.key, 6 << 64)
    far = draw.part(1).bits()
    far.advance(2**128)
    assert far.random_raw(8).tolist() == words(draw.part(2), 8)
    draws = [Draw(draw.key, offset) for offset in range(4)]
    every = draws + [each.part(number) for each in draws for number in (0, 1, 2, 2**64 - 2)]
    seen = np.concatenate([each.bits().random_raw(2_000) for each in every])
    assert len(np.unique(seen)) == seen.size


@pytest.mark.parametrize("number", [-1, 2**64 - 1])
def test_a_part_outside_the_range_is_one_clear_line(number):
    with pytest.raises(ValueError, match=rf"^Draw.part: no part {number} of offset 2; give.*$"):
        Draw(7, 2).part(number)


def test_a_part_has_no_parts_and_no_fractions():
    with pytest.raises(ValueError, match="give a draw of a stream"):
        Draw(7, 2).part(0).part(0)
    with pytest.raises(TypeError, match="integer"):
        Draw(7, 2).part(0.5)


def test_the_bits_are_those_of_philox_and_do_not_change_from_version_to_version():
    """Known answer of Philox4x64-10 for a zero key and counter 1, in NumPy's own words."""
    expected = np.random.Philox(key=0, counter=0).random_raw(4).tolist()
    assert words(Draw(0, 0)) == expected
    digest = hashlib.sha256(Stream("dropout", 0).next().bits().random_raw(64).tobytes())
    assert digest.hexdigest()[:16] == "09b3373ffc85b3a7"


def test_manual_seed_starts_all_streams_again_those_made_later_too():
    def numbers():
        return [randn(3), rand(3), randn(2, stream="init"), F.dropout(Tensor(np.ones(50)))]

    manual_seed(4)
    first = numbers()
    manual_seed(5)
    other = numbers()
    manual_seed(4)
    again = [*numbers(), randn(3, stream="made late")]
    assert all(map(same_bits, first, again))
    assert not any(map(same_bits, first, other))
    random._streams.clear()
    manual_seed(4)
    assert same_bits(randn(3, stream="made late"), again[-1])


def test_a_stream_is_one_whoever_asks_for_it():
    assert stream("a") is stream("a")
    assert stream("a") is not stream("b")


def test_streams_do_not_disturb_each_other():
    manual_seed(0)
    alone = [randn(3, stream="data").tolist() for _ in range(2)]
    manual_seed(0)
    beside = []
    for _ in range(2):
        rand(7, stream="noise")
        beside.append(randn(3, stream="data").tolist())
    assert alone == beside


def test_rewind_to_positions_resumes_exactly():
    manual_seed(9)
    randn(3), F.dropout(Tensor(np.ones(9))), F.dropout(Tensor(np.ones(9)))
    state = random.state()
    assert {name: position for name, (_, position) in state.streams.items()} == {
        "data": 1,
        "dropout": 2,
    }
    expected = [randn(3), F.dropout(Tensor(np.ones(90)))]
    random.restore(state)
    assert all(map(same_bits, expected, [randn(3), F.dropout(Tensor(np.ones(90)))]))


def test_a_new_process_resumes_from_seed_and_positions():
    manual_seed(9)
    randn(3)
    state, expected = random.state(), randn(3)
    random._streams.clear()  # as it is in a new process
    manual_seed(9)
    random.restore(state)
    assert same_bits(randn(3), expected)


def test_rewind_sets_streams_of_later_to_their_beginning():
    state = random.state()
    first = randn(3)
    random.restore(state)
    assert same_bits(randn(3), first)


def test_replay_gives_the_past_and_then_goes_on():
    manual_seed(1)
    randn(2)
    past = random.state()
    expected = [randn(2), randn(2)]
    manual_seed(2)
    now = randn(2)
    manual_seed(2)
    with random.replay(past):
        assert all(map(same_bits, expected, [randn(2), randn(2)]))
    assert same_bits(randn(2), now)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_keeps_mean_and_variance(p):
    n = 1_000_000
    manual_seed(0)
    y = F.dropout(Tensor(np.ones(n)), p).data
    q = 1 - p
    assert set(np.unique(y)) == {0.0, y.max()} and np.isclose(y.max(), 1 / q, rtol=1e-4)
    assert abs(y.mean() - 1.0) < 0.01
    fourth = p * q * (1 - 3 * p * q) / q**4  # central moment of a Bernoulli number over q
    error = np.sqrt((fourth - (p / q) ** 2) / n)
    curvature = p / q / n  # of the variance in the mean; all there is at p = 0.5
    assert abs(y.var() - p / q) < 3 * error + 9 * curvature


def test_dropout_of_all_and_of_nothing():
    x = leaf([1.0, 2.0])
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 0.9, training=False) is x
    assert stream("dropout").position == 0
    y = F.dropout(x, 1.0)
    assert y.tolist() == [0.0, 0.0]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_the_backward_of_dropout_has_the_mask_of_its_forward():
    x = leaf(np.ones(1000))
    y, z = F.dropout(x, 0.3), F.dropout(x, 0.3)
    (y + 2.0 * z).sum().backward()
    assert np.allclose(x.grad.data, y.data + 2 * z.data, rtol=1e-15)
    assert not np.array_equal(y.data, z.data)


def test_dropout_under_create_graph_has_the_same_mask():
    x = leaf(np.full(100, 3.0))
    y = F.dropout(x, 0.3)
    mask = y.data / 3.0
    first = grad((y**3).sum(), x, create_graph=True)
    assert np.allclose(first.data, 27 * mask**3, rtol=1e-14)
    assert np.allclose(grad(first.sum(), x).data, 18 * mask**3, rtol=1e-14)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (5,), (2, 3, 7)])
def test_masks_of_each_shape_are_beginnings_of_one_sequence(shape):
    draw = Stream("a", 0).next()
    mask, long = keep_mask(draw, shape, 0.5, "cpu"), keep_mask(draw, (1000,), 0.5, "cpu")
    assert mask.shape == shape and mask.dtype == bool
    assert np.array_equal(mask.ravel(), long[: mask.size])


def test_masks_do_not_depend_on_the_dtype():
    masks = []
    for dtype in (np.float32, np.float64):
        manual_seed(0)
        masks.append(F.dropout(Tensor(np.ones(100, dtype)), 0.5).data > 0)
    assert np.array_equal(*masks)


def test_rand_never_gives_one_and_randn_has_the_shape_asked_for():
    numbers = rand(100_000)
    assert numbers.dtype == np.float32 and 0.0 <= numbers.data.min() < numbers.data.max() < 1.0
    assert randn(2, 0, 3).shape == (2, 0, 3) and randn().shape == ()
    assert randn(2, requires_grad=True).requires_grad


SCRIPT = """
import hashlib
import numpy as np
from tinygrad_llm import Tensor, checkpoint, functional as F, manual_seed, rand, randn
manual_seed(11)
digest = hashlib.sha256()
w = randn(8, 8, requires_grad=True, stream="init")
for step in range(3):
    x = randn(4, 8)
    y = checkpoint(lambda x: F.dropout(F.gelu(x @ w), 0.3), x) + rand(4, 8)
    (y * y).mean().backward()
    digest.update(y.numpy().tobytes() + w.grad.numpy().tobytes())
print(digest.hexdigest())
"""


def test_two_processes_give_the_same_bits():
    runs = [
        subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout and len(runs[0].stdout.strip()) == 64
