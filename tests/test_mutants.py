"""The mutation tool: which mutants it makes, how it runs them, and what it says of weak checks."""

import re
import sys
import threading
import time
from pathlib import Path

import pytest

from tinygrad_llm.ops import OPS
from tinygrad_llm.ops.base import count_of
from tinygrad_llm.testing import GradientError
from tinygrad_llm.testing.checks import check_op
from tinygrad_llm.testing.mutants import __main__ as command
from tinygrad_llm.testing.mutants import report
from tinygrad_llm.testing.mutants.equivalents import EQUIVALENTS
from tinygrad_llm.testing.mutants.generator import gradient_lines, mutants_of, plain, raising
from tinygrad_llm.testing.mutants.limits import OutOfTime, time_limit
from tinygrad_llm.testing.mutants.optimizers import check as check_by_name
from tinygrad_llm.testing.mutants.runner import (
    CRASHED,
    KILLED,
    SURVIVED,
    compiled,
    in_force,
    outcome,
)
from tinygrad_llm.testing.mutants.targets import Target, reached_from, targets

ROOT = Path(__file__).parent.parent
MULTIPLY = OPS["multiply"].backward


def scaled_difference(xp, g, saved, needs):
    """A docstring is not changed."""
    a, b = saved
    if not needs:
        raise ValueError("nor is an error")
    dx = g * (a - b) if needs[1] else None
    return dx


def cut(x, axis):
    total = 0
    total += x[1:].sum(axis=axis, keepdims=True)
    return -total


def compared(x, y):
    x = x if x > y else y
    return x


def guarded(x, least):
    if x < least:
        shown = f"{x} is below {least}"
        raise ValueError(shown)
    return min(x, 2.0)


def in_two_steps(xp, g, saved, needs):
    (x,) = saved
    slope = 2.0 * x
    h = g.reshape(-1)
    dx = h * slope
    return dx


def made(function):
    return {(m.operator, m.mutated) for m in mutants_of(function, "a test")}


def expected(*pairs):
    """As `made`: what each line looks like depends on the version of Python."""
    return {(operator, plain(line)) for operator, line in pairs}


def target_of(label):
    return next(target for target in targets() if target.label == label)


def passes(name):
    """A check that is too weak to notice anything."""


def raises(name):
    raise ZeroDivisionError(name)


def wrong(name):
    raise GradientError("always", "input 0", 1)


def hangs(name):
    while True:
        pass


def run(capsys, *arguments, check=check_by_name):
    status = command.main(arguments, check)
    return status, capsys.readouterr()


def test_mutants_of_a_small_function():
    assert made(scaled_difference) == expected(
        ("names exchanged", "b, a = saved"),
        ("sign flipped", "dx = -(g * (a - b)) if needs[1] else None"),
        ("factor doubled", "dx = 2.0 * (g * (a - b)) if needs[1] else None"),
        ("factor doubled", "dx = g * (a - b) * g if needs[1] else None"),
        ("factor doubled", "dx = g * (a - b) * (a - b) if needs[1] else None"),
        ("factor dropped", "dx = g if needs[1] else None"),
        ("factor dropped", "dx = a - b if needs[1] else None"),
        ("operator changed", "dx = g / (a - b) if needs[1] else None"),
        ("operator changed", "dx = g * (a + b) if needs[1] else None"),
        ("operands exchanged", "dx = g * (b - a) if needs[1] else None"),
        ("term dropped", "dx = g * a if needs[1] else None"),
        ("term dropped", "dx = g * b if needs[1] else None"),
        ("constant changed", "dx = g * (a - b) if needs[0] else None"),
        ("constant changed", "dx = g * (a - b) if needs[2] else None"),
        ("branches exchanged", "dx = None if needs[1] else g * (a - b)"),
        ("choice dropped", "dx = g * (a - b)"),
        ("choice dropped", "dx = None"),
        ("term doubled", "dx = g * (2.0 * a - b) if needs[1] else None"),
        ("term doubled", "dx = g * (a - 2.0 * b) if needs[1] else None"),
        ("operand replaced", "dx = g * (b - b) if needs[1] else None"),
        ("operand replaced", "dx = g * (a - a) if needs[1] else None"),
    )


