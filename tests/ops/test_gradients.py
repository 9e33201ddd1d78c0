"""Every op's derivatives against finite differences, in drawn shapes, layouts and magnitudes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_llm.ops import OPS
from tinygrad_llm.testing.checks import check_call, check_op
from tinygrad_llm.testing.samples import Sample, all_samples
from tinygrad_llm.testing.strategies import calls


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_check_of_an_op(name: str) -> None:
    assert check_op(name) < 1e-9


@pytest.mark.parametrize("sample", all_samples(), ids=repr)
@settings(max_examples=25)
@given(data=st.data())
def test_drawn_calls(sample: Sample, data: st.DataObject) -> None:
    call = data.draw(calls(sample))
    check_call(sample, call, precision=False)


@pytest.mark.slow
@pytest.mark.parametrize("sample", all_samples(), ids=repr)
@settings(max_examples=150)
@given(data=st.data())
def test_many_drawn_calls(sample: Sample, data: st.DataObject) -> None:
    call = data.draw(calls(sample))
    check_call(sample, call, precision=False)
