"""CausalTask: which tokens are targets, and that model and counts are measured on the same ones."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from tests.pretrain.common import TEXTS, characters, documents, parts
from tinygrad_llm import manual_seed, tokenizers
from tinygrad_llm.pretrain import CausalTask
from tinygrad_llm.training import Trainer, TrainingArguments
from tinygrad_llm.training.baselines import WittenBell


def evaluated(task, rows=4, model=None):
    manual_seed(0)
    quiet = TrainingArguments(quiet=True, per_device_eval_batch_size=rows)
    model = model or task.new_model("tiny", n_layer=1, n_embd=16)
    return model, Trainer(model, quiet, **task.trainer_arguments()).evaluate()


def by_hand(task, model):
    """Mean nats and right answers, block by block, from the whole logits."""
    nats, right = [], 0
    for row in (task.eval_dataset[i] for i in range(len(task.eval_dataset))):
        ids, counts = row["input_ids"], row["labels"][1:] != -100
        scores = model.eval()(ids[None]).logits.numpy()[0, :-1].astype(float)[counts]
        truth = ids[1:][counts]
        scores -= scores.max(-1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
        nats += (-scores[np.arange(len(truth)), truth]).tolist()
        right += int((scores.argmax(-1) == truth).sum())
    return np.array(nats), right


@pytest.mark.parametrize("block", [2, 13, 64])
def test_an_evaluation_is_the_mean_over_all_targets(block):
    train, valid = parts()
    task = CausalTask(train, valid, characters(), block, orders=(1, 2))
    model, found = evaluated(task)
    nats, right = by_hand(task, model)
    assert task.targets == {"tokens": len(nats)} and found["eval_tokens"] == len(nats)
    assert found["eval_loss"] == pytest.approx(nats.mean(), rel=1e-5)
    assert found["eval_accuracy"] == pytest.approx(right / len(nats))
    assert task.derived(found)["eval_perplexity"] == pytest.approx(math.exp(found["eval_loss"]))


@pytest.mark.parametrize("rest", [0, 1, 2, 6])
def test_the_targets_are_the_held_out_text_but_the_first_of_each_block(rest):
    tokenizer = characters(["abcdefg"])
    text = "abcdefg" * 4 + "abcdefg"[:rest]
    task = CausalTask(documents(["abcdefg" * 3]), documents([text]), tokenizer, 7, orders=(1,))
    end = tokenizer.eos_token_id
    stream = [*tokenizer.encode(text), end]
    kept = [stream[i] for i in range(len(stream)) if i % 7]
    rows = [task.eval_dataset[i]["labels"][1:] for i in range(len(task.eval_dataset))]
    assert np.concatenate(rows)[np.concatenate(rows) != -100].tolist() == kept
    assert task.targets["tokens"] == len(kept)
    _, found = evaluated(task, rows=1)  # a block without a target would have no loss
    assert math.isfinite(found["eval_loss"])


def test_baselines_are_counted_on_the_training_text_and_measured_on_the_same_targets():
    train, valid = parts()
    tokenizer = characters([d.text for d in train])
    task = CausalTask(train, valid, tokenizer, 10, orders=(1, 2, 4))
    end = tokenizer.eos_token_id
    joined = [
        [id for d in part for id in [*tokenizer.encode(d.text), end]] for part in (train, valid)
    ]
    asked = [i for i in range(len(joined[1])) if i % 10]
    for order, name in ((1, "unigram"), (2, "bigram"), (4, "witten_bell_4")):
        model = WittenBell(order).fit(joined[0], len(tokenizer))
        expected = -np.mean([model.logprobs(joined[1])[i] for i in asked])
        assert task.baselines[name] == pytest.approx(expected)
    frequent = np.bincount(joined[0]).argmax()
    share = np.mean([joined[1][i] == frequent for i in asked])
    assert task.baselines["unigram_accuracy"] == pytest.approx(share)
    after = {}
    for left, right in pairwise(joined[0]):
        after.setdefault(left, []).append(right)
    guesses = [np.bincount(after.get(joined[1][i - 1], [frequent])).argmax() for i in asked]
    share = np.mean([joined[1][i] == guess for i, guess in zip(asked, guesses)])
    assert task.baselines["bigram_accuracy"] == pytest.approx(share)
    unknown = np.mean([joined[1][i] == tokenizer.unk_token_id for i in asked])
    assert task.baselines["unknown"] == pytest.approx(unknown) and unknown > 0
    _, found = evaluated(task)
    for name, value in task.baselines.items():
        assert found[f"eval_{name}"] == pytest.approx(value, rel=1e-12)


def test_a_model_that_knows_the_bigrams_reaches_the_baseline():
    """The model's loss and the counted one are on one scale: give it the table as logits."""
    train, valid = parts()
    tokenizer = characters()
    task = CausalTask(train, valid, tokenizer, 32, orders=(1, 2))
    counts = WittenBell(2).fit(task.train_dataset.tokens.astype(int), len(tokenizer))
    table = np.log([counts.probabilities([i]) for i in range(len(tokenizer))])
    nats = []
    for i in range(len(task.eval_dataset)):
        row = task.eval_dataset[i]
        pairs = zip(row["input_ids"], row["labels"][1:])
        nats += [-table[a, b] for a, b in pairs if b != -100]
    assert np.mean(nats) == pytest.approx(task.baselines["bigram"])


def test_nats_per_character_compare_tokenizers():
    train, valid = parts()
    by_character = CausalTask(train, valid, characters(), 32, orders=(1,))
    _, found = evaluated(by_character)
    assert found["eval_nats_per_character"] == pytest.approx(found["eval_loss"])
    special = ("<|endoftext|>",)
    bpe = tokenizers.ByteBPETokenizer.train(TEXTS, 400, special_tokens=special)
    task = CausalTask(train, valid, bpe, 32, orders=(1,))
    _, found = evaluated(task)
    characters_of = sum(len(d.text) + 1 for d in valid)
    tokens = sum(len(bpe.encode(d.text)) + 1 for d in valid)
    assert task.tokens_per_character == pytest.approx(tokens / characters_of)
    expected = found["eval_loss"] * tokens / characters_of
    assert found["eval_nats_per_character"] == pytest.approx(expected)


def test_a_new_model_is_for_this_tokenizer():
    tokenizer = characters()
    config = CausalTask(*parts(), tokenizer, 24).new_model("tiny", n_layer=1, resid_pdrop=0).config
    assert (config.vocab_size, config.n_positions) == (len(tokenizer), 24)
    assert (config.n_layer, config.resid_pdrop, config.n_embd) == (1, 0, 128)
    assert config.eos_token_id == config.bos_token_id == tokenizer.eos_token_id
    assert config.pad_token_id == tokenizer.pad_token_id


def test_what_cannot_be_a_task_is_refused():
    train, valid = parts()
    with pytest.raises(ValueError, match="no eos_token"):
        CausalTask(train, valid, tokenizers.CharTokenizer.train(TEXTS))
    with pytest.raises(ValueError, match="valid has no tokens"):
        CausalTask(train, [], characters())
    with pytest.raises(ValueError, match="fewer than a block"):
        CausalTask(documents(["短。"]), valid, characters())
