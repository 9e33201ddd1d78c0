"""Tests of augmentation: what moves, by how much, and what stays as it was."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_llm.data import ArrayDataset, DataLoader, augment, load_digits

WAYS = {
    "shift": lambda images, generator, **size: augment.shift(images, 2, generator, **size),
    "rotate": lambda images, generator, **size: augment.rotate(images, 40, generator, **size),
    "flip": augment.flip,
    "noise": lambda images, generator, **size: augment.noise(images, 0.5, generator, **size),
}
DTYPES = [np.float16, np.float32, np.float64, np.uint8, np.int32]
ANY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def rng(seed=0):
    return np.random.default_rng(seed)


def images_of(shape, dtype=np.float64):
    return (rng(9).random(shape) * 100).astype(dtype)


@ANY_WAY
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(20, 5, 7), (20, 5, 7, 3), (0, 5, 7)])
def test_shape_and_dtype_stay_and_the_input_too(way, dtype, shape):
    images = images_of(shape, dtype)
    before = images.copy()
    images.flags.writeable = False
    result = way(images, rng())
    assert result.shape == shape and result.dtype == dtype
    assert np.array_equal(images, before) and not np.shares_memory(result, images)
    result[...] = 0
    assert np.isfinite(way(images, rng())).all()


@ANY_WAY
def test_the_generator_alone_decides_and_each_image_has_its_own_chance(way):
    images = np.repeat(images_of((1, 6, 6)), 60, axis=0)
    result = way(images, rng(1))
    assert np.array_equal(result, way(images, rng(1)))
    assert not np.array_equal(result, way(images, rng(2)))
    assert len(np.unique(result.reshape(60, -1), axis=0)) >= 2


@ANY_WAY
def test_flat_images_are_the_same_images(way):
    images = images_of((9, 4, 6))
    flat = way(images.reshape(9, 24), rng(), size=(4, 6))
    assert np.array_equal(flat, way(images, rng()).reshape(9, 24))
    assert np.array_equal(way(images, rng(), size=(4, 6)), way(images, rng()))


@pytest.mark.parametrize("way", [WAYS[name] for name in ("shift", "rotate", "flip")])
def test_channels_move_together(way):
    images = images_of((9, 4, 6))
    coloured = np.stack([images, images + 1, -images], axis=-1)
    moved = way(coloured, rng())
    for channel in range(3):
        assert np.array_equal(moved[..., channel], way(coloured[..., channel], rng()))


def moved_by(image, down, right):
    """One image moved, pixel by pixel."""
    height, width = image.shape
    result = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[row, column] = image[row - down, column - right]
    return result


@given(st.integers(0, 5), st.integers(1, 5), st.integers(1, 5))
def test_shift_moves_each_image_by_whole_pixels(most, height, width):
    most = min(most, max(height, width))
    images = images_of((6, height, width)) + 1
    steps = range(-most, most + 1)
    for image, result in zip(images, augment.shift(images, most, rng(most))):
        assert any(
            np.array_equal(result, moved_by(image, down, right))
            for down in steps
            for right in steps
        )


def test_shift_uses_every_step_of_both_axes_equally_often():
    images = np.zeros((5000, 7, 7), np.uint8)
    images[:, 3, 3] = 1
    where = augment.shift(images, 2, rng()).sum(axis=0) / 5000
    assert np.all(np.abs(where[1:6, 1:6] - 1 / 25) < 5 * np.sqrt(1 / 25 / 5000))
    assert where[1:6, 1:6].sum() == pytest.approx(1.0)


def turned_by(image, angle):
    """One image turned counterclockwise about its middle, pixel by pixel."""
    height, width = image.shape
    result = np.zeros(image.shape)
    for row in range(height):
        for column in range(width):
            up, right = (height - 1) / 2 - row, column - (width - 1) / 2
            x = right * math.cos(angle) + up * math.sin(angle) + (width - 1) / 2
            y = (height - 1) / 2 - (up * math.cos(angle) - right * math.sin(angle))
            for r in range(height):
                for c in range(width):
                    near = max(0.0, 1 - abs(r - y)) * max(0.0, 1 - abs(c - x))
                    result[row, column] += near * image[r, c]
    return result


@given(
    hnp.arrays(np.float64, (2, 4, 5), elements=st.floats(-1, 1)),
    st.lists(st.floats(-7, 7), min_size=2, max_size=2),
)
def test_rotation_is_bilinear_about_the_middle(images, angles):
    result = augment._turned(images, np.array(angles))
    for image, angle, turned in zip(images, angles, result):
        assert np.allclose(turned, turned_by(image, angle), atol=1e-12)


def test_a_quarter_turn_is_exact_and_no_turn_changes_nothing():
    images = images_of((3, 5, 5))
    quarter = augment._turned(images, np.full(3, np.pi / 2))
    assert np.allclose(quarter, np.rot90(images, axes=(1, 2)), atol=1e-12)
    for dtype in DTYPES:
        given_images = images.astype(dtype)
        assert np.array_equal(augment.rotate(given_images, 0, rng()), given_images)


def test_angles_lie_within_the_degrees_and_fill_them(monkeypatch):
    seen = []
    monkeypatch.setattr(augment, "_turned", lambda grid, angles: seen.append(angles) or grid)
    augment.rotate(np.zeros((4000, 2, 2)), 30, rng())
    degrees = np.degrees(seen[0])
    assert -30 <= degrees.min() < -29.9 and 29.9 < degrees.max() <= 30
    assert abs(degrees.mean()) < 5 * 30 / math.sqrt(3 * 4000)


def test_flip_mirrors_half_of_the_images_left_to_right():
    images = images_of((4000, 2, 3))
    result = augment.flip(images, rng())
    same = (result == images).all(axis=(1, 2))
    mirrored = (result == images[:, :, ::-1]).all(axis=(1, 2))
    assert np.array_equal(same, ~mirrored)
    assert abs(same.mean() - 0.5) < 5 * 0.5 / math.sqrt(4000)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_has_mean_nought_and_its_deviation_at_every_pixel_alone(dtype):
    images = images_of((500, 10, 10), dtype)
    added = augment.noise(images, 0.3, rng()).astype(np.float64) - images
    assert abs(added.mean()) < 5 * 0.3 / math.sqrt(added.size)
    assert added.std() == pytest.approx(0.3, rel=5 / math.sqrt(2 * added.size))
    assert abs(np.corrcoef(added[:, 0, 0], added[:, 0, 1])[0, 1]) < 5 / math.sqrt(500)
    assert np.array_equal(augment.noise(images, 0, rng()), images)


def test_whole_numbers_are_rounded_and_stay_in_their_range():
    light, dark = np.zeros((200, 4, 4), np.uint8), np.full((200, 4, 4), 255, np.uint8)
    noisy = augment.noise(light, 20, rng())
    assert 0.4 < (noisy == 0).mean() < 0.6 and 40 < noisy.max() < 120
    noisy = augment.noise(dark, 20, rng())
    assert 0.4 < (noisy == 255).mean() < 0.6 and 135 < noisy.min() < 215
    row = np.array([[[1, 0, 0]]], np.uint8)
    assert augment._as_dtype(row * 0.6, row.dtype).tolist() == [[[1, 0, 0]]]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int32, np.uint16, np.int8])
def test_whole_numbers_at_both_ends_of_their_range_do_not_wrap(dtype):
    ends = np.iinfo(dtype)
    for end in (ends.min, ends.max):
        images = np.full((4, 5, 5), end, dtype)
        assert np.array_equal(augment.noise(images, 0, rng()), images)
        assert np.array_equal(augment.rotate(images, 0, rng()), images)
        inner = augment.rotate(images, 180, rng())[:, 2, 2].tolist()
        assert all(abs(value - end) <= abs(end) * 1e-6 for value in inner)
        noisy = augment.noise(images, float(ends.max) / 8, rng())
        assert (noisy == end).any() and (noisy != end).any()
        away = [abs(value - end) for value in noisy.ravel().tolist()]
        assert max(away) < (int(ends.max) - int(ends.min)) * 0.9


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_largest_noise_is_finite(dtype):
    most = float(np.finfo(dtype).max) / 16
    assert np.isfinite(augment.noise(np.zeros((50, 40, 40), dtype), most, rng())).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_does_not_spread_where_it_has_no_weight(bad):
    images = images_of((1, 5, 5))
    images[0, 2, 1] = bad
    assert np.array_equal(augment.rotate(images, 0, rng()), images, equal_nan=True)
    quarter = augment._turned(images, np.full(1, np.pi / 2))
    assert 0 < (~np.isfinite(quarter)).sum() <= 4


def test_a_shift_as_far_as_the_picture_is_the_last_one():
    images = images_of((40, 3, 5)) + 1
    assert (augment.shift(images, 5, rng()).sum(axis=(1, 2)) == 0).any()


def test_in_a_loader_every_epoch_sees_other_images_and_the_labels_stay():
    images, labels = load_digits()

    def transform(batch, generator):
        return augment.shift(batch[0], 1, generator, size=(8, 8)), batch[1]

    loader = DataLoader(ArrayDataset(images[:90], labels[:90]), 32, transform=transform)
    first, second = ([*zip(*loader)] for _ in range(2))
    assert np.array_equal(np.concatenate(first[1]), labels[:90])
    assert np.array_equal(np.concatenate(second[1]), labels[:90])
    assert not np.array_equal(np.concatenate(first[0]), np.concatenate(second[0]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (partial(augment.shift, np.ones((2, 3, 3)), -1), ValueError, "shift: most is .*not -1"),
        (partial(augment.shift, np.ones((2, 3, 5)), 6), ValueError, "shift: most .*0 to 5.*not 6"),
        (partial(augment.shift, np.ones((2, 3, 3)), 2**63), ValueError, "shift: most .*not 92"),
        (
            partial(augment.shift, np.ones((2, 3, 3)), 0.5),
            TypeError,
            "shift: most must be an integer",
        ),
        (partial(augment.rotate, np.ones((2, 3, 3)), -5), ValueError, "rotate: degrees .*not -5"),
        (partial(augment.rotate, np.ones((2, 3, 3)), np.nan), ValueError, "rotate: degrees .*nan"),
        (partial(augment.rotate, np.ones((2, 3, 3)), np.inf), ValueError, "rotate: degrees .*inf"),
        (partial(augment.rotate, np.ones((2, 3, 3)), 1.7e308), ValueError, "rotate: .*0 to 360, n"),
        (partial(augment.rotate, np.ones((2, 3, 3)), 361), ValueError, "rotate: degrees .*not 361"),
        (partial(augment.rotate, np.ones((2, 3, 3)), "5"), TypeError, "rotate: degrees is a numb"),
        (partial(augment.rotate, np.ones((2, 3, 3)), True), TypeError, "rotate: degrees .*True"),
        (partial(augment.noise, np.ones((2, 3, 3)), -0.1), ValueError, "noise: deviation .*-0.1"),
        (partial(augment.noise, np.ones((2, 3, 3)), np.nan), ValueError, "noise: deviation .*nan"),
        (partial(augment.noise, np.ones((2, 3, 3)), 1j), TypeError, "noise: deviation is a number"),
        (partial(augment.noise, np.ones((2, 3, 3), "f4"), 1e39), ValueError, "noise: .*1e.39"),
        (partial(augment.noise, np.ones((2, 3, 3), "f2"), 5e3), ValueError, "noise: .*5000.0"),
        (partial(augment.noise, np.ones((2, 3, 3), "u1"), 1e39), ValueError, "noise: .*1e.39"),
        (partial(augment.noise, np.ones((2, 3, 3)), 1e308), ValueError, "noise: .*1e.308"),
        (partial(augment.flip, np.ones((2, 9))), ValueError, r"flip: images have shape \(2, 9\)"),
        (partial(augment.flip, np.ones(9)), ValueError, r"flip: images have shape \(9,\)"),
        (
            partial(augment.flip, np.ones((2, 9)), size=(2, 3)),
            ValueError,
            r"flip: .*\(2, 3\); give",
        ),
        (partial(augment.flip, np.ones((2, 4, 3)), size=(3, 4)), ValueError, "flip: .*; give"),
        (partial(augment.flip, np.ones((2, 3, 3), bool)), TypeError, "flip: .*not bool"),
        (partial(augment.flip, [[1.0]]), TypeError, "flip: images are .*not list"),
    ],
)
def test_what_are_no_images_is_one_clear_line(call, error, message):
    with pytest.raises(error, match=rf"^{message}.*$"):
        call(generator=rng())


def test_chance_comes_from_a_generator():
    with pytest.raises(TypeError, match=r"^flip: chance comes from a np.random.Generator, not int"):
        augment.flip(np.ones((2, 3, 3)), 0)
