"""Tests of masking: what is hidden how often, what is asked for, and what fixes it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.pretraining.common import (
    CLS,
    MASK,
    PAD,
    SEP,
    UNK,
    check_rate,
    lists,
    tail,
    tokenizer,
)
from tinygrad_llm.data import corpora
from tinygrad_llm.data.pretraining import MaskedBatch, MaskedLanguageCollator, word_ids
from tinygrad_llm.tokenizers import WordPieceTokenizer
from tinygrad_llm.tokenizers.words import Segmenter

TOKENIZER = tokenizer()
PIECES = tokenizer(words=40, pieces=30)
FIRST_PIECE = 45
ROWS = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=12), min_size=1, max_size=6)


def collator(**settings):
    return MaskedLanguageCollator(settings.pop("tokenizer", TOKENIZER), **settings)


def rows_of(ids):
    return [{"input_ids": row} for row in ids]


def many(rows=2000, length=64, seed=0, low=5, high=100):
    """Rows with [CLS], ordinary tokens of varying number, and [SEP]."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(length - 8, length + 1, rows)
    return rows_of([[CLS, *rng.integers(low, high, n).tolist(), SEP] for n in lengths])


def both_ways(rows, **settings):
    """The batch as the collator fixes it, and as a generator draws it."""
    collate = collator(**settings)
    fixed = collate(rows)
    return fixed, collate.redraw(fixed, np.random.default_rng(7))


def test_the_tail_of_a_binomial_is_exact():
    assert tail(0, 3, 0.5) == pytest.approx(1 / 8) and tail(2, 3, 0.5) == pytest.approx(4 / 8)
    assert tail(1, 4, 0.3) == pytest.approx(0.7**4 + 4 * 0.3 * 0.7**3)


@pytest.mark.parametrize("way", [0, 1], ids=["fixed", "drawn"])
@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        ({}, (0.15, 0.8, 0.1)),
        ({"mlm_probability": 0.4}, (0.4, 0.8, 0.1)),
        ({"mask_replace_prob": 0.5, "random_replace_prob": 0.3}, (0.15, 0.5, 0.3)),
        ({"mask_replace_prob": 1.0, "random_replace_prob": 0.0}, (0.15, 1.0, 0.0)),
        ({"mask_replace_prob": 0.0, "random_replace_prob": 1.0}, (0.15, 0.0, 1.0)),
    ],
)
def test_rates_are_those_that_were_set(settings, shares, way):
    batch = both_ways(many(), **settings)[way]
    ids, shown, chosen = batch.unmasked, batch["input_ids"], batch["labels"] != -100
    ordinary = int((ids >= 5).sum())
    assert ordinary > 100_000
    rate, masked, random = shares
    check_rate(chosen.sum(), ordinary, rate)
    hidden = chosen & (shown == MASK)
    check_rate(hidden.sum(), chosen.sum(), masked)
    # A random token is the true one as often as any other of the 95.
    changed = chosen & (shown != MASK) & (shown != ids)
    check_rate(changed.sum(), chosen.sum(), random * 94 / 95)
    kept = chosen & (shown == ids)
    check_rate(kept.sum(), chosen.sum(), 1 - masked - random + random / 95)


def test_fifteen_percent_within_half_a_percent():
    for batch in both_ways(many()):
        share = (batch["labels"] != -100).sum() / (batch.unmasked >= 5).sum()
        assert abs(share - 0.15) < 0.005


def test_places_and_kinds_do_not_hang_on_each_other():
    """Every column is chosen as often, neighbours are chosen independently, and how a token is
    replaced says nothing about its neighbour."""
    fixed, drawn = both_ways(many())
    for batch in (fixed, drawn):
        chosen, shown = batch["labels"] != -100, batch["input_ids"]
        for column in range(1, 50):
            check_rate(chosen[:, column].sum(), 2000, 0.15, among=49)
        both = chosen[:, 1:50] & chosen[:, 2:51]
        check_rate(both.sum(), both.size, 0.15**2)
        masked = shown == MASK
        check_rate((masked[:, 1:50] & masked[:, 2:51])[both].sum(), both.sum(), 0.64)


def test_every_ordinary_token_is_as_likely_a_random_one():
    settings = {"mlm_probability": 1.0, "mask_replace_prob": 0.0, "random_replace_prob": 1.0}
    for batch in both_ways(many(), **settings):
        shown = batch["input_ids"][batch.unmasked >= 5]
        counts = np.bincount(shown, minlength=100)
        assert not counts[:5].any() and len(counts) == 100
        for count in counts[5:]:
            check_rate(count, len(shown), 1 / 95, among=95)


