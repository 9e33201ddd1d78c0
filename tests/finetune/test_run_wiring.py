"""Each option, changed alone, changes what the Trainer is given, and only what it is about."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from tests.finetune.run_common import options, save_model, write_numbers, write_rows
from tinygrad_llm import finetune
from tinygrad_llm.data import row_hash
from tinygrad_llm.finetune import FinetuneOptions, lora_layers
from tinygrad_llm.finetune import run as running


class Stop(Exception):
    """Raised where the training would begin."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wiring")
    write_rows(folder)
    write_numbers(folder)
    write_rows(folder, "other.tsv", 4, seed=1)
    save_model(folder / "bert")
    save_model(folder / "second", seed=1)
    save_model(folder / "mean", "BertForMaskedLM")
    return folder


@pytest.fixture
def given(home, monkeypatch):
    """A function: options -> what the Trainer is given, as parts that can be compared."""
    seen: list[Any] = []

    def trainer(module, arguments, *datasets, **rest):
        seen.append((module, arguments, datasets, rest))
        raise Stop

    monkeypatch.setattr(running, "Trainer", trainer)

    def found(**changes):
        with pytest.raises(Stop):
            finetune.finetune(options(home, **changes), quiet=True)
        return looked_at(*seen[-1])

    return found


def looked_at(module, arguments, datasets, rest):
    parts = {f"arguments.{name}": value for name, value in vars(arguments).items()}
    config = getattr(module, "config", None)
    parts |= {f"config.{name}": value for name, value in vars(config).items()} if config else {}
    parts |= {"class": type(module).__name__, "metrics": rest["compute_metrics"].task}
    for name, rows in zip(("train", "valid", "test"), datasets):
        parts[name] = row_hash([dict(rows[i]) for i in range(len(rows))])
    named = dict(module.named_parameters())
    old = {name: p.numpy() for name, p in named.items() if "lora_" not in name}
    parts["head"] = row_hash({n: a for n, a in old.items() if n.startswith("classifier")})
    parts["body"] = row_hash({n: a for n, a in old.items() if not n.startswith("classifier")})
    parts["learning"] = sorted(name for name, p in named.items() if p.requires_grad)
    parts["lora"] = {name: repr(each.settings) for name, each in lora_layers(module).items()}
    groups = rest["optimizer"].param_groups if rest["optimizer"] else []
    parts["groups"] = [(group["lr"], group["weight_decay"]) for group in groups]
    parts["callbacks"] = [(type(each).__name__, each.state_dict()) for each in rest["callbacks"]]
    parts["padding"] = (rest["data_collator"] is None, rest["length"] is None)
    return parts


STEPS = {"arguments.num_train_epochs", "arguments.warmup_steps"}
SIZE = {"arguments.per_device_train_batch_size", "arguments.warmup_steps"}
ROWS = {"train", "valid", "test"}
OWN = {"arguments.learning_rate", "arguments.weight_decay", "groups"}
DROPOUT = {"config.hidden_dropout_prob", "config.attention_probs_dropout_prob"}
LABELS = {"config.num_labels", "config.id2label", "config.problem_type", "head"}
BEST = {"arguments.metric_for_best_model", "arguments.greater_is_better", "metrics"}
NEW = {f"config.{name}" for name in ("vocab_size", "max_position_embeddings")} | ROWS | {"body"}

