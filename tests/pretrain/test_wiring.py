"""Each option, changed alone, changes what the Trainer is given, and only what it is about."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from tests.pretrain.common import documents, options, parts, wordpiece, write_data
from tinygrad_llm import models, pretrain
from tinygrad_llm.data import row_hash
from tinygrad_llm.pretrain import run as running
from tinygrad_llm.pretrain.parts import make_task, make_tokenizer
from tinygrad_llm.tokenizers import Tokenizer


class Stop(Exception):
    """Raised where the training would begin."""


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A function: options -> what the Trainer is given, as parts that can be compared."""
    seen: list[Any] = []

    def trainer(model, arguments, **rest):
        seen.append((model, arguments, rest))
        raise Stop

    monkeypatch.setattr(running, "Trainer", trainer)

    def found(**changes):
        with pytest.raises(Stop):
            pretrain.pretrain(options(tmp_path, **changes), quiet=True)
        return looked_at(*seen[-1])

    return found


def looked_at(model, arguments, rest):
    train, valid = ([*rest[f"{name}_dataset"]] for name in ("train", "eval"))
    parts = {f"arguments.{name}": value for name, value in vars(arguments).items()}
    parts |= {f"config.{name}": value for name, value in vars(model.config).items()}
    parts |= {"class": type(model).__name__, "rows": len(train)}
    parts |= {"weights": row_hash({n: p.numpy() for n, p in model.named_parameters()})}
    parts |= {"train": row_hash([row["input_ids"] for row in train])}
    parts |= {"valid": row_hash([row["input_ids"] for row in valid])}
    if "data_collator" in rest:
        batch = rest["data_collator"](valid[:8])
        drawn = rest["transform"](batch, np.random.default_rng(0))
        parts |= {"words": row_hash(batch.words), "hidden": row_hash(batch["labels"] != -100)}
        parts |= {"redrawn": row_hash(drawn["labels"] != -100)}
    return parts


SEEDED = {"arguments.seed", "weights", "train", "valid"}
BATCH = {"arguments.per_device_train_batch_size", "arguments.per_device_eval_batch_size"}

CASES = [
    ("gpt", {"out": "other"}, {"arguments.output_dir"}),
    ("gpt", {"preset": "mini"}, {"config.n_layer", "weights"}),
    ("gpt", {"tokenizer": "characters"}, {"train", "valid"}),
    ("gpt", {"vocab_size": 400}, {"train", "valid", "config.vocab_size"}),
    ("gpt", {"block_size": 24}, {"train", "valid", "config.n_positions"}),
    ("gpt", {"batch_size": 3}, BATCH),
    ("gpt", {"steps": 30, "warmup": 1 / 30}, {"arguments.max_steps"}),
    ("gpt", {"learning_rate": 0.5}, {"arguments.learning_rate"}),
    ("gpt", {"warmup": 0.5}, {"arguments.warmup_steps"}),
    ("gpt", {"weight_decay": 0.5}, {"arguments.weight_decay"}),
    ("gpt", {"dropout": 0.5}, {f"config.{n}_pdrop" for n in ("resid", "embd", "attn")}),
    ("gpt", {"seed": 5}, SEEDED),
    ("gpt", {"valid_share": 0.4}, {"train", "valid"}),
    ("gpt", {"unit": "line"}, set()),  # here it is what the paragraph is
    ("gpt", {"unit": "file"}, {"train", "valid"}),
    ("gpt", {"save_steps": 5}, {"arguments.save_steps"}),
    ("gpt", {"eval_steps": 5}, {"arguments.eval_steps"}),
    ("gpt", {"gradient_checkpointing": True}, {"config.gradient_checkpointing"}),
    ("gpt", {"gradient_accumulation_steps": 3}, {"arguments.gradient_accumulation_steps"}),
    ("bert", {"whole_word": True}, {"words", "hidden", "redrawn"}),
    ("bert", {"next_sentence": False}, {"class", "weights", "train", "valid", "hidden", "rows"}),
    ("bert", {"mlm_probability": 0.5}, {"hidden", "redrawn"}),
    ("bert", {"seed": 5}, SEEDED | {"hidden"}),
    ("bert", {"dropout": 0.5}, {"config.hidden_dropout_prob"}),
]

