"""MaskedTask: hidden words and pairs, measured beside counts on the same targets."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from tests.pretrain.common import TEXTS, characters, documents, parts, wordpiece
from tinygrad_llm import manual_seed, models, nn
from tinygrad_llm.data import corpora
from tinygrad_llm.pretrain import MaskedTask, sentences
from tinygrad_llm.pretrain.rows import Encoded, PairsAndTexts, Specials, cut_words, encode
from tinygrad_llm.tokenizers import ByteBPETokenizer, WordPieceTokenizer
from tinygrad_llm.tokenizers.wordpiece import SPECIAL_TOKENS
from tinygrad_llm.tokenizers.words import Segmenter
from tinygrad_llm.training import Trainer, TrainingArguments
from tinygrad_llm.training.baselines import WordOverlap

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


def test_baselines_are_learnt_from_the_documents_of_the_training_text():
    this = task()
    special = set(this.tokenizer.all_special_ids)
    encoded = encode(parts()[0], this.tokenizer, False).ids
    texts = [[id for sentence in document for id in sentence] for document in encoded]
    ids = [id for text in texts for id in text if id not in special]
    counts = np.bincount(ids, minlength=len(this.tokenizer))
    truth = np.concatenate([b["labels"][b["labels"] != -100] for b in each_row(this)])
    assert this.baselines["unigram_accuracy"] == np.mean(truth == counts.argmax())
    kinds = (counts > 0).sum()
    p = (counts[truth] + kinds / len(counts)) / (counts.sum() + kinds)  # Witten and Bell's rule
    assert this.baselines["unigram_loss"] == pytest.approx(-np.log(p).mean())
    firsts = [sentence[0] for document in encoded for sentence in document]
    begun = [[mark, first] for mark in beside(this) for first in firsts]
    guesses = {}
    for text in [*texts, *begun]:
        for a, b in pairwise(text):
            if b not in special:
                guesses.setdefault(a, []).append(b)
    right = 0
    for batch in each_row(this):
        shown, labels = batch["input_ids"][0], batch["labels"][0]
        for place in np.flatnonzero(labels != -100):
            after = guesses.get(shown[place - 1], ids)
            right += np.bincount(after).argmax() == labels[place]
    assert this.baselines["left_neighbour_accuracy"] == pytest.approx(right / len(truth))
    begins = this._neighbour.guess(np.array([[mark, 5] for mark in beside(this)]))[:, 1]
    assert begins.tolist() == [np.bincount(firsts).argmax()] * 2 != [counts.argmax()] * 2


def beside(task):
    """The tokens after which a text begins in a row."""
    return task.tokenizer.cls_token_id, task.tokenizer.sep_token_id


def test_the_overlap_of_words_is_learnt_in_training_and_measured_with_nothing_hidden():
    texts = corpora.paragraphs()[:120]
    this = MaskedTask(*parts(texts), wordpiece(texts), 24, mlm_probability=0.9, rounds=2)
    special = this.tokenizer.all_special_ids
    train, valid = ([*each] for each in (this.train_dataset, this.eval_dataset))
    labels = this.eval_dataset.labels

    def right(learnt, shown):
        return np.mean(WordOverlap(special).fit(learnt).predict(shown) == labels)

    assert this.baselines["word_overlap"] == pytest.approx(right(train, valid))
    masked = [
        {**row, "input_ids": this.data_collator([row])["input_ids"][0]} for row in valid
    ]  # what a leak or a mistake would give is something else:
    assert right(valid, valid) != right(train, valid) != right(train, masked)
    assert this.baselines["half"] == 0.5
    assert abs(np.mean(labels) - 0.5) <= 0.5 / len(valid)


def test_training_hides_other_words_each_time_and_evaluation_the_same():
    this = task()
    rows = [this.train_dataset[i] for i in range(8)]
    batch = this.data_collator(rows)
    again = this.data_collator(rows)
    assert (batch["labels"] == again["labels"]).all()
    drawn = [this.transform(batch, np.random.default_rng(i))["labels"] for i in range(2)]
    assert (drawn[0] != drawn[1]).any()
    assert this.trainer_arguments()["transform"] == this.masking.redraw


def test_positions_of_a_new_model_begin_as_sinusoids():
    config = {**SMALL, "initializer_range": 0.05}
    rows = task().new_model("tiny", **config).bert.embeddings.positions.weight.numpy()
    expected = 0.1 * nn.sinusoidal(np.arange(len(rows)), rows.shape[1], 100.0)
    assert np.abs(rows - expected).max() < 1e-7
    odd = {**config, "hidden_size": 9, "num_attention_heads": 1}
    assert task().new_model("tiny", **odd).bert.embeddings.positions.weight.shape[1] == 9


def test_what_is_asked_never_shows_in_an_evaluation_and_sometimes_in_training():
    """A word that shows is right by copying, which no table of counts does."""
    this, mask = task(), task().tokenizer.mask_token_id
    batch = this.data_collator([*this.train_dataset])
    asked = batch["labels"] != -100
    assert asked.sum() > 100 and (batch["input_ids"][asked] == mask).all()
    drawn = this.transform(batch, np.random.default_rng(0))
    asked = drawn["labels"] != -100
    assert 0.7 < (drawn["input_ids"][asked] == mask).mean() < 0.9
    copied = drawn["input_ids"][asked] == drawn["labels"][asked]
    assert 0.05 < copied.mean() < 0.2


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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Мы читаем книги.", ["Мы", " ", "читаем", " ", "книги", "."]),
        ("나는 책을 읽는다", ["나는", " ", "책을", " ", "읽는다"]),
        ("Tôi đọc tiếng Việt", ["Tôi", " ", "đọc", " ", "tiếng", " ", "Việt"]),
        ("Vie\u0323\u0302t", ["Vie\u0323\u0302t"]),
        ("体育很好Россия也好", ["体育", "很", "好", "Россия", "也好"]),
        ("x2比GPU好。", ["x2", "比", "GPU", "好", "。"]),
    ],
)
def test_words_of_every_script(text, words):
    assert cut_words(text) == words


def test_russian_words_are_hidden_whole():
    texts = ["Мы читаем книги о реках. Они текут медленно. Книги о реках длинные."] * 3
    tokenizer = WordPieceTokenizer.train(texts, 60, special_tokens=SPECIAL_TOKENS)
    found = encode(documents(texts[:1]), tokenizer, whole_word=True)
    tokens, numbers = (np.concatenate(each[0]).tolist() for each in found[:2])
    names = tokenizer.convert_ids_to_tokens(tokens)
    begins = [not name.startswith("##") for name in names]
    changed = [True, *(a != b for a, b in pairwise(numbers))]
    assert changed == begins and not all(begins) and len({*numbers}) == 15


def test_a_token_that_has_the_space_before_it_is_of_its_word():
    texts = ["unable to unfold the unseen map"] * 3
    tokenizer = ByteBPETokenizer.train(texts, 275, special_tokens=SPECIAL_TOKENS)
    found = encode(documents(texts[:1]), tokenizer, whole_word=True)
    tokens, numbers = (np.concatenate(each[0]).tolist() for each in found[:2])
    of_word = {}
    for token, number in zip(tokens, numbers):
        of_word.setdefault(number, []).append(token)
    assert [tokenizer.decode(word).strip() for word in of_word.values()] == texts[0].split()


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


def test_a_row_is_as_full_as_it_can_be():
    this = MaskedTask(
        *([*documents(["一二。三四。五。"])] for _ in range(2)),
        characters(["一二三四五。"], special_tokens=SPECIAL_TOKENS),
        max_length=8,
        mlm_probability=1.0,
        next_sentence=False,
    )
    assert [len(this.train_dataset[i]["input_ids"]) for i in range(2)] == [8, 4]


MIXED = [*TEXTS, *(sentence for text in TEXTS for sentence in sentences(text)[:2])]
"""Documents of many sentences and of one."""


def test_documents_of_one_sentence_are_learnt_from_though_they_make_no_pair():
    this = MaskedTask(*parts(MIXED), wordpiece(), max_length=32, rounds=3)
    train = parts(MIXED)[0]
    encoded = encode(train, this.tokenizer, False).ids
    alone = [token for document in encoded if len(document) == 1 for token in document[0]]
    rows = [*this.train_dataset]
    single = [row for row in rows if row["next_sentence_label"] == -100]
    assert np.concatenate([row["input_ids"][1:-1] for row in single]).tolist() == 3 * alone
    assert len(single) > 60 and not any(row["token_type_ids"].any() for row in single)
    assert len(this.train_dataset.labels) == len(rows) - len(single)
    assert abs(this.train_dataset.labels.mean() - 0.5) < 0.01
    batch = this.data_collator([rows[0], rows[-1], single[0]])
    found = this.batch_metrics(batch, this.new_model("tiny", **SMALL)(**batch))
    assert found["nsp_accuracy"][1] == found["half"][1] == found["word_overlap"][1] == 1
    assert not (this.eval_dataset.labels == -100).any()
    assert len(this.eval_dataset) == this.targets["nsp"]


def test_the_share_of_tokens_in_rows_is_counted():
    this = MaskedTask(*parts(MIXED), wordpiece(), max_length=24, rounds=1)
    for part, rows in zip(parts(MIXED), (this.train_dataset, this.eval_dataset)):
        encoded = encode(part, this.tokenizer, False).ids
        tokens = [token for document in encoded for sentence in document for token in sentence]
        assert len(rows.tokens) == len(tokens) and 0 < rows.used < len(tokens)
    # Of numbered tokens one can see which are there.
    numbered, first = [], 0
    for size in (3, 1, 4, 2, 1):
        numbered.append([[*range(first + 9 * i, first + 9 * i + 9)] for i in range(size)])
        first += 9 * size
    for alone in (True, False):
        rows = PairsAndTexts(Encoded(numbered, None), Specials(100, 101, [100]), 20, 0, 2, alone)
        seen = {token for row in rows for token in row["input_ids"].tolist()} - {100, 101}
        assert rows.used == len(seen) and rows.left_out == 0


UNKNOWN = ["αβγ. δεζ. ηθι.", "κλμ."]


@pytest.mark.parametrize("next_sentence", [True, False])
def test_what_the_tokenizer_does_not_know_is_left_out(next_sentence):
    settings = {"max_length": 16, "next_sentence": next_sentence, "rounds": 1}
    mixed = [*TEXTS[:16], "αβγδεζηθ" * 6 + "。" + "".join(TEXTS[16][:40]) + "。"]
    known, more = documents(mixed), documents(UNKNOWN)
    tokenizer = characters([*TEXTS], special_tokens=SPECIAL_TOKENS)
    this = MaskedTask([*known, *more], [*documents(TEXTS[17:]), more[0]], tokenizer, **settings)
    assert this.documents_left_out == (2, 1)
    special = tokenizer.all_special_ids
    for rows in (this.train_dataset, this.eval_dataset):
        assert all((~np.isin(row["input_ids"], special)).any() for row in rows)
    assert next_sentence or this.train_dataset.left_out == 3
    without = MaskedTask(known, documents(TEXTS[17:]), tokenizer, **settings)
    assert this.baselines.pop("unknown") > without.baselines.pop("unknown") == 0.0
    assert without.baselines == this.baselines and without.documents_left_out == (0, 0)
    with pytest.raises(ValueError, match="valid has no tokens to hide"):
        MaskedTask(known, more, tokenizer, **settings)


def test_pairs_without_a_token_to_hide_are_left_out():
    unknown, known = [[1] * 30, [1] * 30], [[7] * 30, [8] * 30]
    rows = PairsAndTexts(
        Encoded([unknown, unknown, known, known], None), Specials(2, 3, [1, 2, 3]), 10, 0, 40, True
    )
    assert len(rows) + rows.left_out == 160 and rows.left_out > 20 and len(rows.labels) == len(rows)
    assert all((row["input_ids"] > 3).any() for row in rows)
    assert [row["next_sentence_label"] for row in rows] == rows.labels.tolist()


def test_batches_of_any_size_ask_the_same_though_some_rows_have_no_target():
    texts = [sentence for text in TEXTS for sentence in sentences(text)]
    this = MaskedTask(*parts(texts), wordpiece(), max_length=16, next_sentence=False)
    asked = [(batch["labels"] != -100).sum() for batch in each_row(this)]
    assert 0 in asked and this.targets["mlm"] == sum(asked)
    found = [evaluated(this, rows)[1] for rows in (1, 64)]
    assert found[0]["eval_mlm_targets"] == sum(asked)
    for name in found[0]:
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-5), name
    for name, value in this.baselines.items():
        assert found[0][f"eval_{name}"] == pytest.approx(value), name


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
    with pytest.raises(ValueError, match=r"held out have 1; give next_.* a larger valid_share$"):
        MaskedTask(train, valid[:1], wordpiece())
    with pytest.raises(ValueError, match=r"learn from have none; .* a smaller valid_share$"):
        MaskedTask(documents(["一。"]), valid, wordpiece())
    with pytest.raises(ValueError, match="train has no tokens"):
        MaskedTask([], valid, wordpiece(), next_sentence=False)
    MaskedTask(train, documents(TEXTS[:1]), wordpiece(), next_sentence=False)
    with pytest.raises(ValueError, match="so short that none of its tokens is hidden"):
        short = documents(["一。"])
        MaskedTask(train, short, wordpiece(), mlm_probability=1e-9, next_sentence=False)
