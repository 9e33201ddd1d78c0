"""The registry of forms: what is registered for an id, and how a form is judged.

To add a formula: write its corrected form, the printed form or the usual mistake beside it, and
at least one case, in the module of its subject; mark a test with its id. Nothing here changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

import numpy as np

from tinygrad_llm.formulas.catalogue import CATALOGUE
from tinygrad_llm.formulas.numeric import AGREEMENT, DISAGREEMENT, Array, relative_error

Form = Callable[..., Any]
"""A function on float64 arrays: the formula itself, or the gradient that it claims."""

ROLES = ("corrected", "printed", "mistake")

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Outcome(Enum):
    """What becomes of a form that is held against finite differences."""

    AGREES = "agrees"
    """Relative error at most `AGREEMENT`."""
    DIFFERS = "differs"
    """Relative error above `DISAGREEMENT`."""
    SHAPE = "shape"
    """The arrays do not fit, or the result has another shape."""
    NOT_FINITE = "not finite"
    """Infinity or NaN."""
    UNCLEAR = "unclear"
    """An error between the two limits: neither right nor clearly wrong. No case expects it."""


@dataclass(frozen=True)
class Question:
    """Drawn inputs, ready to be put to a form.

    `truth` does not depend on any form. For a claimed gradient it is the numeric gradient, and
    `claim(form)` is what the form says. For a formula that is itself a function it is the
    derivative from an independent rule, and `claim(form)` is the form's numeric gradient.
    """

    truth: Array
    claim: Callable[[Form], Array]


@dataclass(frozen=True)
class Case:
    """A way to draw questions, and what it finds for the form that is not the corrected one.

    `other` is None where that form is not put to this case, or where there is none.
    """

    name: str
    draw: Callable[[np.random.Generator], Question]
    other: Outcome | None


@dataclass
class Forms:
    """Everything registered for one id."""

    corrected: Form | None = None
    printed: Form | None = None
    mistake: Form | None = None
    cases: list[Case] = field(default_factory=list)

    @property
    def other(self) -> Form | None:
        """The form as printed or, where none is printed, the usual mistake."""
        return self.printed or self.mistake

    @property
    def complete(self) -> bool:
        """Whether there is a corrected form and at least one case to hold it against."""
        return self.corrected is not None and bool(self.cases)


FORMS: dict[str, Forms] = {}


def _slot(identifier: str) -> Forms:
    if identifier not in CATALOGUE:
        raise ValueError(f"formula {identifier!r} is not in the catalogue; enter it there first")
    return FORMS.setdefault(identifier, Forms())


def formula(identifier: str, *roles: str) -> Callable[[_Function], _Function]:
    """Register the decorated form for an id, as "corrected", "printed" or "mistake".

    A formula that is right as printed is registered as both "corrected" and "printed".
    Raises ValueError for an unknown id or role, and for a role that is taken.
    """
    slot = _slot(identifier)

    def register(form: _Function) -> _Function:
        for role in roles:
            if role not in ROLES:
                raise ValueError(f"formula {identifier}: role {role!r} is none of {ROLES}")
            if getattr(slot, role) is not None:
                raise ValueError(f"formula {identifier}: a {role} form is registered already")
            setattr(slot, role, form)
        return form

    return register


def case(identifier: str, name: str, other: Outcome | None) -> Callable[[_Function], _Function]:
    """Register the decorated function `draw(rng) -> Question` as a case of an id."""
    slot = _slot(identifier)

    def register(draw: _Function) -> _Function:
        slot.cases.append(Case(name, draw, other))
        return draw

    return register


def judge(question: Question, form: Form) -> tuple[Outcome, float]:
    """Put a question to a form: what became of it, and its relative error (inf if none)."""
    with np.errstate(all="ignore"):
        try:
            claim = np.asarray(question.claim(form))
        except ValueError:  # NumPy's answer to arrays that do not fit together
            return Outcome.SHAPE, np.inf
    if claim.shape != question.truth.shape:
        return Outcome.SHAPE, np.inf
    if not np.all(np.isfinite(claim)):
        return Outcome.NOT_FINITE, np.inf
    error = relative_error(question.truth, claim)
    if error <= AGREEMENT:
        return Outcome.AGREES, error
    return (Outcome.DIFFERS if error > DISAGREEMENT else Outcome.UNCLEAR), error