NEXT_TO = {
    "preset": {"config.n_head", "config.n_embd", "config.n_inner", "config.num_hidden_layers"},
    "tokenizer": {"rows", *(f"config.{name}_token_id" for name in ("bos", "eos", "pad"))},
    "vocab_size": {"weights", "rows"},
    "block_size": {"weights", "rows"},
    "seed": {"config.vocab_size", "words", "redrawn", "rows"},
    "valid_share": {"config.vocab_size", "weights", "rows"},
    "unit": {"config.vocab_size", "weights", "rows"},
    "next_sentence": {"words", "redrawn"},
    "dropout": {"config.attention_probs_dropout_prob"},
}
"""What may change with an option too."""

ELSEWHERE = {"model", "data", "init", "resume", "device"}
"""Options that tests of whole runs hold."""


@pytest.mark.parametrize("kind, changes, told", CASES, ids=[f"{k} {c}" for k, c, _ in CASES])
def test_an_option_reaches_the_trainer(kind, changes, told, given, tmp_path):
    before = given(model=kind)
    changes = {k: tmp_path / v if k == "out" else v for k, v in changes.items()}
    after = given(model=kind, **changes)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert told <= changed
    allowed = set().union(*(NEXT_TO.get(name, set()) for name in changes))
    assert changed - told <= allowed


def test_every_option_is_changed():
    tried = {name for _, changes, _ in CASES for name in changes}
    assert tried | ELSEWHERE == {field.name for field in fields(pretrain.PretrainOptions)}


def test_what_no_option_changes(given):
    found = given(model="bert")
    assert found["arguments.lr_scheduler_type"] == "cosine"
    many = given(model="bert", steps=200, save_steps=None, eval_steps=None, warmup=0.101)
    steps = [many[f"arguments.{name}_steps"] for name in ("save", "eval", "warmup", "logging")]
    assert steps == [20, 20, 21, 2]


def test_pairs_are_made_in_five_rounds(given, tmp_path):
    found = given(model="bert")
    train, valid = pretrain.split_documents(pretrain.read_documents(tmp_path / "data.txt"), 0.2)
    tokenizer = make_tokenizer(options(tmp_path, model="bert"), train)
    for rounds, same in ((5, True), (1, False)):
        task = pretrain.MaskedTask(train, valid, tokenizer, 16, rounds=rounds)
        rows = row_hash([row["input_ids"] for row in task.train_dataset])
        assert (rows == found["train"]) is same


def test_the_seed_is_that_of_pairs_and_of_hidden_words(tmp_path):
    parted, tokenizer = parts(), wordpiece()
    tasks = [
        make_task(options(tmp_path, model="bert", seed=seed), parted, tokenizer, None)
        for seed in (0, 1)
    ]
    for name in ("train_dataset", "eval_dataset"):
        rows = [row_hash([row["input_ids"] for row in getattr(task, name)]) for task in tasks]
        assert rows[0] != rows[1]
    same = [tasks[0].eval_dataset[i] for i in range(8)]
    hidden = [task.data_collator(same)["labels"] != -100 for task in tasks]
    assert (hidden[0] != hidden[1]).any()


@pytest.mark.parametrize("kind, lower", [("bert", True), ("gpt", False)])
def test_a_bert_reads_small_letters_alone(kind, lower, tmp_path):
    settings = {"model": kind, "tokenizer": "wordpiece", "vocab_size": 99}
    tokenizer = make_tokenizer(options(tmp_path, **settings), documents(["Oak and oak."]))
    assert (tokenizer.encode("Oak") == tokenizer.encode("oak")) is lower


@pytest.mark.parametrize("kind", ["gpt", "bert"])
def test_the_tokenizer_is_learnt_from_the_training_documents_alone(kind, tmp_path):
    write_data(tmp_path)
    settings = {"tokenizer": "characters", "vocab_size": None, "steps": 1, "model": kind}
    whole = options(tmp_path, **settings)
    pretrain.pretrain(whole, quiet=True)
    everything = pretrain.read_documents(tmp_path / "data.txt")
    train, _ = pretrain.split_documents(everything, 0.2)
    saved = Tokenizer.from_pretrained(tmp_path / "out").get_vocab()
    assert saved == make_tokenizer(whole, train).get_vocab()
    assert saved != make_tokenizer(whole, everything).get_vocab()
    model = models.from_pretrained(tmp_path / "out")
    assert model.config.vocab_size == len(saved)
