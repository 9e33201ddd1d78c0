"""No op, no input and no constant of an op, and no function, is without a gradient sample."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor
from tinygrad_llm import functional as F
from tinygrad_llm.ops import OPS, Op
from tinygrad_llm.testing.samples import SAMPLES, Call, Sample, all_exact, all_samples
from tinygrad_llm.testing.samples.coverage import gaps
from tinygrad_llm.testing.samples.drawing import Drawer
from tinygrad_llm.testing.samples.registry import run
from tinygrad_llm.testing.strict_cupy import installed

ONE_VALUE = {
    "astype: dtype": "another dtype than float64 has no finite differences: an exact case has it",
    "to: device": "another device needs the stand-in for CuPy: a composite sample has it",
}
"""Gaps that are covered by something other than a second value, and by what."""

NO_GRADIENT = {
    *("arange", "eye", "full", "ones", "ones_like", "rand", "randn", "zeros", "zeros_like"),
    *("argmax", "argmin", "argsort", "plain_index", "all", "any", "isfinite", "isnan"),
    *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"),
    *("logical_and", "logical_or", "logical_not"),
}
"""Functions whose results have no gradient."""


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_input_and_constant_of_an_op_has_a_sample(name: str) -> None:
    assert set(gaps(name)) - set(ONE_VALUE) == set()


def test_no_sample_is_of_an_op_that_does_not_exist() -> None:
    assert set(SAMPLES) <= set(OPS)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_every_function_has_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    called = set()

    def counted(name, function):
        def call(*arguments, **options):
            called.add(name)
            return function(*arguments, **options)

        return call

    for name in F.__all__:
        monkeypatch.setattr(F, name, counted(name, getattr(F, name)))
    with installed():
        for sample in all_samples():
            for call in sample.calls():
                arrays = [Tensor(x) if isinstance(x, np.ndarray) else x for x in call.arrays]
                run(sample, call, arrays)
        for case in all_exact():
            case.function(*[Tensor(x) if isinstance(x, np.ndarray) else x for x in case.arrays])
    assert set(F.__all__) - called - NO_GRADIENT == set()


@pytest.mark.usefixtures("own_ops")
def test_gaps_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Scaled(Op):
        no_gradient = ("mask",)

        @staticmethod
        def forward(xp, a, b, mask, *, factor, offset=0.0):
            return a * b * factor + offset, (a, b)

    assert gaps("scaled") == ["scaled: no sample"]
    x = np.ones(2)

    def draw(d: Drawer) -> Call:
        return Call((x, 2.0, None), constants={"factor": 3.0})

    sample = Sample("scaled", "", draw, 2, False, True, False)
    monkeypatch.setitem(SAMPLES, "scaled", [sample])
    assert gaps("scaled") == [
        "scaled: b", "scaled: mask", "scaled: factor", "scaled: offset"
    ]  # fmt: skip
