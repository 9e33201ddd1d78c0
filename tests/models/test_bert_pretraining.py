"""Tests of BERT's two tasks: who gets a gradient, what is counted, tying, labels of one kind."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.engine.common import same_bits
from tests.models.common import WORDS, bert, close, ids
from tests.models.pairs import FOLLOWS, HIDDEN, LABELS, TYPES, pretrained
from tinygrad_llm import Tensor, grad, manual_seed, models, optim
from tinygrad_llm import functional as F
from tinygrad_llm.models.bert_heads import MaskedLanguageHead
from tinygrad_llm.training import Trainer, TrainingArguments


def states_of(model) -> list[Tensor]:
    """A list that takes what the encoder gives, as a leaf of which gradients may be asked."""
    found: list[Tensor] = []

    def hook(_, __, y):
        found.append(Tensor(y.data, requires_grad=True))
        return found[-1]

    model.bert.encoder.register_forward_hook(hook)
    return found


@pytest.mark.parametrize("kind", ["BertForPreTraining", "BertForMaskedLM"])
def test_words_that_are_not_hidden_get_no_gradient_from_the_task(kind):
    model = bert(kind)
    states = states_of(model)
    output = model(ids(3, 6), labels=LABELS)
    g = grad(output.loss, states[0]).data
    assert (g[~HIDDEN] == 0.0).all() and (np.abs(g[HIDDEN]).max(axis=-1) > 0).all()
    assert output.targets == 3


def test_the_transform_sees_the_hidden_words_alone():
    model, seen = bert(), []
    model.predictions.dense.register_forward_hook(lambda _, x, __: seen.append(x[0].shape))
    output = pretrained(model, ids(3, 6))
    output.loss.backward()
    assert seen == [(3, 8)]
    assert output.logits.shape == (3, 6, WORDS) and output.logits is output.logits
    assert seen == [(3, 8), (3, 6, 8)]


def test_the_loss_of_hidden_words_is_the_cross_entropy_of_the_logits():
    output = pretrained(bert(), ids(3, 6))
    scores = output.logits.reshape(-1, WORDS)
    close(output.mlm_loss, F.cross_entropy(scores, LABELS.reshape(-1)), 1e-13)
    close(output.nsp_loss, F.cross_entropy(output.seq_relationship_logits, FOLLOWS), 1e-13)


def test_both_classes_of_pairs_get_a_gradient():
    model, words = bert(), ids(3, 6)
    weight = model.seq_relationship.weight
    g = {f: grad(model(words, next_sentence_label=[f] * 3).loss, weight).data for f in (0, 1)}
    for each in g.values():
        assert (np.abs(each).max(axis=0) > 1e-4).all()
    assert not np.allclose(g[0], g[1])
    both = pretrained(model, words)
    bias = grad(both.loss, model.seq_relationship.bias).data
    assert (np.abs(bias) > 1e-4).all()
    first = grad(pretrained(model, words, next_sentence_label=1 - FOLLOWS).loss, weight).data
    assert not np.allclose(first, grad(pretrained(model, words).loss, weight).data)


def test_a_pair_that_does_not_count_gets_no_gradient():
    model = bert()
    states = states_of(model)
    output = model(ids(3, 6), next_sentence_label=[0, -100, 1])
    g = grad(output.loss, states[0]).data
    assert (g[1] == 0.0).all() and (g[:, 1:] == 0.0).all()  # the pooler reads the first token
    assert np.abs(g[[0, 2], 0]).max() > 0 and output.targets == output.nsp_targets == 2


def test_the_row_of_padding_gets_no_gradient_as_an_input_but_as_a_word_that_is_guessed():
    model, words = bert(), ids(3, 6)
    words[0, 2] = 0
    weight = model.bert.embeddings.words.weight
    pooled = grad(model(words, next_sentence_label=FOLLOWS).loss, weight).data
    assert not pooled[0].any() and pooled[words[0, 1]].any()
    assert grad(model(words, labels=LABELS).loss, weight).data[0].any()
    free = bert(pad_token_id=None)
    g = grad(free(words, next_sentence_label=FOLLOWS).loss, free.bert.embeddings.words.weight)
    assert g.data[0].any()


def test_the_losses_add_up_and_one_kind_of_labels_is_enough():
    model, words = bert(), ids(3, 6)
    both = pretrained(model, words)
    assert same_bits(both.loss, both.mlm_loss + both.nsp_loss)
    assert (both.targets, both.nsp_targets) == (3, 3)
    hidden = pretrained(model, words, next_sentence_label=None)
    assert same_bits(hidden.loss, both.mlm_loss) and hidden.nsp_loss is None
    pairs = pretrained(model, words, labels=None)
    assert same_bits(pairs.loss, both.nsp_loss) and pairs.mlm_loss is None
    assert hidden.targets == pairs.targets == 3 and hidden.nsp_targets is None
    assert model(words).loss is None is model(words).targets
    nothing = model(words, labels=np.full((3, 6), -100), next_sentence_label=[-100] * 3)
    assert nothing.loss.item() == 0.0 and (nothing.targets, nothing.nsp_targets) == (0, 0)
    assert all(not g.data.any() for g in grad(nothing.loss, list(model.parameters())))


def test_parts_of_a_batch_weighted_by_their_own_targets_are_the_batch():
    model, words = bert(), ids(3, 6)
    parameters, whole = list(model.parameters()), pretrained(model, words)
    total = 0.0
    for rows in ([0], [1, 2]):
        how = {"token_type_ids": TYPES[rows], "labels": LABELS[rows]}
        part = model(words[rows], next_sentence_label=FOLLOWS[rows], **how)
        total = total + part.mlm_loss * (part.targets / 3) + part.nsp_loss * (part.nsp_targets / 3)
    close(total, whole.loss, 1e-12)
    for a, b in zip(grad(total, parameters), grad(whole.loss, parameters)):
        close(a, b, 1e-12)


def test_the_gradient_of_the_shared_matrix_is_the_sum_of_both_uses():
    model, words = bert("BertForMaskedLM"), ids(3, 6)
    embeddings = model.bert.embeddings
    both = grad(model(words, labels=LABELS).loss, embeddings.words.weight)
    read, written = (Tensor(embeddings.words.weight.data, requires_grad=True) for _ in range(2))
    embeddings.words.register_forward_hook(lambda *_: F.embedding(words, read, 0))
    x = model.bert(words).last_hidden_state
    parts = grad(model.predictions.loss(x, written, LABELS)[0], [read, written])
    close(both, parts[0] + parts[1], 1e-12)
    assert all(np.abs(part.data).max() > 1e-3 for part in parts)


def test_it_learns_words_and_pairs_by_heart():
    manual_seed(0)
    config = bert().config
    model, words = models.BertForPreTraining(config).eval(), ids(3, 6)
    optimizer = optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(80):
        optimizer.zero_grad()
        output = pretrained(model, words)
        output.loss.backward()
        optimizer.step()
    assert output.mlm_loss.item() < 0.05 and output.nsp_loss.item() < 0.05


def test_the_trainer_takes_both_labels_and_never_computes_the_logits(monkeypatch):
    model, words = bert(), ids(6, 6)
    monkeypatch.setattr(MaskedLanguageHead, "forward", lambda *_: pytest.fail("logits"))
    rows = [
        {"input_ids": row, "labels": LABELS[i % 3], "next_sentence_label": FOLLOWS[i % 3]}
        for i, row in enumerate(words)
    ]
    how = {"max_steps": 2, "per_device_train_batch_size": 3, "quiet": True}
    trainer = Trainer(model, TrainingArguments(**how), rows, rows)
    trainer.train()
    assert math.isfinite(trainer.evaluate()["eval_loss"])
