"""The fixture with which a marked test holds the forms of its formula to account."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tinygrad_llm.formulas import FORMS, Outcome, judge

DRAWS = 20


def hold_to_account(identifier: str) -> None:
    """Draw inputs for every case of a formula and hold its forms against finite differences.

    The corrected form agrees with the numeric gradient in float64; the form as printed, or the
    registered mistake, comes out as the case says.
    """
    forms = FORMS[identifier]
    for case in forms.cases:
        for seed in range(DRAWS):
            label = f"{identifier}, {case.name}, seed {seed}"
            question = case.draw(np.random.default_rng(seed))
            outcome, error = judge(question, forms.corrected)
            assert outcome is Outcome.AGREES, f"{label}: corrected {outcome.value}, {error:.1e}"
            if case.other is not None:
                outcome, error = judge(question, forms.other)
                assert outcome is case.other, f"{label}: other {outcome.value}, {error:.1e}"


@pytest.fixture
def hold(request: pytest.FixtureRequest) -> Iterator[Callable[[str], None]]:
    """`hold("F07")`, for a test that is marked with F07; it must hold all ids of its marks."""
    marked = {name for marker in request.node.iter_markers("formula") for name in marker.args}
    held = set()

    def hold_marked(identifier: str) -> None:
        held.add(identifier)
        hold_to_account(identifier)

    yield hold_marked
    assert held == marked, f"the test is marked with {marked} and holds {held}"
