"""Tests of masking in a run: other places each epoch, the same again, and after an interruption."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.data.pretraining.common import CLS, SEP, lists, tokenizer
from tinygrad_llm import manual_seed, nn
from tinygrad_llm.backend import random
from tinygrad_llm.data import DataLoader, ListDataset
from tinygrad_llm.data.pretraining import MaskedLanguageCollator, NextSentencePairs
from tinygrad_llm.training import Trainer, TrainingArguments


@pytest.fixture(autouse=True)
def own_streams(monkeypatch):
    """The seeds of these tests are nobody else's."""
    monkeypatch.setattr(random, "_streams", {})
    monkeypatch.setattr(random, "_seed", 0)


def dataset(rows=30, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 20, rows)
    return ListDataset(
        {"input_ids": [CLS, *rng.integers(5, 100, n).tolist(), SEP]} for n in lengths
    )


def loader(**settings):
    masking = MaskedLanguageCollator(tokenizer(), 0.3)
    settings = {"shuffle": True, "transform": masking.redraw, **settings}
    return DataLoader(dataset(), 4, collate_fn=masking, **settings)


def epochs(loader, count):
    return [[lists(batch) for batch in loader] for _ in range(count)]


def places(batches):
    """For each row of an epoch, by its true ids, which places are asked for."""
    found = {}
    for batch in batches:
        for shown, labels, mask in zip(
            *(batch[n] for n in ("input_ids", "labels", "attention_mask"))
        ):
            truth = [s if t == -100 else t for s, t, m in zip(shown, labels, mask) if m]
            found[tuple(truth)] = [t != -100 for t, m in zip(labels, mask) if m]
    return found


def test_each_epoch_hides_other_places_and_the_seed_fixes_them():
    manual_seed(5)
    first, second = epochs(loader(), 2)
    one, other = places(first), places(second)
    assert one.keys() == other.keys() and len(one) == 30
    assert sum(one[row] == other[row] for row in one) < 5
    for prefetch in (0, 2):
        manual_seed(5)
        assert epochs(loader(prefetch=prefetch), 2) == [first, second]
    manual_seed(6)
    assert epochs(loader(), 1)[0] != first


def test_without_transform_a_row_is_hidden_in_one_way_for_the_whole_run():
    first, second = epochs(loader(transform=None), 2)
    assert first != second and places(first) == places(second)


@pytest.mark.parametrize("stop", [0, 3, 8, 11])
def test_a_run_goes_on_after_an_interruption_with_the_same_places(stop):
    manual_seed(1)
    whole = [batch for batches in epochs(loader(), 2) for batch in batches]
    manual_seed(1)
    first, got = loader(prefetch=3), []
    while len(got) < stop:
        for batch in first:
            got.append(lists(batch))
            if len(got) == stop:
                break
    state = json.loads(json.dumps(first.state_dict()))
    random._streams.clear()
    manual_seed(1)
    other = loader()
    other.load_state_dict(state)
    while len(got) < len(whole):
        got += [lists(batch) for batch in other]
    assert got == whole


class Unigram(nn.Module):
    """Scores of the token at each place, from the token that is shown there."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(100, 8)
        self.head = nn.Linear(8, 100)

    def forward(self, input_ids, attention_mask=None):
        return self.head(self.embedding(input_ids))


def trainer(folder=None, steps=12, **settings):
    masking = MaskedLanguageCollator(tokenizer(), 0.3)
    manual_seed(9)
    args = TrainingArguments(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=4,
        learning_rate=0.01,
        save_strategy="steps" if folder else "no",
        save_steps=5 if folder else None,
        quiet=True,
        **settings,
    )
    return Trainer(
        Unigram(),
        args,
        dataset(),
        dataset(20, seed=1),
        data_collator=masking,
        transform=masking.redraw,
    )


def test_a_trainer_takes_it_and_its_evaluation_does_not_waver():
    run = trainer()
    before = run.evaluate()
    assert run.evaluate() == before and "eval_accuracy" in before
    run.train()
    after = run.evaluate()
    assert run.evaluate() == after and after["eval_loss"] < before["eval_loss"]


def test_a_trainer_goes_on_with_the_same_bits(tmp_path):
    whole = trainer()
    whole.train()
    part = trainer(str(tmp_path / "run"), steps=12)
    part.callbacks.append(StopAfter(7))
    with pytest.raises(KeyboardInterrupt):
        part.train()
    rest = trainer(str(tmp_path / "run"), steps=12)
    rest.train(resume_from_checkpoint=True)
    ours, theirs = rest.model.state_dict(), whole.model.state_dict()
    assert all(ours[name].numpy().tobytes() == theirs[name].numpy().tobytes() for name in ours)


class StopAfter:
    """A callback that ends the run as Ctrl-C would, with nothing saved at that step."""

    def __init__(self, step):
        self.step = step

    def __getattr__(self, name):
        return lambda *_: None

    def state_dict(self):
        return {}

    def on_step_end(self, trainer):
        if trainer.state.step == self.step:
            raise KeyboardInterrupt


def test_pairs_and_masks_make_one_batch_for_both_losses():
    documents = [[[10 * d + s] * 4 for s in range(6)] for d in range(1, 8)]
    pairs = NextSentencePairs(documents, CLS, SEP, max_length=24)
    masking = MaskedLanguageCollator(tokenizer(), 0.3)
    for batch in DataLoader(pairs, 4, True, collate_fn=masking, transform=masking.redraw):
        assert set(batch) == {
            "input_ids",
            "attention_mask",
            "token_type_ids",
            "labels",
            "next_sentence_label",
        }
        assert batch["next_sentence_label"].shape == (len(batch["input_ids"]),)
        assert (batch["labels"] != -100).any()
        assert not np.isin(batch["labels"], [CLS, SEP]).any()
