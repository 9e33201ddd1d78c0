"""Tests of the catalogue, of what is registered and marked for it, and of the judge itself."""

from __future__ import annotations

import pkgutil
import re

import numpy as np
import pytest

from tinygrad_llm.formulas import (
    CATALOGUE,
    FORMS,
    Outcome,
    Question,
    Verdict,
    case,
    formula,
    judge,
    numeric_gradient,
    relative_error,
)
from tinygrad_llm.formulas.marks import marked_tests
from tinygrad_llm.formulas.numeric import project
from tinygrad_llm.formulas.table import rows

IDS = [f"F{n:02}" for n in range(1, 91)] + [f"G{n:02}" for n in range(1, 35)]
FIRST = {
    *(f"F{n:02}" for n in (*range(1, 13), *range(21, 28), 44, 46, 47, 48, 51, 62, 70)),
    *(f"G{n:02}" for n in range(1, 5)),
}
TRAINING = {
    *(f"F{n:02}" for n in (*range(13, 21), 49, 50, *range(53, 62), 64, 66, 68, 69, 74)),
    *("F80", "F82", "F84", "F89", "G13", "G14", "G15", "G16", "G23"),
}
ATTENTION = {
    *(f"F{n:02}" for n in (*range(28, 44), 45, 52, 73, *range(76, 80), 85, 86, 88, 90)),
    *(f"G{n:02}" for n in range(5, 10)),
}
PRETRAINING = {"F71", "F72", "F75", "F83", "F87", "G11", "G12"}
TUNING = {"F63", "F67", "G17"}


def test_catalogue_has_every_id_once_in_order():
    assert list(CATALOGUE) == IDS


@pytest.mark.parametrize("identifier", IDS)
def test_every_entry_is_filled_in(identifier):
    entry = CATALOGUE[identifier]
    section = r"§\d+(\.\d+)*(-\d+(\.\d+)*)?"
    document = rf"00[0-4] {section}(, {section})*"
    printed = identifier.startswith("F")
    assert re.fullmatch(rf"{document}(; {document})*" if printed else "-", entry.source)
    assert isinstance(entry.verdict, Verdict)
    assert (entry.verdict is Verdict.NEEDED) is not printed
    assert re.search(r"\(.*[\u4e00-\u9fff].*\)", entry.subject), "no Chinese term"
    assert all(pkgutil.resolve_name(f"tinygrad_llm.{name}") for name in entry.where)


def test_every_id_with_forms_has_a_marked_test_that_holds_them():
    held = {identifier for test in marked_tests() if test.holds for identifier in test.ids}
    assert set(FORMS) - held == set()


def test_every_mark_names_an_id_with_forms():
    marked = {identifier for test in marked_tests() for identifier in test.ids}
    assert marked - set(CATALOGUE) == set()
    assert marked - {identifier for identifier, forms in FORMS.items() if forms.complete} == set()


@pytest.mark.parametrize(
    "identifiers",
    [FIRST, TRAINING, ATTENTION, PRETRAINING, TUNING],
    ids=["first", "training", "attention", "pretraining", "tuning"],
)
def test_what_is_taught_so_far_is_done(identifiers):
    done = {line[0] for line in rows(marked_tests()) if line[-1] == "done"}
    assert identifiers - done == set()


@pytest.mark.parametrize("identifier", FORMS)
def test_what_the_cases_find_is_what_the_verdict_says(identifier):
    forms, verdict = FORMS[identifier], CATALOGUE[identifier].verdict
    found = {case.other for case in forms.cases if case.other is not None}
    assert (not found) == (forms.other is None)
    if verdict is Verdict.NEEDED:
        assert forms.printed is None
    elif verdict in (Verdict.OK, Verdict.IMPRECISE):
        assert forms.printed is not None and found <= {Outcome.AGREES, Outcome.NOT_FINITE}
    elif verdict in (Verdict.WRONG, Verdict.AMBIGUOUS):
        assert forms.printed is not None and Outcome.DIFFERS in found
    else:
        assert found != {Outcome.AGREES}


@pytest.mark.parametrize("identifier", FORMS)
def test_every_form_says_what_it_is(identifier):
    forms = FORMS[identifier]
    for form in (forms.corrected, forms.printed, forms.mistake):
        assert form is None or identifier in form.__doc__


@pytest.mark.parametrize("seed", range(20))
def test_numeric_gradient_of_a_known_function(seed):
    x, weights = np.random.default_rng(seed).normal(size=(2, 3, 2))
    given = x.copy()
    truth = weights * (np.cos(x) + 2.0 * x)
    numeric = numeric_gradient(lambda x: project(np.sin(x) + x**2, weights), x)
    assert relative_error(truth, numeric) < 1e-9
    assert np.array_equal(x, given)


def test_numeric_gradient_wants_one_number():
    with pytest.raises(ValueError, match=r"one number, not an array of shape \(2,\)"):
        numeric_gradient(lambda x: x, np.ones(2))


def test_projection_does_not_broadcast():
    with pytest.raises(ValueError, match=r"shape \(\) given where \(2,\)"):
        project(np.float64(1.0), np.ones(2))


@pytest.mark.parametrize(
    ("claim", "outcome"),
    [
        ([1.0, 2.0], Outcome.AGREES),
        ([1.0, 2.0 + 1e-9], Outcome.AGREES),
        ([1.0, 2.0 + 1e-3], Outcome.UNCLEAR),
        ([1.0, -2.0], Outcome.DIFFERS),
        ([0.0, 0.0], Outcome.DIFFERS),
        ([[1.0, 2.0]], Outcome.SHAPE),
        ([1.0, np.inf], Outcome.NOT_FINITE),
        ([1.0, np.nan], Outcome.NOT_FINITE),
    ],
)
def test_judge(claim, outcome):
    question = Question(np.array([1.0, 2.0]), lambda form: form())
    assert judge(question, lambda: np.array(claim))[0] is outcome


def test_judge_takes_arrays_that_do_not_fit_for_a_wrong_shape():
    question = Question(np.ones(2), lambda form: form())
    assert judge(question, lambda: np.ones(2) + np.ones(3)) == (Outcome.SHAPE, np.inf)


def test_registering_refuses_what_is_unknown_or_taken():
    with pytest.raises(ValueError, match="'F91' is not in the catalogue"):
        formula("F91", "corrected")
    with pytest.raises(ValueError, match="'F91' is not in the catalogue"):
        case("F91", "any", None)
    with pytest.raises(ValueError, match="F01: role 'right' is none of"):
        formula("F01", "right")(abs)
    with pytest.raises(ValueError, match="F01: a corrected form is registered already"):
        formula("F01", "corrected")(abs)