def test_mutants_of_updates_slices_axes_and_flags():
    assert made(cut) == {
        ("sign flipped", "return total"),
        ("factor doubled", "return 2.0 * -total"),
        ("constant changed", "total = 1"),
        ("constant changed", "total = -1"),
        ("statement dropped", "pass"),
        ("update changed", "total -= x[1:].sum(axis=axis, keepdims=True)"),
        ("update made an assignment", "total = x[1:].sum(axis=axis, keepdims=True)"),
        ("sign flipped", "total += -x[1:].sum(axis=axis, keepdims=True)"),
        ("factor doubled", "total += 2.0 * x[1:].sum(axis=axis, keepdims=True)"),
        ("sum removed", "total += x[1:]"),
        ("sum replaced", "total += x[1:].mean(axis=axis, keepdims=True)"),
        ("axis changed", "total += x[1:].sum(axis=0, keepdims=True)"),
        ("axis changed", "total += x[1:].sum(axis=-1, keepdims=True)"),
        ("axis changed", "total += x[1:].sum(axis=None, keepdims=True)"),
        ("flag flipped", "total += x[1:].sum(axis=axis, keepdims=False)"),
        ("constant changed", "total += x[2:].sum(axis=axis, keepdims=True)"),
        ("constant changed", "total += x[0:].sum(axis=axis, keepdims=True)"),
        ("slice bound dropped", "total += x[:].sum(axis=axis, keepdims=True)"),
        ("slice bounds exchanged", "total += x[:1].sum(axis=axis, keepdims=True)"),
    }


def test_mutants_of_comparisons_and_dropped_assignments():
    assert made(compared) >= {
        ("statement dropped", "pass"),
        ("comparison changed", "x = x if x < y else y"),
        ("comparison changed", "x = x if x >= y else y"),
    }


def test_what_only_leads_to_an_error_is_not_changed():
    assert {line for _, line in made(guarded)} == {
        *("return -min(x, 2.0)", "return 2.0 * min(x, 2.0)", "return max(x, 2.0)"),
        *("return min(x, 3.0)", "return min(x, 1.0)"),
    }


def test_a_mutant_knows_its_place_and_computes_what_it_says():
    mutant = next(m for m in mutants_of(MULTIPLY, "multiply") if "-(g * a)" in m.mutated)
    assert (mutant.op, mutant.function) == ("multiply", "Multiply.backward")
    assert mutant.original == "db = g * a if needs[1] else None"
    lines = (ROOT / mutant.file).read_text(encoding="utf8").split("\n")
    assert lines[mutant.line - 1].strip() == mutant.original
    with in_force(target_of("multiply"), compiled(mutant.source, MULTIPLY)):
        assert MULTIPLY(None, 2.0, (3.0, 5.0), (True, True)) == (10.0, -6.0)
    assert MULTIPLY(None, 2.0, (3.0, 5.0), (True, True)) == (10.0, 6.0)


def test_no_mutant_is_the_original_or_another_one_and_two_runs_give_the_same():
    for target in targets():
        mutants = report.candidates(target)
        sources = {m.source for m in mutants}
        assert len(sources) == len(mutants)
        assert all(m.mutated != m.original for m in mutants)
        assert mutants == report.candidates(target)


def test_gradient_lines_are_those_that_depend_on_g():
    first = scaled_difference.__code__.co_firstlineno
    assert gradient_lines(scaled_difference) == [first + 5]
    first = in_two_steps.__code__.co_firstlineno
    assert gradient_lines(in_two_steps) == [first + 3, first + 4]


@pytest.mark.parametrize(
    "label, helper",
    [
        ("max", "kept_shape"),
        ("prod", "_products_before"),
        ("dropout", "scaled_mask"),
        ("weightedcrossentropy", "target_distribution"),
        ("kldiv", "_log_where_positive"),
        ("einsum", "_einsum"),
        ("tanh", "Operators.__rsub__"),
        ("tanh", "subtract"),
    ],
)
def test_helpers_are_reached_by_name_method_and_operator(label, helper):
    reached = [f.__qualname__ for f in reached_from(OPS[label].backward)]
    assert helper in reached


