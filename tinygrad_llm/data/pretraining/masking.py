"""Masked language modelling: which tokens of a batch are hidden, by what, and what is asked for.

Sources: Devlin et al. 2019, "BERT", section 3.1, for 15 % and 80/10/10 (F71); Liu et al. 2019,
"RoBERTa", section 4.1, for other places in each epoch; Cui et al. 2021, "Pre-Training with Whole
Word Masking for Chinese BERT", for whole words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinygrad_llm.backend import Stream
from tinygrad_llm.data.padding import Padding

IGNORED = -100
"""The label of a token that is not asked for."""

_BY_TOKEN = ("attention_mask", "token_type_ids", "special_tokens_mask", "word_ids")
"""Fields with an entry for each token."""

_NOT_FOR_MODELS = ("special_tokens_mask", "word_ids")
"""Fields that say what may be masked; no model takes them."""


class Tokens(Protocol):
    """What is asked of a tokenizer; those of `tinygrad_llm.tokenizers` and others have it."""

    @property
    def mask_token_id(self) -> int | None: ...

    @property
    def pad_token_id(self) -> int | None: ...

    @property
    def all_special_ids(self) -> list[int]: ...

    def get_vocab(self) -> dict[str, int]: ...


class MaskedBatch(dict):
    """A batch with masked tokens, a dict for a model; beside it what another masking starts from.

    unmasked: (B, T) int64, the ids before anything was hidden.
    words: (B, T) int64: the place in its row where the word of each token begins; -1 at tokens
        that are never hidden (special ones and padding).
    """

    def __init__(self, fields: Mapping[str, np.ndarray], unmasked: np.ndarray, words: np.ndarray):
        super().__init__(fields)
        self.unmasked = unmasked
        self.words = words


class MaskedLanguageCollator:
    """A collate_fn that pads rows of token ids, hides some tokens, and asks for them  (F71).

    Each token that is neither special nor padding is chosen with probability mlm_probability, by
    itself. Of the chosen ones mask_replace_prob become the mask token, random_replace_prob another
    ordinary token, each as likely as the next (it may be the same one), and the rest stay as they
    are. Labels are the true ids at chosen places and -100 elsewhere.

    Called with rows it hides the same tokens of a row whenever that row comes, fixed by `seed` and
    the row's ids, whatever else is in the batch: right for evaluation, whose figures then do not
    waver. A batch in which chance chose none has no target. `redraw` hides others in each epoch
    (dynamic masking), by the generator of a `transform`:

        Trainer(..., data_collator=masking, transform=masking.redraw)

    There it hangs on the seed, the epoch and the number of the batch alone, so that a resumed run
    sees what it would have seen; and where chance chooses none in a whole batch, the nearest to
    being chosen is taken, so that every step learns something. Without `transform` a row is masked
    in one way for the whole run.

    tokenizer: has mask_token_id, pad_token_id, all_special_ids and get_vocab().
    whole_word_mask: the tokens of a word are chosen together, each with a replacement of its own.
        Words are those of a row's "word_ids" where it has them (see `word_ids`), else a piece that
        begins with "##" belongs to what stands before it.
    multiple_of, side: of the padding, as for `Padding`.

    Rows are dicts with "input_ids", and where wanted "attention_mask", "token_type_ids",
    "special_tokens_mask" (1 at what must not be hidden, beside the special tokens), "word_ids"
    (T,) and other fields, which are padded or stacked as `Padding` does. A batch is a MaskedBatch
    with input_ids, attention_mask and labels, (B, T) int64, and the other fields but
    special_tokens_mask and word_ids.

    Raises ValueError for a tokenizer without mask token, padding token or ordinary tokens,
    probabilities outside their ranges (0 < mlm_probability <= 1; the other two at least 0 and with
    a sum of at most 1), whole words where nothing says what a word is; and when called for rows
    that have labels, fields of another length than input_ids, ids outside the vocabulary, and a
    batch where nothing can be hidden.
    """

    def __init__(
        self,
        tokenizer: Tokens,
        mlm_probability: float = 0.15,
        mask_replace_prob: float = 0.8,
        random_replace_prob: float = 0.1,
        whole_word_mask: bool = False,
        seed: int = 0,
        multiple_of: int = 1,
        side: str = "right",
    ):
        _check_shares(mlm_probability, mask_replace_prob, random_replace_prob)
        self.mlm_probability = mlm_probability
        self.mask_replace_prob = mask_replace_prob
        self.random_replace_prob = random_replace_prob
        self.whole_word_mask = whole_word_mask
        self.seed = seed
        owner = type(self).__name__
        self._mask_id = role_id(tokenizer, "mask_token", owner)
        values = {"input_ids": role_id(tokenizer, "pad_token", owner)}
        values |= {"special_tokens_mask": 1, "word_ids": -1}
        self._padding = Padding(values, multiple_of, side)
        self._special, self._continues = _tables(tokenizer)
        self._ordinary = _ordinary(tokenizer)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> MaskedBatch:
        """Rows padded, with the same tokens hidden each time that a row comes."""
        batch = self._padded(rows)
        lengths = [len(row["input_ids"]) for row in rows]
        return self._masked(batch, self._fixed(batch.unmasked, lengths), least=0)

    def redraw(self, batch: MaskedBatch, generator: np.random.Generator) -> MaskedBatch:
        """The same rows with tokens hidden as the generator says: a `transform` of the DataLoader.

        Raises TypeError for a batch that is not this collator's: what was hidden must be known.
        """
        if not isinstance(batch, MaskedBatch):
            raise TypeError(
                f"redraw: the batch is a {type(batch).__name__}, not what MaskedLanguageCollator "
                "gave; let the collate_fn (data_collator) be the same collator"
            )
        return self._masked(batch, self._numbers(generator, batch.unmasked.shape), least=1)

    def _padded(self, rows: Sequence[Mapping[str, Any]]) -> MaskedBatch:
        """The rows as a batch in which nothing is hidden yet."""
        batch = self._padding([_checked(row, place) for place, row in enumerate(rows)])
        ids = batch["input_ids"]
        self._check_ids(ids)
        may = (batch["attention_mask"] == 1) & ~self._special[ids]
        if "special_tokens_mask" in batch:
            may &= batch["special_tokens_mask"] == 0
        words = np.where(may, self._beginnings(ids, may, batch.get("word_ids")), -1)
        fields = {name: batch[name] for name in batch if name not in _NOT_FOR_MODELS}
        return MaskedBatch(fields, ids, words)

    def _beginnings(self, ids: np.ndarray, may: np.ndarray, words: Any) -> np.ndarray:
        """For each token the place where its word begins, (B, T)."""
        places = np.arange(ids.shape[1])
        if not self.whole_word_mask:
            return np.broadcast_to(places, ids.shape)
        if words is None and not self._continues.any():
            raise ValueError(
                'MaskedLanguageCollator: whole_word_mask needs rows with "word_ids", as the '
                'vocabulary has no pieces that begin with "##"; see word_ids'
            )
        joins = np.zeros(ids.shape, dtype=bool)
        if words is None:
            joins[:, 1:] = self._continues[ids[:, 1:]]
        else:
            joins[:, 1:] = (words[:, 1:] == words[:, :-1]) & (words[:, 1:] >= 0)
        joins[:, 1:] &= may[:, :-1]  # a word does not reach across a special token
        return np.maximum.accumulate(np.where(joins, 0, places), axis=1)

    def _masked(self, batch: MaskedBatch, numbers: _Numbers, least: int) -> MaskedBatch:
        """The batch with tokens hidden as the numbers say, but at least so many words: 0 or 1."""
        ids, words = batch.unmasked, batch.words
        chosen = self._chosen(words, numbers.choose, least)
        hidden = chosen & (numbers.replace < self.mask_replace_prob)
        either = self.mask_replace_prob + self.random_replace_prob
        other = chosen & ~hidden & (numbers.replace < either)
        shown = np.where(hidden, self._mask_id, np.where(other, numbers.token, ids))
        labels = np.where(chosen, ids, IGNORED)
        return MaskedBatch({**batch, "input_ids": shown, "labels": labels}, ids, words)

    def _chosen(self, words: np.ndarray, choose: np.ndarray, least: int) -> np.ndarray:
        """Which tokens are asked for; all of a word share the number at its beginning."""
        may = words >= 0
        if not may.any():
            raise ValueError(
                "MaskedLanguageCollator: a batch has nothing to mask, only special tokens and "
                "padding; leave such rows out"
            )
        number = np.where(may, np.take_along_axis(choose, words.clip(0), axis=1), np.inf)
        chosen = number < self.mlm_probability
        return chosen | (number == number.min()) if least else chosen

    def _numbers(self, generator: np.random.Generator, shape: tuple[int, ...]) -> _Numbers:
        """Chance for each place of a batch."""
        choose, replace = generator.random(shape), generator.random(shape)
        token = self._ordinary[generator.integers(len(self._ordinary), size=shape)]
        return _Numbers(choose, replace, token)

    def _fixed(self, ids: np.ndarray, lengths: Sequence[int]) -> _Numbers:
        """Chance for each place that hangs on the ids of its row alone, and not on the padding."""
        numbers = _Numbers(np.ones(ids.shape), np.ones(ids.shape), np.zeros_like(ids))
        for number, (row, length) in enumerate(zip(ids, lengths)):
            start = len(row) - length if self._padding.side == "left" else 0
            place = slice(start, start + length)
            name = "masking " + row[place].tobytes().hex()
            drawn = self._numbers(Stream(name, self.seed).next().generator(), (length,))
            for all_rows, own in zip(numbers, drawn):
                all_rows[number, place] = own
        return numbers

    def _check_ids(self, ids: np.ndarray) -> None:
        """Refuse ids that the vocabulary does not have."""
        if ids.dtype.kind not in "iu":
            raise TypeError(f"MaskedLanguageCollator: input_ids are {ids.dtype}; give integers")
        if ids.size and (ids.min() < 0 or ids.max() >= len(self._special)):
            wrong = ids[(ids < 0) | (ids >= len(self._special))][0]
            raise ValueError(
                f"MaskedLanguageCollator: id {wrong} is outside the vocabulary's 0 to "
                f"{len(self._special) - 1}; give rows of the same tokenizer"
            )


def word_ids(offsets: Sequence[tuple[int, int]], words: Sequence[str]) -> list[int]:
    """Which word of a text each token is of, counted from 0; -1 for a token that stands in none.

    For words that the tokenizer does not know of, as in Chinese, where each character is a token:
    `tokenizers.words.Segmenter(...).best_path(text)` finds them. Put the answer into the row as
    "word_ids" for a collator with whole_word_mask.

    offsets: the characters [start, end) of each token, as `offset_mapping` has them; an empty span
        is that of a special token. A token over several words belongs to the first.
    words: joined they are the text. Raises ValueError where a token reaches beyond them.
    """
    ends = list(accumulate(map(len, words)))
    length = ends[-1] if ends else 0
    for start, end in offsets:
        if not 0 <= start <= end <= length:
            raise ValueError(
                f"word_ids: a token has the characters {start} to {end}, the words have {length}; "
                "give the words of the same text, spaces included"
            )
    of_character = np.repeat(np.arange(len(words)), [len(word) for word in words])
    return [int(of_character[start]) if start < end else -1 for start, end in offsets]


class _Numbers(NamedTuple):
    """Chance for each place: two numbers from 0 to 1, and an ordinary token."""

    choose: np.ndarray
    replace: np.ndarray
    token: np.ndarray


def _checked(row: Any, place: int) -> Any:
    """A row for the padding, its word ids without None. What is no dict is left to the padding."""
    if not isinstance(row, Mapping):
        return row
    if "input_ids" not in row or "labels" in row:
        raise ValueError(
            f"MaskedLanguageCollator: row {place} has {sorted(row)}; give input_ids and no labels, "
            "which are made here"
        )
    for name in _BY_TOKEN:
        if name in row and len(row[name]) != len(row["input_ids"]):
            raise ValueError(
                f"MaskedLanguageCollator: row {place} has {len(row[name])} {name} for "
                f"{len(row['input_ids'])} input_ids; give one for each token"
            )
    if "word_ids" not in row:
        return row
    return {**row, "word_ids": [-1 if word is None else word for word in row["word_ids"]]}


def _check_shares(chosen: float, masked: float, random: float) -> None:
    """Refuse probabilities that are none."""
    if not 0.0 < chosen <= 1.0:
        raise ValueError(
            f"MaskedLanguageCollator: mlm_probability is above 0 and at most 1, not {chosen}"
        )
    if not (min(masked, random) >= 0.0 and masked + random <= 1.0 + 1e-12):
        raise ValueError(
            f"MaskedLanguageCollator: mask_replace_prob {masked} and random_replace_prob {random} "
            "are at least 0, and at most 1 together"
        )


def role_id(tokenizer: Any, role: str, owner: str) -> int:
    """The id of the token with a role, "mask_token" for one; owner: who asks, for the ValueError
    that says that there is none."""
    found = getattr(tokenizer, f"{role}_id")
    if found is None:
        raise ValueError(
            f"{owner}: the tokenizer has no {role}; add one with add_tokens and set "
            f"tokenizer.{role}, or train it with special_tokens [PAD], [UNK], [CLS], [SEP], [MASK]"
        )
    return int(found)


def _tables(tokenizer: Tokens) -> tuple[np.ndarray, np.ndarray]:
    """For each id whether it is special, and whether it continues the word before it."""
    vocab = tokenizer.get_vocab()
    special = np.zeros(max(vocab.values()) + 1, dtype=bool)
    special[tokenizer.all_special_ids] = True
    continues = np.zeros_like(special)
    continues[[id for token, id in vocab.items() if token.startswith("##") and token != "##"]] = 1
    return special, continues


def _ordinary(tokenizer: Tokens) -> np.ndarray:
    """The ids that are not special, sorted."""
    special = set(tokenizer.all_special_ids)
    found = sorted(id for id in tokenizer.get_vocab().values() if id not in special)
    if not found:
        raise ValueError(
            "MaskedLanguageCollator: all tokens of the tokenizer are special; train it on texts"
        )
    return np.array(found)