@given(
    ROWS,
    st.floats(0.01, 1.0),
    st.sampled_from(["left", "right"]),
    st.integers(1, 8),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_nothing_else_is_touched(ids, probability, side, multiple, whole, seed):
    ids = [[*row, 7] for row in ids]  # so that there is something to hide
    collate = collator(
        mlm_probability=probability,
        side=side,
        multiple_of=multiple,
        whole_word_mask=whole,
        seed=seed,
        tokenizer=PIECES if whole else TOKENIZER,
    )
    ids = [[min(id, 74) for id in row] for row in ids] if whole else ids
    batch = collate(rows_of(ids))
    for found in (batch, collate.redraw(batch, np.random.default_rng(seed))):
        shown, labels, mask = found["input_ids"], found["labels"], found["attention_mask"]
        assert {a.dtype for a in (shown, labels, mask)} == {np.dtype(np.int64)}
        assert shown.shape == labels.shape == mask.shape and shown.shape[1] % multiple == 0
        chosen = labels != -100
        truth = np.where(chosen, labels, shown)
        assert [row[here == 1].tolist() for row, here in zip(truth, mask)] == ids
        assert not chosen[mask == 0].any() and (shown[mask == 0] == PAD).all()
        assert (labels[chosen] >= 5).all() and (found is batch or chosen.any())
        assert not np.isin(shown[chosen], [PAD, UNK, CLS, SEP]).any()


def test_a_row_is_hidden_in_one_way_wherever_it_comes():
    rows = many(40)
    collate = collator()
    whole = lists(collate(rows))
    for number, row in enumerate(rows):
        alone = collate([row])
        length = len(row["input_ids"])
        assert alone["input_ids"][0].tolist() == whole["input_ids"][number][:length]
        assert alone["labels"][0].tolist() == whole["labels"][number][:length]
    left = collator(side="left")(rows)
    for number, row in enumerate(rows):
        length = len(row["input_ids"])
        assert left["labels"][number][-length:].tolist() == whole["labels"][number][:length]
    assert lists(collator(seed=0)(rows)) == whole
    assert lists(collator(seed=1)(rows)) != whole
    # One token more, and the places are others.
    longer = collate([{"input_ids": [*row["input_ids"][:-1], 9, SEP]} for row in rows])
    same = (longer["labels"][:, :50] != -100) == (np.array(whole["labels"])[:, :50] != -100)
    assert 0.6 < same.mean() < 0.8  # .15² + .85² by chance


def test_what_is_asked_of_a_row_does_not_hang_on_the_batch():
    rows = many(60, 12)
    collate = collator(mlm_probability=0.04)
    asked = (collate(rows)["labels"] != -100).sum(axis=1)
    alone = [(collate([row])["labels"] != -100).sum() for row in rows]
    assert alone == asked.tolist() and 0 in alone and max(alone) > 0


def test_a_generator_decides_alone():
    rows = many(40)
    collate = collator()
    batch = collate(rows)
    first = collate.redraw(batch, np.random.default_rng(3))
    assert lists(collate.redraw(first, np.random.default_rng(3))) == lists(first)
    assert lists(collate.redraw(first, np.random.default_rng(4))) != lists(first)
    assert lists(collate(rows)) == lists(batch), "redraw changed the batch that it was given"


def test_where_nothing_is_chosen_a_drawn_batch_gets_one_target_and_a_fixed_one_none():
    rows = rows_of([[CLS, 5, SEP], [CLS, 6, 7, 8, SEP]])
    collate = collator(mlm_probability=1e-12)
    batch = collate(rows)
    assert (batch["labels"] == -100).all() and (batch["input_ids"] == batch.unmasked).all()
    rng = np.random.default_rng(0)
    drawn = [collate.redraw(batch, rng)["labels"] for _ in range(4000)]
    assert {int((labels != -100).sum()) for labels in drawn} == {1}
    found = [labels.max() for labels in drawn]
    for id in (5, 6, 7, 8):
        check_rate(found.count(id), 4000, 1 / 4, among=4)


def test_fields_for_the_model_stay_and_others_go():
    rows = [
        {
            "input_ids": [CLS, 5, 6, SEP],
            "attention_mask": [1, 1, 0, 1],
            "token_type_ids": [0, 0, 1, 1],
            "special_tokens_mask": [1, 0, 0, 1],
            "word_ids": [None, 0, 1, None],
            "next_sentence_label": 1,
        },
        {
            "input_ids": [CLS, 8],
            "attention_mask": [1, 1],
            "token_type_ids": [0, 1],
            "special_tokens_mask": [1, 1],
            "word_ids": [None, 3],
            "next_sentence_label": 0,
        },
    ]
    for batch in both_ways(rows, mlm_probability=1.0):
        assert isinstance(batch, MaskedBatch)
        names = ["attention_mask", "input_ids", "labels", "next_sentence_label", "token_type_ids"]
        assert sorted(batch) == names
        assert batch["next_sentence_label"].tolist() == [1, 0]
        assert batch["token_type_ids"].tolist() == [[0, 0, 1, 1], [0, 1, 0, 0]]
        # Neither what attention does not see nor what the row calls special is asked for.
        assert batch["labels"].tolist() == [[-100, 5, -100, -100], [-100] * 4]


def words_chosen(batch):
    """For each word of each row, whether each of its tokens is chosen."""
    chosen = batch["labels"] != -100
    for row, words in zip(chosen, batch.words):
        for start in np.unique(words[words >= 0]):
            yield row[words == start].tolist()


def in_pieces(rows=1500, seed=1):
    """Rows of words of one to four tokens; a row may begin with a piece."""
    return many(rows, 48, seed, 5, 75)


def test_pieces_of_a_word_are_chosen_together_and_as_often_as_other_tokens():
    for batch in both_ways(in_pieces(), tokenizer=PIECES, whole_word_mask=True):
        found = list(words_chosen(batch))
        assert all(len(set(word)) == 1 for word in found)
        assert max(map(len, found)) > 5 and min(map(len, found)) == 1
        check_rate(sum(word[0] for word in found), len(found), 0.15)
        shown = batch["input_ids"]
        chosen = batch["labels"] != -100
        # Each token of a word has a replacement of its own.
        check_rate((shown == MASK).sum(), chosen.sum(), 0.8)
        assert any(
            0 < (shown[row][batch.words[row] == start] == MASK).sum() < 3
            for row in range(200)
            for start in np.unique(batch.words[row][chosen[row]])
            if (batch.words[row] == start).sum() == 3
        )


def test_without_the_option_pieces_are_chosen_one_by_one():
    for batch in both_ways(in_pieces(300), tokenizer=PIECES):
        assert np.array_equal(batch.words[batch.words >= 0], np.nonzero(batch.words >= 0)[1])
        assert any(len(set(labels < 0)) == 2 for labels in batch["labels"])


def test_where_a_word_begins():
    piece = FIRST_PIECE
    rows = [
        {"input_ids": [CLS, 9, piece, piece, 8, SEP, piece, piece, UNK, piece]},
    ]
    batch = collator(tokenizer=PIECES, whole_word_mask=True)(rows)
    assert batch.words.tolist() == [[-1, 1, 1, 1, 4, -1, 6, 6, -1, 9]]
    rows[0]["word_ids"] = [None, 0, 0, 1, 1, None, 1, 1, None, -1]
    batch = collator(tokenizer=PIECES, whole_word_mask=True)(rows)
    assert batch.words.tolist() == [[-1, 1, 1, 3, 3, -1, 6, 6, -1, 9]]
    rows[0]["word_ids"] = [-1] * 10
    batch = collator(whole_word_mask=True, side="left", multiple_of=12)(rows)
    assert batch.words.tolist() == [[-1, -1, -1, 3, 4, 5, 6, -1, 8, 9, -1, 11]]


def test_a_word_piece_tokenizer_as_it_is():
    texts = ["unable to unfold the unseen", "the fold was seen again and again"]
    tokens = WordPieceTokenizer.train(texts, 60)
    encoded = tokens(texts * 40, return_special_tokens_mask=True)
    rows = [{name: column[i] for name, column in encoded.items()} for i in range(80)]
    for batch in both_ways(rows, tokenizer=tokens, whole_word_mask=True, mlm_probability=0.5):
        assert all(len(set(word)) == 1 for word in words_chosen(batch))
        for row, words in enumerate(batch.words):
            own = [n for n in encoded.word_ids(row) if n is not None]
            assert np.unique(words[words >= 0], return_inverse=True)[1].tolist() == own


def test_chinese_words_go_together_by_a_dictionary():
    texts = corpora.paragraphs()[:60]
    tokens = WordPieceTokenizer.train(texts, 3000)
    cut = Segmenter(corpora.words()).best_path
    encoded = tokens(texts, return_offsets_mapping=True)
    rows = [
        {"input_ids": ids, "word_ids": word_ids(spans, cut(text))}
        for text, ids, spans in zip(texts, encoded.input_ids, encoded.offset_mapping)
    ]
    for batch in both_ways(rows, tokenizer=tokens, whole_word_mask=True):
        found = list(words_chosen(batch))
        assert all(len(set(word)) == 1 for word in found)
        check_rate(sum(word[0] for word in found), len(found), 0.15)
        assert sum(len(word) == 2 for word in found) > 500


def test_the_word_of_each_token_by_its_characters():
    words = ["我们", "明天", "去", "GPU", "城"]
    spans = [(0, 0), (0, 1), (1, 2), (2, 3), (3, 5), (5, 7), (7, 8), (8, 9), (0, 0)]
    assert word_ids(spans, words) == [-1, 0, 0, 1, 1, 3, 3, 4, -1]
    assert word_ids([(0, 0)], []) == [-1] and word_ids([], words) == []
    with pytest.raises(ValueError, match=r"^word_ids: a token has the characters 8 to 10, the wor"):
        word_ids([(8, 10)], words)


class NoTokens:
    """A tokenizer that lacks something."""

    def __init__(self, mask=4, pad=0, special=(0, 4), vocab=None):
        self.mask_token_id, self.pad_token_id, self.all_special_ids = mask, pad, list(special)
        self.get_vocab = lambda: vocab or {"[PAD]": 0, "[MASK]": 4, "a": 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mlm_probability": 0.0}, "mlm_probability is above 0 and at most 1, not 0.0"),
        ({"mlm_probability": 1.1}, "mlm_probability is above 0 and at most 1, not 1.1"),
        ({"mlm_probability": float("nan")}, "mlm_probability is above 0 and at most 1, not nan"),
        ({"mask_replace_prob": 0.95}, "mask_replace_prob 0.95 and random_replace_prob 0.1 are at"),
        ({"mask_replace_prob": -0.1}, "mask_replace_prob -0.1 and random_replace_prob 0.1 are at"),
        ({"random_replace_prob": -0.1}, "mask_replace_prob 0.8 and random_replace_prob -0.1 are"),
        ({"tokenizer": NoTokens(mask=None)}, "the tokenizer has no mask_token; add one with add_t"),
        ({"tokenizer": NoTokens(pad=None)}, "the tokenizer has no pad_token; add one with add_tok"),
        ({"tokenizer": NoTokens(special=(0, 1, 4))}, "all tokens of the tokenizer are special; tr"),
    ],
)
def test_settings_that_cannot_be_are_one_clear_line(settings, message):
    with pytest.raises(ValueError, match=rf"^MaskedLanguageCollator: {message}.*$"):
        collator(**settings)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (rows_of([[CLS, SEP], [UNK]]), "a batch has nothing to mask, only special tokens and pad"),
        (rows_of([[CLS, 100]]), "id 100 is outside the vocabulary's 0 to 99; give rows of the sam"),
        (rows_of([[CLS, 5, -1]]), "id -1 is outside the vocabulary's 0 to 99; give rows of the s"),
        (
            [{"labels": [5], "input_ids": [5]}],
            r"row 0 has \['input_ids', 'labels'\]; give input_id",
        ),
        ([{"text": "w1"}], r"row 0 has \['text'\]; give input_ids and no labels, which"),
        ([{"input_ids": [5, 6], "word_ids": [0]}], "row 0 has 1 word_ids for 2 input_ids; give o"),
        (
            [{"input_ids": [5], "token_type_ids": [0, 0]}],
            "row 0 has 2 token_type_ids for 1 input_ids; give one for each token",
        ),
    ],
)
def test_rows_that_cannot_be_masked_are_one_clear_line(rows, message):
    with pytest.raises(ValueError, match=rf"^MaskedLanguageCollator: {message}.*$"):
        collator()(rows)


def test_whole_words_need_to_be_known():
    with pytest.raises(ValueError, match=r'whole_word_mask needs rows with "word_ids", as the voc'):
        collator(whole_word_mask=True)(rows_of([[5, 6]]))


def test_other_kinds_of_rows_and_batches_are_refused():
    with pytest.raises(TypeError, match="input_ids are float64; give integers"):
        collator()(rows_of([[5.0]]))
    with pytest.raises(TypeError, match="rows are dicts with names of fields, not tuple"):
        collator()([([5], 6)])
    with pytest.raises(TypeError, match="redraw: the batch is a dict, not what MaskedLanguageColl"):
        collator().redraw({"input_ids": np.ones((2, 3), int)}, np.random.default_rng(0))
