"""Tests of TrainingArguments: what they refuse, and what they derive."""

from __future__ import annotations

import json
import math

import pytest

from tinygrad_llm.training import TrainingArguments


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0, not 0.0"),
        ({"learning_rate": -1e-3}, "learning_rate must be a finite number above 0"),
        ({"learning_rate": math.nan}, "learning_rate must be a finite number above 0, not nan"),
        ({"learning_rate": "1e-3"}, "learning_rate must be a finite number above 0, not '1e-3'"),
        ({"num_train_epochs": 0}, "num_train_epochs must be"),
        ({"max_steps": 0}, "max_steps must be at least 1, or -1"),
        ({"max_steps": -2}, "max_steps must be a whole number from -1"),
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size must be a whole"),
        ({"per_device_train_batch_size": 8.0}, "per_device_train_batch_size must be a whole"),
        ({"gradient_accumulation_steps": True}, "gradient_accumulation_steps must be a whole"),
        ({"logging_steps": 0}, "logging_steps must be a whole number from 1, not 0"),
        ({"save_total_limit": 0}, "save_total_limit must be"),
        ({"eval_steps": 0}, "eval_steps must be"),
        ({"early_stopping_patience": 0}, "early_stopping_patience must be"),
        ({"weight_decay": -0.1}, "weight_decay must be a finite number from 0"),
        ({"weight_decay": math.inf}, "weight_decay must be a finite number from 0"),
        ({"max_grad_norm": -1.0}, "max_grad_norm must be a finite number from 0"),
        ({"warmup_ratio": 1.5}, "warmup_ratio must be from 0 to 1, not 1.5"),
        ({"warmup_ratio": 0.1, "warmup_steps": 10}, "warmup_steps and warmup_ratio are both"),
        ({"optim": "adamw_torch"}, "optim must be one of adamw, adam, sgd, rmsprop, lamb"),
        ({"lr_scheduler_type": "cos"}, "lr_scheduler_type must be one of linear, cosine"),
        ({"eval_strategy": "steps"}, "eval_strategy 'steps' with eval_steps None"),
        ({"eval_strategy": "epoch", "eval_steps": 5}, "eval_strategy 'epoch' with eval_steps 5"),
        ({"save_strategy": "never"}, "save_strategy must be one of no, steps, epoch"),
    ],
    ids=str,
)
def test_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=f"TrainingArguments: {message}"):
        TrainingArguments(**settings)


def test_an_unknown_name_is_refused():
    with pytest.raises(TypeError, match="lr"):
        TrainingArguments(lr=0.1)


@pytest.mark.parametrize(
    ("settings", "strategy"),
    [
        ({}, "epoch"),
        ({"eval_steps": 5}, "steps"),
        ({"eval_strategy": "no"}, "no"),
        ({"eval_strategy": "steps", "eval_steps": 5}, "steps"),
    ],
)
def test_the_strategy_follows_from_the_steps(settings, strategy):
    assert TrainingArguments(**settings).eval_strategy == strategy


@pytest.mark.parametrize(
    ("metric", "given", "maximizes"),
    [
        ("loss", None, False),
        ("eval_loss", None, False),
        ("perplexity", None, False),
        ("accuracy", None, True),
        ("eval_f1", None, True),
        ("error", False, False),
        ("loss", True, True),
        ("brier_score", True, True),
        ("mlm_loss", None, False),
        ("macro_f1", None, True),
    ],
)
def test_which_way_is_better(metric, given, maximizes):
    args = TrainingArguments(metric_for_best_model=metric, greater_is_better=given)
    assert args.maximizes == maximizes
    assert args.best_metric == f"eval_{metric.removeprefix('eval_')}"


@pytest.mark.parametrize("metric", ["score", "brier_score", "answer", "error_precision", "x"])
def test_which_way_is_better_must_be_said_where_the_name_does_not(metric):
    with pytest.raises(ValueError, match="say greater_is_better=True or False"):
        TrainingArguments(metric_for_best_model=metric, load_best_model_at_end=True)


def test_they_go_through_json():
    args = TrainingArguments(learning_rate=0.1, optim="sgd", optim_args={"momentum": 0.9})
    assert TrainingArguments(**json.loads(json.dumps(args.to_dict()))) == args
