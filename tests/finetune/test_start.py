"""What a fine-tuning starts from: which weights are taken, which are drawn, and the tokenizer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.finetune.run_common import (
    SIZES,
    TOKENIZER,
    data_of,
    options,
    save_model,
    write_numbers,
    write_pairs,
    write_rows,
)
from tinygrad_llm import manual_seed, models, nn, tokenizers
from tinygrad_llm.finetune.start import start, with_head
from tinygrad_llm.tokenizers import Template

NAMES = {0: "law", 1: "music", 2: "体育"}

KINDS = {"BertForPreTraining": True, "BertForMaskedLM": False, "BertModel": True}
"""Classes of models, and whether they have a pooler."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    write_rows(folder)
    write_numbers(folder)
    write_pairs(folder)
    for kind in KINDS:
        save_model(folder / kind, kind)
    return folder


def begun(home, **changes):
    chosen = options(home, **changes)
    manual_seed(chosen.seed or 0)
    return start(chosen, data_of(chosen))


def arrays(module):
    return {name: value.numpy() for name, value in module.state_dict().items()}


def alike(a, b, names):
    return all(a[name].tobytes() == b[name].tobytes() for name in names)


@pytest.mark.parametrize("kind", KINDS)
def test_the_body_has_the_bits_of_the_folder_and_no_more(kind, home):
    """Without a pooler, the mean of the states is read."""
    found = begun(home, model=home / kind)
    source = models.from_pretrained(home / kind)
    before = arrays(source if kind == "BertModel" else source.bert)
    own = arrays(found.model.bert)
    assert own.keys() == before.keys() and alike(own, before, before)
    assert ("pooler.dense.weight" in own) == KINDS[kind]
    assert found.model.config.classifier_pooling == ("cls" if KINDS[kind] else "mean")
    assert type(found.model) is models.BertForSequenceClassification
    assert found.tokenizer.get_vocab() == TOKENIZER.get_vocab()


def test_the_configuration_is_that_of_the_folder_with_the_labels(home):
    before = models.BertConfig(**SIZES)
    expected = dataclasses.replace(
        before, num_labels=3, id2label=NAMES, problem_type="single_label_classification"
    )
    assert begun(home, model=home / "BertModel").model.config == expected
    numbers = begun(home, model=home / "BertModel", train=home / "numbers.tsv", task="regression")
    expected = dataclasses.replace(before, num_labels=1, problem_type="regression")
    assert numbers.model.config == expected


def test_dropout_is_everywhere_or_as_it_was(home, tmp_path):
    usual = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2}
    save_model(tmp_path / "a", classifier_dropout=0.4, **usual)
    names = (*usual, "classifier_dropout")
    kept = begun(home, model=tmp_path / "a").model.config
    assert [getattr(kept, name) for name in names] == [0.3, 0.2, 0.4]
    given = begun(home, model=tmp_path / "a", dropout=0)
    assert [getattr(given.model.config, name) for name in names] == [0.0, 0.0, None]
    assert given.model.dropout.p == 0.0


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"id2label": NAMES, "problem_type": "single_label_classification"}, True),
        ({"id2label": NAMES}, True),
        ({"id2label": NAMES, "problem_type": "multi_label_classification"}, False),
        ({"id2label": dict(enumerate(["music", "law", "体育"]))}, False),
        ({"id2label": dict(enumerate(["law", "music", "sports"]))}, False),
        ({}, False),
        ({"num_labels": 4}, False),
    ],
    ids=["same", "same, of no problem", "several labels", "order", "names", "no names", "more"],
)
def test_a_classifier_of_the_same_labels_is_kept(changes, kept, home, tmp_path):
    changes = {"num_labels": 3, **changes}
    source = save_model(tmp_path / "a", "BertForSequenceClassification", seed=9, **changes)
    found = begun(home, model=tmp_path / "a")
    own, before = arrays(found.model.classifier), arrays(source.classifier)
    assert (own["weight"].shape == before["weight"].shape and alike(own, before, own)) == kept
    assert len(own["bias"]) == 3


