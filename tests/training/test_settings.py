"""Checks of settings: what is refused, by an error that names it, and what is let through."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_llm.training import settings


@pytest.mark.parametrize(
    ("check", "error", "message"),
    [
        (("one_of", "x", "c", ("a", "b")), ValueError, "x is 'c'; give one of a, b"),
        (("one_of", "x", None, ("a", "b")), ValueError, "x is None; give one of a, b"),
        (("whole", "x", 0, 1), ValueError, "x is 0; give a whole number from 1"),
        (("whole", "x", 2**31, 1), ValueError, "x is above 2147483647; give a whole number from"),
        (("whole", "x", 1.0, 1), TypeError, "x is 1.0; give a whole number from 1"),
        (("whole", "x", True, 1), TypeError, "x is True; give a whole number from 1"),
        (("whole", "x", -(10**400), 1), ValueError, f"x is -1{'0' * 38}; give a whole number"),
        (("number", "x", 1.0, 0.0, 1.0), ValueError, "x is 1.0; give a number from 0 and below 1"),
        (("number", "x", -1, 0.0, math.inf), ValueError, "x is -1; give a number from 0"),
        (("number", "x", 0, 0.0, 1.0, False), ValueError, "give a number above 0 and below 1"),
        (("number", "x", math.nan, 0.0, 1.0), ValueError, "x is nan"),
        (("number", "x", math.inf, 0.0, math.inf), ValueError, "x is inf"),
        (("number", "x", 10**400, 0.0, math.inf), ValueError, f"x is 1{'0' * 39}; give"),
        (("number", "x", "1", 0.0, 2.0), TypeError, "x is '1'; give a number from 0 and below 2"),
        (("number", "x", False, 0.0, 2.0), TypeError, "x is False"),
        (("switch", "x", 1), TypeError, "x is 1; give True or False"),
        (("switch", "x", None), TypeError, "x is None; give True or False"),
        (("device", "gpu"), ValueError, "device is 'gpu'; give 'cpu', 'cuda' or 'cuda:<number>'"),
        (("device", "cpu:0"), ValueError, "device is 'cpu:0'"),
        (("device", "cuda:one"), ValueError, "device is 'cuda:one'"),
        (("device", None), ValueError, "device is None"),
    ],
    ids=lambda each: " ".join(map(repr, each))[:40] if isinstance(each, tuple) else "",
)
def test_what_is_wrong_is_named(check, error, message):
    name, *given = check
    with pytest.raises(error) as caught:
        getattr(settings, name)(*given)
    said = str(caught.value)
    assert message in said and "\n" not in said and len(said) < 120


@pytest.mark.parametrize(
    "check",
    [
        ("one_of", "x", "b", ("a", "b")),
        ("whole", "x", 1, 1),
        ("whole", "x", 2**31 - 1, 0),
        ("number", "x", 0, 0.0, 1.0),
        ("number", "x", 0.999, 0.0, 1.0),
        ("number", "x", 10**200, 0.0, math.inf),
        ("number", "x", np.float64(0.5), 0.0, 1.0),
        ("switch", "x", False),
        *(("device", name) for name in ("cpu", "cuda", "cuda:0", "cuda:12")),
    ],
    ids=str,
)
def test_what_is_right_is_let_through(check):
    name, *given = check
    assert getattr(settings, name)(*given) is None
