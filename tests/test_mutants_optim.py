"""The mutation tool on the optimizers: what is changed, and the check that must notice."""

import re

import pytest

from tests.test_mutants import expected, made, raises, run
from tinygrad_llm import optim
from tinygrad_llm.testing import GradientError
from tinygrad_llm.testing.mutants.optimizers import CASES, check_optimizer
from tinygrad_llm.testing.mutants.targets import targets


def in_memory(flat, n):
    change = flat.scratch[:n]
    change += 1.0
    return change


def test_memory_that_is_written_before_it_is_read_is_not_changed_itself():
    assert {(what, line) for what, line in made(in_memory) if "scratch" in line} == expected(
        ("slice bound dropped", "change = flat.scratch[:]"),
        ("slice bounds exchanged", "change = flat.scratch[n:]"),
    )


def test_the_update_of_every_optimizer_is_a_target():
    kinds = [kind for kind in vars(optim).values() if isinstance(kind, type)]
    own = [k for k in kinds if issubclass(k, optim.Optimizer) and "update" in vars(k)]
    labels = {target.label for target in targets() if target.group == "optim"}
    assert {f"{kind.__name__}.update" for kind in own if kind is not optim.Optimizer} <= labels
    assert len(own) == 5
    assert labels >= {"SGD.shrink", "LAMB.trust_ratio", "Optimizer.decay_weights", "Flat.gather"}
    for kind in optim.SGD, optim.RMSprop, optim.Adam, optim.AdamW, optim.LAMB:
        assert kind.__name__ in CASES


@pytest.mark.parametrize("label", ["SGD.shrink", "Adam.direction", "LAMB.trust_ratio"])
def test_an_optimizer_end_to_end(capsys, label):
    status, printed = run(capsys, label)
    killed, counted = re.findall(r"\d+", printed.out.splitlines()[-1])
    assert status == 0, printed.out
    assert killed == counted and int(killed) >= 30


def test_an_optimizer_can_be_asked_for_by_its_name(capsys):
    status, printed = run(capsys, "--list", "AdamW", check=raises)
    functions = set(re.findall(r"py:\d+ (\S+) \(", printed.out))
    assert status == 0
    assert functions == {"Adam.update", "Optimizer.decay_weights"}


def test_a_wrong_optimizer_is_noticed_by_its_check(monkeypatch):
    check_optimizer("Adam")
    monkeypatch.setattr(optim.Adam, "direction", lambda *_: 0.0)
    with pytest.raises(GradientError, match="Adam: wrong value, tensor 0"):
        check_optimizer("Adam")
