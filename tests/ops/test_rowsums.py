"""Adding rows at places that repeat, against NumPy's `add.at`."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm.ops.rowsums import add_rows

IDS = {
    "each once": [3, 0, 2],
    "repeated": [2, 0, 2, 2, 0, 2, 2, 2],
    "negative": [-1, 4, 0, -5, -1],
    "one": [1],
    "none": [],
}


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_rows_are_added_once_for_every_time_that_an_id_stands_there(ids, shape):
    rng, places = np.random.default_rng(0), np.array(ids, np.int64)
    buffer, rows = rng.standard_normal((5, *shape)), rng.standard_normal((len(ids), *shape))
    expected, before = buffer.copy(), rows.copy()
    np.add.at(expected, places, rows)
    add_rows(np, buffer, places, rows)
    np.testing.assert_allclose(buffer, expected, rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(rows, before)


def test_little_is_rounded_away_where_one_id_has_many_rows():
    rng, count = np.random.default_rng(0), 100_000
    rows, ids = rng.random((count, 2)).astype(np.float32), np.where(np.arange(count) % 100, 1, 0)
    buffer = np.zeros((3, 2), np.float32)
    add_rows(np, buffer, ids, rows)
    exact = np.stack([rows[ids == i].sum(axis=0, dtype=np.float64) for i in range(3)])
    np.testing.assert_allclose(buffer, exact, rtol=4 * 2.0**-23)