@pytest.mark.parametrize("problem", [None, "regression"])
def test_a_classifier_of_a_number_is_kept(problem, home, tmp_path):
    kind, changes = "BertForSequenceClassification", {"num_labels": 1, "problem_type": problem}
    source = save_model(tmp_path / "a", kind, seed=9, **changes)
    chosen = {"model": tmp_path / "a", "train": home / "numbers.tsv", "task": "regression"}
    found = begun(home, **chosen)
    assert alike(arrays(found.model.classifier), arrays(source.classifier), ["weight", "bias"])


def test_a_classifier_of_several_numbers_is_not_kept(home, tmp_path):
    changes = {"num_labels": 3, "problem_type": "regression"}
    save_model(tmp_path / "a", "BertForSequenceClassification", **changes)
    chosen = {"model": tmp_path / "a", "train": home / "numbers.tsv", "task": "regression"}
    assert begun(home, **chosen).model.classifier.weight.shape == (16, 1)


def test_a_classifier_without_a_pooler_needs_none(home, tmp_path):
    kind, changes = "BertForSequenceClassification", {"classifier_pooling": "mean"}
    save_model(tmp_path / "a", kind, **changes)
    found = begun(home, model=tmp_path / "a")
    assert found.model.bert.pooler is None
    assert found.model.config.classifier_pooling == "mean"


@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertModel"])
def test_what_is_drawn_hangs_on_the_seed(kind, home):
    first, same, other = (begun(home, model=home / kind, seed=s).model for s in (3, 3, 4))
    assert alike(arrays(first), arrays(same), arrays(first))
    weights = [each.classifier.weight.numpy() for each in (first, other)]
    assert not np.array_equal(*weights) and np.abs(weights[0]).max() > 0


def test_texts_are_as_long_as_is_said_or_as_the_model_can(home, tmp_path):
    assert begun(home, model=home / "BertModel").max_length == 24
    assert begun(home, model=home / "BertModel", max_length=9).max_length == 9
    save_model(tmp_path / "a", max_position_embeddings=140)
    assert begun(home, model=tmp_path / "a").max_length == 128
    assert begun(home, model=tmp_path / "a", max_length=140).max_length == 140
    with pytest.raises(ValueError) as caught:
        begun(home, model=tmp_path / "a", max_length=141)
    assert str(caught.value).endswith(f"than the 140 places of {tmp_path / 'a'}; give 140 or less")


def test_a_new_model_has_a_tokenizer_of_its_rows(home):
    found = begun(home, model="tiny", vocab_size=95, max_length=20)
    assert found.max_length == 20
    tokenizer, config = found.tokenizer, found.model.config
    assert len(tokenizer) == config.vocab_size <= 95
    assert config.max_position_embeddings == 20 and config.pad_token_id == tokenizer.pad_token_id
    assert config.id2label == NAMES and config.hidden_size == 128
    known = tokenizer.tokenize("The COURT")
    assert tokenizer.unk_token not in known and len(known) < 6  # learnt, in small letters
    again = begun(home, model="tiny", vocab_size=95, max_length=20)
    assert again.tokenizer.get_vocab() == tokenizer.get_vocab()
    assert alike(arrays(again.model), arrays(found.model), arrays(found.model))


