"""Small random changes of images that leave their meaning: shift, rotate, flip, noise.

Each function takes a batch and a NumPy generator, and gives a new array of the same shape and
dtype; every image has chance of its own. Images are (B, H, W), (B, H, W, C) with C channels, or
(B, H * W) together with size=(H, W). A `transform` of the DataLoader gives the generator.
`rotate` and `noise` compute in floats: 64-bit integers beyond 2**53 come out rounded to 53 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.functional.arguments import integer

_LARGEST_DRAW = 16.0  # above any number that a standard normal draw gives


def shift(
    images: np.ndarray,
    most: int,
    generator: np.random.Generator,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Each image moved by whole pixels, from -most to most down and to the right; zeros come in.

    Raises ValueError for most < 0 or above both H and W, where nothing of an image would be left,
    and as every function here for other shapes; TypeError for a most that is no integer, for other
    dtypes than integers and floats, and for what is no NumPy generator.
    """
    grid = _grid("shift", images, generator, size)
    most, side = integer("shift: most", most), max(grid.shape[1:3])
    if not 0 <= most <= side:
        raise ValueError(
            f"shift: most is a number of pixels from 0 to {side}, the longer side, not {most}"
        )
    down, right = generator.integers(-most, most, (2, len(grid), 1, 1), endpoint=True)
    rows, columns = _positions(grid)
    return _pixels(grid, rows - down, columns - right).reshape(images.shape)


def rotate(
    images: np.ndarray,
    degrees: float,
    generator: np.random.Generator,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Each image turned about its middle by an angle from -degrees to degrees, bilinear.

    A new pixel is the mean of the four old ones around the point that it comes from, weighted by
    nearness; outside the image is 0. Integers are rounded.
    Raises ValueError for degrees outside [0, 360], TypeError for what is no number, else as `shift`
    does.
    """
    grid = _grid("rotate", images, generator, size)
    _check_range("rotate: degrees", degrees, 360.0)
    angles = np.radians(generator.uniform(-degrees, degrees, len(grid)))
    return _as_dtype(_turned(grid, angles), images.dtype).reshape(images.shape)


def flip(
    images: np.ndarray, generator: np.random.Generator, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Each image mirrored left to right with probability 1/2. For digits and letters it is wrong.

    Raises as `shift` does.
    """
    grid = _grid("flip", images, generator, size)
    mirrored = generator.random(len(grid)) < 0.5
    result = grid.copy()
    result[mirrored] = grid[mirrored, :, ::-1]
    return result.reshape(images.shape)


def noise(
    images: np.ndarray,
    deviation: float,
    generator: np.random.Generator,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """A normal number of mean 0 and this standard deviation added to every pixel.

    Floats may leave the range that they had; integers are rounded and end at those of their dtype.
    Raises ValueError for a deviation that is negative or so large that the noise would be infinite
    in the dtype that is computed in, TypeError for what is no number, else as `shift` does.
    """
    grid = _grid("noise", images, generator, size)
    wide = _wide(grid.dtype)
    floats = np.finfo(grid.dtype if grid.dtype.kind == "f" else wide)
    _check_range("noise: deviation", deviation, float(floats.max) / _LARGEST_DRAW)
    added = generator.standard_normal(grid.shape, dtype=wide) * wide(deviation)
    return _as_dtype(grid + added, images.dtype).reshape(images.shape)


def _grid(who: str, images: Any, generator: Any, size: tuple[int, int] | None) -> np.ndarray:
    """The images as (B, H, W) or (B, H, W, C)."""
    if not isinstance(images, np.ndarray) or images.dtype.kind not in "iuf":
        kind = getattr(images, "dtype", type(images).__name__)
        raise TypeError(f"{who}: images are a NumPy array of integers or floats, not {kind}")
    if not isinstance(generator, np.random.Generator):
        kind = type(generator).__name__
        raise TypeError(f"{who}: chance comes from a np.random.Generator, not {kind}")
    if images.ndim == 2 and size is not None and size[0] * size[1] == images.shape[1]:
        return images.reshape(len(images), *size)
    if images.ndim in (3, 4) and (size is None or tuple(size) == images.shape[1:3]):
        return images
    raise ValueError(
        f"{who}: images have shape {images.shape} and size is {size}; give (B, H, W), "
        "(B, H, W, C), or (B, H * W) with size=(H, W)"
    )


def _check_range(what: str, value: Any, most: float) -> None:
    """Refuse a setting that is no number from 0 to `most`."""
    if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
        raise TypeError(f"{what} is a number, not {value!r:.60}")
    if not 0.0 <= value <= most:
        raise ValueError(f"{what} is a number from 0 to {most:g}, not {value}")


def _positions(grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row (1, H, 1) and column (1, 1, W) of every pixel."""
    height, width = grid.shape[1:3]
    return np.arange(height)[None, :, None], np.arange(width)[None, None, :]


def _pixels(grid: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Of each image the pixels at integer rows and columns, 0 outside of it.

    rows and columns: broadcast to (B, H, W).
    """
    height, width = grid.shape[1:3]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    image = np.arange(len(grid))[:, None, None]
    found = grid[image, rows.clip(0, height - 1), columns.clip(0, width - 1)]
    found[~inside] = 0
    return found


def _turned(grid: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Each image turned counterclockwise by its angle in radians, as floats; angles: (B,)."""
    cos, sin = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    rows, columns = _positions(grid)
    middle_row, middle_column = (grid.shape[1] - 1) / 2, (grid.shape[2] - 1) / 2
    y, x = rows - middle_row, columns - middle_column
    return _between(grid, cos * y + sin * x + middle_row, cos * x - sin * y + middle_column)


def _between(grid: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Bilinear values at rows and columns (B, H, W) between the pixels."""
    top, left = np.floor(rows), np.floor(columns)
    below, right = rows - top, columns - left
    top, left = top.astype(np.int64), left.astype(np.int64)
    corners = (
        (0, 0, (1 - below) * (1 - right)),
        (0, 1, (1 - below) * right),
        (1, 0, below * (1 - right)),
        (1, 1, below * right),
    )
    channels = (1,) * (grid.ndim - 3)
    total = np.zeros(grid.shape, _wide(grid.dtype))
    for down, across, weight in corners:
        weight = weight.reshape(*weight.shape, *channels).astype(total.dtype)
        found = _pixels(grid, top + down, left + across)
        # 0 times inf or NaN is NaN: what has no weight stays out.
        total += np.multiply(weight, found, out=np.zeros_like(total), where=weight != 0.0)
    return total


def _wide(dtype: np.dtype) -> type[np.floating]:
    """The dtype to compute in: float32 is exact for 16-bit numbers and for floats up to 32 bits."""
    return np.float32 if dtype.itemsize <= 2 or dtype == np.float32 else np.float64


def _as_dtype(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats as `dtype`: integers are rounded, and end at the ends of their range."""
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    ends, whole = np.iinfo(dtype), np.rint(values)
    # A float64 has no 2**63 - 1, and what is clipped to the 2**63 next to it would wrap round.
    above, below = whole >= float(ends.max), whole <= float(ends.min)
    result = np.where(above | below, 0.0, whole).astype(dtype)
    result[above], result[below] = ends.max, ends.min
    return result
