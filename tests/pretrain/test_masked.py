"""MaskedTask: hidden words and pairs, measured beside counts on the same targets."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from tests.pretrain.common import TEXTS, characters, documents, parts, wordpiece
from tinygrad_llm import manual_seed, models
from tinygrad_llm.data import corpora
from tinygrad_llm.pretrain import MaskedTask
from tinygrad_llm.pretrain.rows import encode
from tinygrad_llm.tokenizers.words import Segmenter
from tinygrad_llm.training import Trainer, TrainingArguments

SMALL = {"num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 16}


def task(**options):
    return MaskedTask(*parts(), wordpiece(), **{"max_length": 32, "rounds": 2, **options})


def evaluated(task, rows):
    manual_seed(0)
    quiet = TrainingArguments(quiet=True, per_device_eval_batch_size=rows)
    model = task.new_model("tiny", **SMALL)
    return model, Trainer(model, quiet, **task.trainer_arguments()).evaluate()


def each_row(task):
    """The rows of an evaluation, one by one."""
    return [task.data_collator([task.eval_dataset[i]]) for i in range(len(task.eval_dataset))]


@pytest.mark.parametrize("next_sentence", [True, False])
def test_an_evaluation_is_the_mean_over_all_targets(next_sentence):
    this = task(next_sentence=next_sentence)
    model, found = evaluated(this, 5)
    rows = this.data_collator([this.eval_dataset[i] for i in range(len(this.eval_dataset))])
    labels = rows.pop("labels")
    said = rows.pop("next_sentence_label", None)
    answer = model.eval()(**rows)
    scores = answer.logits.numpy().astype(float)[labels != -100]
    truth = labels[labels != -100]
    scores -= scores.max(-1, keepdims=True)
    nats = np.log(np.exp(scores).sum(-1)) - scores[np.arange(len(truth)), truth]
    right = (scores.argmax(-1) == truth).mean()
    assert found["eval_mlm_loss"] == pytest.approx(nats.mean(), rel=1e-5)
    assert found["eval_mlm_accuracy"] == pytest.approx(right)
    assert found["eval_mlm_targets"] == this.targets["mlm"] == len(truth)
    if next_sentence:
        pairs = answer.seq_relationship_logits.numpy().argmax(-1) == said
        assert found["eval_nsp_accuracy"] == pytest.approx(pairs.mean())
        assert found["eval_nsp_targets"] == this.targets["nsp"] == len(said)
        total = found["eval_mlm_loss"] + found["eval_nsp_loss"]
        assert found["eval_loss"] == pytest.approx(total, rel=0.01)
        assert found["eval_half_loss"] == pytest.approx(math.log(2))
    else:
        assert "eval_nsp_loss" not in found and "half" not in this.baselines
        assert isinstance(model, models.BertForMaskedLM)


def test_the_same_targets_whatever_the_batches():
    this = task()
    found = [evaluated(this, rows)[1] for rows in (3, 64)]
    for name in found[0]:
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-5), name
    for name, value in this.baselines.items():
        assert found[0][f"eval_{name}"] == pytest.approx(value), name


def test_baselines_are_learnt_from_the_training_text_alone():
    this = task()
    special = set(this.tokenizer.all_special_ids)
    rows = [this.train_dataset[i]["input_ids"].tolist() for i in range(len(this.train_dataset))]
    ids = [id for row in rows for id in row if id not in special]
    counts = np.bincount(ids, minlength=len(this.tokenizer))
    truth = np.concatenate([b["labels"][b["labels"] != -100] for b in each_row(this)])
    assert this.baselines["unigram_accuracy"] == np.mean(truth == counts.argmax())
    kinds = (counts > 0).sum()
    p = (counts[truth] + kinds / len(counts)) / (counts.sum() + kinds)  # Witten and Bell's rule
    assert this.baselines["unigram_loss"] == pytest.approx(-np.log(p).mean())
    guesses = {}
    for row in rows:
        for a, b in pairwise(row):
            if b not in special:
                guesses.setdefault(a, []).append(b)
    right = 0
    for batch in each_row(this):
        shown, labels = batch["input_ids"][0], batch["labels"][0]
        for place in np.flatnonzero(labels != -100):
            after = guesses.get(shown[place - 1], ids)
            right += np.bincount(after).argmax() == labels[place]
    assert this.baselines["left_neighbour_accuracy"] == pytest.approx(right / len(truth))


def test_the_overlap_of_words_is_measured_on_pairs_with_nothing_hidden():
    this = task()
    rows = [this.eval_dataset[i] for i in range(len(this.eval_dataset))]
    expected = this._overlap.accuracy(rows)
    assert this.baselines["word_overlap"] == pytest.approx(expected)
    assert this.baselines["half"] == 0.5
    assert abs(np.mean(this.eval_dataset.labels) - 0.5) <= 0.5 / len(rows)


def test_training_hides_other_words_each_time_and_evaluation_the_same():
    this = task()
    rows = [this.train_dataset[i] for i in range(8)]
    batch = this.data_collator(rows)
    again = this.data_collator(rows)
    assert (batch["labels"] == again["labels"]).all()
    drawn = [this.transform(batch, np.random.default_rng(i))["labels"] for i in range(2)]
    assert (drawn[0] != drawn[1]).any()
    assert this.trainer_arguments()["transform"] == this.data_collator.redraw


@pytest.mark.parametrize("next_sentence", [True, False])
def test_whole_chinese_words_are_hidden_together(next_sentence):
    this = task(whole_word=True, next_sentence=next_sentence, mlm_probability=0.3)
    segmenter = Segmenter(corpora.words())
    long = 0
    for batch in each_row(this):
        ids, labels = batch.unmasked[0], batch["labels"][0]
        words = batch.words[0]
        for word in np.unique(words[words >= 0]):
            hidden = labels[words == word] != -100
            assert hidden.all() or not hidden.any()
            text = "".join(this.tokenizer.convert_ids_to_tokens(ids[words == word].tolist()))
            long += len(text) > 1 and text in segmenter.counts
    assert long > 20


def test_words_do_not_go_on_in_the_next_sentence():
    found = encode(documents(["是。是。体育很好。"]), characters(), whole_word=True)
    (numbers,) = found.words
    flat = [word for sentence in numbers for word in sentence]
    assert flat == [0, 1, 2, 3, 4, 4, 5, 6, 7]
    assert [list(map(len, d)) for d in found.words] == [list(map(len, d)) for d in found.ids]


def test_single_texts_hold_every_token_once_and_fill_their_rows():
    this = task(next_sentence=False, max_length=16)
    train, _ = parts()
    encoded = encode(train, this.tokenizer, False)
    rows = [this.train_dataset[i]["input_ids"] for i in range(len(this.train_dataset))]
    inside = np.concatenate([row[1:-1] for row in rows])
    flat = [id for document in encoded.ids for sentence in document for id in sentence]
    assert inside.tolist() == flat
    assert max(map(len, rows)) == 16 and min(map(len, rows)) > 2
    cls, sep = this.tokenizer.cls_token_id, this.tokenizer.sep_token_id
    assert all(row[0] == cls and row[-1] == sep for row in rows)


def test_a_new_model_is_for_this_task():
    this = task()
    model = this.new_model("tiny", hidden_dropout_prob=0.2)
    assert isinstance(model, models.BertForPreTraining)
    config = model.config
    assert (config.vocab_size, config.max_position_embeddings) == (len(this.tokenizer), 32)
    assert (config.pad_token_id, config.hidden_dropout_prob) == (this.tokenizer.pad_token_id, 0.2)


def test_what_cannot_be_a_task_is_refused():
    train, valid = parts()
    with pytest.raises(ValueError, match="no mask_token"):
        MaskedTask(train, valid, characters())
    with pytest.raises(ValueError, match="valid has 1 documents with two sentences"):
        MaskedTask(train, valid[:1], wordpiece())
    with pytest.raises(ValueError, match="train has no tokens"):
        MaskedTask([], valid, wordpiece(), next_sentence=False)
    MaskedTask(train, documents(TEXTS[:1]), wordpiece(), next_sentence=False)