@pytest.mark.parametrize("preset", ["tiny", "mini"])
def test_a_new_model_reads_the_mean_and_begins_as_loud_as_base(preset, home):
    """Sums over D of its weights vary as in BERT-base; its positions begin as sinusoids, whose
    amplitude is twice the deviation of the words."""
    found = begun(home, model=preset, tokenizer=home / "BertModel", max_length=20).model
    width, body = found.config.hidden_size, found.bert
    assert found.config.classifier_pooling == "mean" and body.pooler is None
    deviation = {"tiny": 0.048990, "mini": 0.034641}[preset]  # 0.02·√6 and 0.02·√3
    assert found.config.initializer_range == pytest.approx(deviation, rel=1e-4)
    for weight in (body.encoder.layers[0].attention.query.weight, body.embeddings.words.weight):
        most = np.abs(weight.numpy()).max()  # they are cut off at two deviations
        assert most == pytest.approx(2 * deviation, rel=0.01)
    expected = 2 * deviation * nn.sinusoidal(np.arange(20), width, 100.0)
    positions = body.embeddings.positions.weight.numpy()
    np.testing.assert_allclose(positions, expected, rtol=0, atol=1e-5)


def test_a_new_model_as_wide_as_base_has_its_deviation(home):
    with nn.no_storage():
        found = begun(home, model="base", tokenizer=home / "BertModel").model
    assert found.config.initializer_range == 0.02


def test_a_new_tokenizer_learns_of_the_rows_to_learn_from_alone(home):
    chosen = options(home, model="tiny", vocab_size=500)
    data = data_of(chosen)
    strange = data.test._replace(texts=["qqqqqqq zzzzzzz"] * len(data.test.texts))
    both = [start(chosen, each).tokenizer for each in (data, data._replace(test=strange))]
    assert both[0].get_vocab() == both[1].get_vocab()
    seconds = data.train._replace(seconds=["qqqqqqq"] * len(data.train.texts))
    paired = start(chosen, data._replace(train=seconds)).tokenizer
    assert "qqqqqqq" in paired.get_vocab() and "qqqqqqq" not in both[0].get_vocab()
    ids = paired("court", "qqqqqqq")
    assert ids["token_type_ids"][-1] == 1 and ids["input_ids"][0] == paired.cls_token_id


def test_a_new_model_may_have_the_tokenizer_of_a_folder(home):
    found = begun(home, model="mini", tokenizer=home / "BertModel", dropout=0.25)
    assert found.tokenizer.get_vocab() == TOKENIZER.get_vocab() and found.max_length == 128
    assert found.model.config.vocab_size == len(TOKENIZER)
    assert found.model.config.hidden_size == 256
    assert found.model.config.attention_probs_dropout_prob == 0.25


def test_a_new_model_knows_the_padding_of_its_tokenizer(home, tmp_path):
    """Its row in the embedding begins as 0, wherever it is."""
    special = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
    train = tokenizers.WordPieceTokenizer.train
    train(["the court"], 60, special_tokens=special).save_pretrained(tmp_path / "late")
    found = begun(home, model="tiny", tokenizer=tmp_path / "late")
    assert found.model.config.pad_token_id == found.tokenizer.pad_token_id == 3
    words = found.model.bert.embeddings.words.weight.numpy()
    assert np.flatnonzero((words == 0).all(axis=1)).tolist() == [3]


def test_types_of_tokens_of_a_new_model(home, tmp_path):
    """A tokenizer of a folder may tell more apart than a new model does."""
    template = Template(("[CLS]", "$A", "[SEP]"), ("[CLS]:2", "$A", "[SEP]", "$B:1", "[SEP]:1"))
    tokenizer = TOKENIZER.from_pretrained(home / "BertModel", template=template)
    tokenizer.save_pretrained(tmp_path / "three")
    chosen = {"model": "tiny", "tokenizer": tmp_path / "three"}
    begun(home, **chosen)
    with pytest.raises(ValueError, match="three: its tokenizer tells 3 types of tokens apart and"):
        begun(home, train=home / "pairs.jsonl", **chosen)


def test_with_head_leaves_its_source_as_it_is(home):
    source = models.from_pretrained(home / "BertForPreTraining")
    before = {name: value.copy() for name, value in arrays(source).items()}
    model = with_head(source, num_labels=2)
    assert model.config.num_labels == 2 and source.config.num_labels == 2
    model.bert.pooler.dense.weight.data[...] = 7
    assert alike(arrays(source), before, before)