def test_every_op_helper_and_engine_line_is_a_target():
    labels = {target.label for target in targets()}
    own = {n for n, op in OPS.items() if op.__module__.startswith("tinygrad_llm.ops")}
    assert own - labels == {"min"}  # it inherits the backward of max
    assert target_of("max").checks == ("max", "min")
    assert labels >= {"ops.along_axis", "ops._plan", "Piece.add_to", "Piece.dense"}
    assert labels >= {
        "graph.unbroadcast",
        "Accumulator.add",
        "Accumulator.add_piece",
        "graph._output_gradient",
    }


def test_an_operator_of_tensors_is_changed_where_a_backward_comes_by():
    used, unused = (
        report.run_target(target_of(label), check_op).mutants
        for label in ("Operators.__rsub__", "Operators.__rpow__")
    )
    assert used and not unused


def test_an_inherited_backward_changes_with_its_parents():
    target = target_of("max")
    probe = raising(target.function, "max")[0]
    code = compiled(probe.source, target.function)
    with in_force(target, code), pytest.raises(AssertionError):
        OPS["min"].backward(None, None, (1, 2, 3), (True,))


def test_a_helper_is_changed_while_a_backward_runs_and_at_no_other_time():
    seen = []

    class Spy:
        @staticmethod
        def backward(*_):
            seen.append(count_of((2, 3), (1,)))

    target = Target("ops", "count_of", count_of, (), (Spy,))
    mutant = next(m for m in mutants_of(count_of, "count_of") if m.mutated == "count = 2")
    before = vars(Spy)["backward"]
    with in_force(target, compiled(mutant.source, count_of)):
        Spy.backward()
        seen.append(count_of((2, 3), (1,)))
    Spy.backward()
    assert seen == [6, 3, 3]
    assert vars(Spy)["backward"] is before


@pytest.mark.parametrize(
    "check, expected", [(passes, SURVIVED), (raises, CRASHED), (wrong, KILLED), (hangs, CRASHED)]
)
@pytest.mark.parametrize("label", ["multiply", "ops.kept_shape"])
def test_whatever_a_check_does_the_code_is_put_back(label, check, expected):
    target = target_of(label)
    code = target.function.__code__
    backwards = [op.backward for op in target.within]
    mutant = mutants_of(target.function, label)[0]
    assert outcome(mutant, target, check, seconds=0.05) == expected
    assert target.function.__code__ is code
    assert [op.backward for op in target.within] == backwards


def test_a_kill_counts_even_after_a_crash():
    def check(name):
        raises(name) if name == "max" else wrong(name)

    target = target_of("max")
    mutant = mutants_of(target.function, "max")[0]
    assert outcome(mutant, target, check) == KILLED


def in_a_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_the_time_limit_holds_in_another_thread_too():
    ended = []

    def work():
        try:
            with time_limit(0.05):
                while True:
                    time.sleep(0.001)
        except OutOfTime:
            ended.append("out of time")
        with time_limit(5.0):
            ended.append("in time")

    in_a_thread(work)
    assert ended == ["out of time", "in time"]