CASES = [
    ({}, {"out": "other"}, {"arguments.output_dir"}),
    ({}, {"model": "second"}, {"body"}),
    ({}, {"model": "mean"}, {"config.classifier_pooling", "body", "head", "learning"}),
    ({}, {"train": "other.tsv"}, {*ROWS, "arguments.warmup_steps"}),
    ({}, {"valid": "other.tsv"}, {"train", "valid"}),
    ({}, {"test": "other.tsv"}, {"train", "test"}),
    ({}, {"task": "regression", "train": "numbers.tsv"}, {*ROWS, *LABELS, *BEST}),
    ({}, {"epochs": 4}, STEPS),
    ({}, {"batch_size": 3}, SIZE),
    ({}, {"learning_rate": 0.5}, {"arguments.learning_rate"}),
    ({}, {"warmup": 0.5}, {"arguments.warmup_steps"}),
    ({}, {"weight_decay": 0.5}, {"arguments.weight_decay"}),
    ({}, {"patience": 4}, {"arguments.early_stopping_patience"}),
    ({}, {"max_length": 8}, ROWS),
    ({}, {"dropout": 0.5}, DROPOUT),
    ({}, {"seed": 1}, {*ROWS, "arguments.seed", "head"}),
    ({}, {"preset": "J5"}, {"arguments.warmup_steps"}),  # whose rate and decay are given
    ({}, {"layer_decay": 0.5}, OWN),
    ({}, {"unfreeze_every": 3}, {"callbacks"}),
    ({}, {"device": "cpu"}, set()),
    ({}, {"method": "lora"}, {"learning", "lora"}),
    ({"method": "lora"}, {"rank": 2}, {"lora"}),
    ({"method": "lora"}, {"alpha": 2}, {"lora"}),
    ({"method": "lora"}, {"rslora": True}, {"lora"}),
    ({"method": "lora"}, {"lora_targets": "key"}, {"lora", "learning"}),
    ({"method": "lora"}, {"merge": True}, set()),
    ({"method": "head"}, {"model": "mean"}, {*ROWS, "head"}),
    ({"model": "tiny"}, {"vocab_size": 90}, {"config.vocab_size", "body", *ROWS}),
    ({"model": "tiny"}, {"tokenizer": "bert"}, ROWS),
    ({"model": "tiny"}, {"max_length": 8}, NEW - {"config.vocab_size"}),
]


def named(home, changes):
    """Names of files and folders as paths."""
    places = ("model", "train", "valid", "test", "tokenizer", "out")
    return {
        name: home / value if name in places and value != "tiny" else value
        for name, value in changes.items()
    }


@pytest.mark.parametrize(
    "before, changes, expected",
    CASES,
    ids=lambda each: str(sorted(each) if isinstance(each, set) else each)[:40],
)
def test_each_option_changes_what_it_is_about(before, changes, expected, given, home):
    before, changes = named(home, before), named(home, changes)
    first, second = given(**before), given(**{**before, **changes})
    absent = object()
    names = first.keys() | second.keys()
    found = {name for name in names if first.get(name, absent) != second.get(name, absent)}
    assert found == expected


def test_every_option_has_a_case():
    names = {name for _, changes, _ in CASES for name in changes} | {"method", "resume"}
    assert names == {field.name for field in fields(FinetuneOptions)}


def test_the_steps_of_the_schedule_are_those_of_the_run(given):
    found = given(epochs=3, batch_size=7, warmup=0.1)
    assert found["arguments.warmup_steps"] == 3  # of ⌈48/7⌉·3 = 21 steps, rounded up
    assert given(epochs=1, batch_size=48, warmup=0.9)["arguments.warmup_steps"] == 0
    assert given(epochs=60, batch_size=8)["arguments.logging_steps"] == 3
    assert found["arguments.num_train_epochs"] == 3.0 and found["arguments.save_total_limit"] == 1


def test_rates_by_layer_have_the_decay_that_is_given(given):
    found = given(layer_decay=0.5, learning_rate=0.08, weight_decay=0.25)
    rates, decays = zip(*found["groups"])
    assert sorted(set(rates), reverse=True) == pytest.approx([0.08, 0.04, 0.02, 0.01])
    assert set(decays) == {0.0, 0.25}


def test_batches_are_of_like_length_but_for_features(given):
    assert given()["padding"] == given(method="lora")["padding"] == (False, False)
    assert given(method="head")["padding"] == (True, True)


def test_the_usual_rate_is_that_of_the_method(given):
    for method, rate in {"full": 5e-4, "head": 1e-2, "lora": 2e-3}.items():
        found = given(method=method, learning_rate=None)["arguments.learning_rate"]
        assert found == pytest.approx(rate)  # of narrow models, as of one of width 128
    assert np.isclose(given(model="tiny", learning_rate=None)["arguments.learning_rate"], 1e-3)


def test_the_usual_epochs_are_those_of_the_rows_to_learn_from(given):
    """48 rows by twos are 24 steps a round, and 25 rounds 600 steps; half of them is waited."""
    found = given(epochs=None, batch_size=2)
    assert found["arguments.num_train_epochs"] == 25.0
    assert found["arguments.early_stopping_patience"] == 12