def busy(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


class Finalized:
    """Of no use but for what is done when it goes."""

    def __init__(self, last):
        self.last = last

    def __del__(self):
        self.last()


@pytest.mark.parametrize("run", [lambda work: work(), in_a_thread], ids=["by signal", "by thread"])
def test_a_limit_that_ends_in_a_finalizer_comes_again(run):
    ended, hook = [], sys.unraisablehook

    def work():
        try:
            with time_limit(0.05):
                Finalized(lambda: busy(5.0))
                ended.append("went on")
                busy(5.0)
                ended.append("in time")
        except OutOfTime:
            ended.append("out of time")

    run(work)
    assert ended == ["went on", "out of time"] and sys.unraisablehook is hook


def test_other_exceptions_of_finalizers_are_told_as_ever(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(lost.exc_type))
    with time_limit(5.0):
        Finalized({}.popitem)
    assert told == [KeyError]


def test_a_real_op_end_to_end(capsys):
    status, printed = run(capsys, "multiply")
    killed = re.fullmatch(r"killed (\d+) of (\d+) mutants", printed.out.splitlines()[-1])
    assert status == 0
    assert killed[1] == killed[2] and int(killed[1]) >= 20
    assert printed.out.splitlines()[1].split()[:1] == ["multiply"]


def test_a_weak_check_is_found_out(capsys):
    status, printed = run(capsys, "multiply", check=passes)
    assert status == 1
    assert "- db = g * a if needs[1] else None\n+ db = g if needs[1] else None" in printed.out
    assert "survived: tinygrad_llm/ops/elementwise.py:" in printed.out
    assert re.search(r"\nkilled 0 of \d\d mutants\n$", printed.out)


def test_a_line_that_only_crashes_has_no_value_kill(capsys):
    code = MULTIPLY.__code__

    def check(name):
        if MULTIPLY.__code__ is not code:
            raise ZeroDivisionError

    status, printed = run(capsys, "multiply", check=check)
    first = code.co_firstlineno
    assert status == 1
    for line in (first + 3, first + 4):
        assert f"no value kill: tinygrad_llm/ops/elementwise.py:{line}\n" in printed.out
    assert printed.out.endswith("\nkilled 0 of 0 mutants\n")


@pytest.mark.parametrize(
    "mutated, what",
    [("db = g * c if needs[1] else None", "no mutant any more"), ("b, a = saved", "killed")],
)
def test_a_wrong_entry_among_the_equivalents_is_an_error(capsys, monkeypatch, mutated, what):
    original = "a, b = saved" if "saved" in mutated else "db = g * a if needs[1] else None"
    mutated = plain(mutated)
    key = ("Multiply.backward", plain(original), mutated)
    monkeypatch.setitem(report.EQUIVALENTS, key, "a claim")
    status, printed = run(capsys, "multiply")
    assert status == 1
    assert f"listed as equivalent, but {what}: Multiply.backward: {mutated}\n" in printed.out


def test_an_equivalent_mutant_counts_neither_way(capsys):
    status, printed = run(capsys, "gelutanh")
    row = printed.out.splitlines()[1].split()
    mutants, killed, crashed, equivalent, survived = map(int, row[1:6])
    assert (status, equivalent, survived) == (0, 1, 0)
    assert printed.out.splitlines()[-2:] == [
        "crashed: stopped with an error, not counted",
        f"killed {killed} of {mutants - crashed - 1} mutants",
    ]


def test_an_op_that_does_not_exist(capsys):
    status, printed = run(capsys, "multipli")
    assert status == 2
    assert printed.err == "mutants: there is no op 'multipli': 'multiply'?\n"


def test_a_check_that_fails_on_the_code_as_it_is(capsys):
    status, printed = run(capsys, "exp", check=raises)
    assert status == 2
    assert printed.err == "mutants: the check of exp fails on the code as it is: exp\n"


def test_the_list_runs_nothing(capsys):
    status, printed = run(capsys, "--list", "exp", check=raises)
    assert status == 0
    assert printed.out.count("\n- dx = g * y\n") >= 5


def test_processes_give_the_same_as_one_alone(capsys):
    both = [run(capsys, "exp", "tanh", "--jobs", jobs)[1].out for jobs in ("1", "2")]
    alone, together = (re.sub(r" +[\d.]+\n", "\n", out) for out in both)  # without the seconds
    assert alone == together


@pytest.mark.slow
def test_all_mutants_die(capsys):
    status, printed = run(capsys)
    killed, counted = map(int, re.findall(r"\d+", printed.out.splitlines()[-1]))
    assert status == 0, printed.out
    assert killed == counted >= 400
    assert len(EQUIVALENTS) <= 0.03 * counted
