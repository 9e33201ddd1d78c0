"""The tasks of BERT: hidden words and next sentences, and the counts that it has to beat."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from tinygrad_llm.data.pretraining import MaskedLanguageCollator
from tinygrad_llm.data.pretraining.masking import IGNORED
from tinygrad_llm.models import BertConfig, BertForMaskedLM, BertForPreTraining
from tinygrad_llm.pretrain.rows import (
    Encoded,
    PairsAndTexts,
    SingleTexts,
    Specials,
    encode,
    specials_of,
)
from tinygrad_llm.pretrain.scores import right_guesses
from tinygrad_llm.pretrain.texts import Document
from tinygrad_llm.tokenizers import Tokenizer
from tinygrad_llm.training.baselines import LeftNeighbour, WittenBell, WordOverlap

Sums = dict[str, tuple[float, int]]
"""name -> (sum, how many are in it)."""

AT_ONCE = 64
"""Rows that are masked at one time to measure the baselines."""

MOST_PAIRS = 4096
"""Pairs from which the overlap of words is learnt; it has one number to find."""


class MaskedTask:
    """Texts with hidden words, for a Trainer: `Trainer(model, arguments,
    **task.trainer_arguments())`.

    train, valid: documents, from `split_documents`.
    max_length: T, the most tokens of a row. mlm_probability: as for `MaskedLanguageCollator`.
    whole_word: all tokens of a word are hidden together. Chinese words are those of a dictionary,
        that of the package's own Chinese texts, held-out ones included (it tells only which tokens
        are asked for together); it covers other Chinese text less. In other scripts a word is a run
        of letters.
    next_sentence: rows are pairs of texts, of which half follow each other (`NextSentencePairs`),
        and the model is a BertForPreTraining; else single texts, and a BertForMaskedLM. Documents
        of one sentence make no pair: in training they are rows of one text, whose
        next_sentence_label is -100; of the held-out ones nothing is asked.
    seed: of pairs and of what is hidden. rounds: how often `train` is gone through for pairs.

    Documents and rows of special tokens alone, as [UNK] for what the tokenizer does not know, are
    left out; the datasets' left_out, and documents_left_out of both parts, say how many.

    In training other words are hidden in each epoch, as `masking`, a `MaskedLanguageCollator`,
    does it; a fifth of what is asked for does not show as [MASK] there. In evaluation always the
    same words are hidden, all of them by [MASK] (`data_collator`): a word that shows is right by
    copying, which no table of counts does. So an evaluation gives, all on the same targets,
        mlm_loss, mlm_accuracy: of the hidden words, and beside them unigram_loss, unigram_accuracy
            (their share in `train`, and the most frequent one) and left_neighbour_accuracy (what
            in the documents of `train` most often stood right of the token that is now left of it;
            right of [CLS] and [SEP] are beginnings of sentences);
        nsp_loss, nsp_accuracy: of the pairs, and beside them half (the labels are halves),
            half_loss (log 2) and word_overlap, the accuracy of `WordOverlap`, which sees the pairs
            with nothing hidden;
        unknown: the share of the tokens of `valid` that the tokenizer does not know; they are never
            hidden, and nothing is learnt of them;
        mlm_targets, nsp_targets: how many there are, for `metrics.wilson_interval`.
    `baselines` has those of these that hang on no model, `targets` the numbers.

    Raises ValueError for a tokenizer without [CLS], [SEP], [MASK] or [PAD], for a part in which
    nothing can be hidden, or in `valid` nothing is, and as `NextSentencePairs`, `SingleTexts` and
    `MaskedLanguageCollator` do.
    """

    def __init__(
        self,
        train: Sequence[Document],
        valid: Sequence[Document],
        tokenizer: Tokenizer,
        max_length: int = 64,
        mlm_probability: float = 0.15,
        whole_word: bool = False,
        next_sentence: bool = True,
        seed: int = 0,
        rounds: int = 5,
    ):
        self.tokenizer, self.max_length, self.next_sentence = tokenizer, max_length, next_sentence
        how: dict[str, Any] = {"whole_word_mask": whole_word, "seed": seed}
        self.masking = MaskedLanguageCollator(tokenizer, mlm_probability, **how)
        self.data_collator = MaskedLanguageCollator(tokenizer, mlm_probability, 1.0, 0.0, **how)
        self.transform = self.masking.redraw
        specials = specials_of(tokenizer)
        valid_ids = self._encoded(valid, "valid", whole_word)
        self.eval_dataset = self._rows(valid_ids, specials, seed, 1, False)
        train_ids = self._encoded(train, "train", whole_word)
        self.train_dataset = self._rows(train_ids, specials, seed, rounds, True)
        self.documents_left_out = train_ids.left_out, valid_ids.left_out
        self._unknown = valid_ids.unknown
        streams, begun = _streams(train_ids), _begun(train_ids, specials)
        del train_ids, valid_ids  # lists of numbers take most of the memory
        self._learn_baselines(streams, begun)
        self.baselines, self.targets = self._measured()

    def _encoded(self, documents: Sequence[Document], name: str, whole_word: bool) -> Encoded:
        """A part as ids. Raises ValueError for one from which no rows can be made."""
        part = encode(documents, self.tokenizer, whole_word)
        if not part.ids:
            raise ValueError(
                f"MaskedTask: {name} has no tokens to hide; give documents with text that the "
                "tokenizer knows"
            )
        several = sum(len(document) > 1 for document in part.ids)
        if self.next_sentence and several < 2:
            held = name == "valid"
            raise ValueError(
                "MaskedTask: next sentences need two documents of two sentences or more, and the "
                f"texts {'held out' if held else 'to learn from'} have {several or 'none'}; give "
                f"next_sentence=False, more documents, or a {'larg' if held else 'small'}er "
                "valid_share"
            )
        return part

    def _rows(
        self, encoded: Encoded, specials: Specials, seed: int, rounds: int, alone: bool
    ) -> PairsAndTexts | SingleTexts:
        """A dataset of pairs or of single texts."""
        if not self.next_sentence:
            return SingleTexts(encoded, specials, self.max_length)
        return PairsAndTexts(encoded, specials, self.max_length, seed, rounds, alone)

    def _learn_baselines(self, streams: list[np.ndarray], begun: np.ndarray) -> None:
        """Count the documents that the model learns from, once and with nothing hidden."""
        special = self.tokenizer.all_special_ids
        self._neighbour = LeftNeighbour(special).fit([*streams, begun])
        ids = np.concatenate(streams)
        counts = WittenBell(1).fit(ids[~np.isin(ids, special)], len(self.tokenizer))
        self._nats = -np.log(counts.probabilities(np.zeros(0, np.int64)))
        self._most_frequent = int(self._nats.argmin())
        if isinstance(self.train_dataset, PairsAndTexts):
            pairs = len(self.train_dataset.labels)
            chosen = np.linspace(0, pairs - 1, min(pairs, MOST_PAIRS)).astype(int)
            self._overlap = WordOverlap(special).fit(self.train_dataset[i] for i in chosen)

    def _measured(self) -> tuple[dict[str, float], dict[str, int]]:
        """The baselines on `valid`, and how many targets there are."""
        sums: dict[str, list[float]] = {}
        for first in range(0, len(self.eval_dataset), AT_ONCE):
            places = range(first, min(first + AT_ONCE, len(self.eval_dataset)))
            batch = self.data_collator([self.eval_dataset[i] for i in places])
            for name, pair in self._counted(batch).items():
                total = sums.setdefault(name, [0.0, 0])
                total[0], total[1] = total[0] + pair[0], total[1] + pair[1]
        found = {name: total / count for name, (total, count) in sums.items() if count}
        targets = {"mlm": int(sums["unigram_loss"][1])}
        if not targets["mlm"]:
            raise ValueError(
                "MaskedTask: valid is so short that none of its tokens is hidden; give more text, "
                "or a larger share of it"
            )
        if self.next_sentence:
            targets["nsp"] = len(self.eval_dataset)
        return found | {"unknown": self._unknown}, targets

    def _counted(self, batch: Any) -> Sums:
        """What the baselines say of a masked batch."""
        asked = batch["labels"] != IGNORED
        truth, count = batch["labels"][asked], int(asked.sum())
        guesses = self._neighbour.guess(batch["input_ids"])[asked]
        found: Sums = {
            "unigram_loss": (float(self._nats[truth].sum()), count),
            "unigram_accuracy": (int((truth == self._most_frequent).sum()), count),
            "left_neighbour_accuracy": (int((guesses == truth).sum()), count),
        }
        return found | self._counted_pairs(batch) if self.next_sentence else found

    def _counted_pairs(self, batch: Any) -> Sums:
        labels = batch["next_sentence_label"]
        rows = [
            {"input_ids": ids, "token_type_ids": types}
            for ids, types in zip(batch.unmasked, batch["token_type_ids"])
        ]
        right, count = int((self._overlap.predict(rows) == labels).sum()), _pairs_in(labels)
        half = {"half": (0.5 * count, count), "half_loss": (math.log(2) * count, count)}
        return {**half, "word_overlap": (right, count)}

    def batch_metrics(self, batch: Any, answer: Any) -> Sums:
        """name -> (sum over the targets of a batch, their number), as a Trainer takes it."""
        asked = batch["labels"] != IGNORED
        count = int(asked.sum())
        loss = answer.mlm_loss if self.next_sentence else answer.loss
        right = right_guesses(answer, asked, batch["labels"], len(self.tokenizer))
        found = {"mlm_loss": (loss.item() * count, count), "mlm_accuracy": (right, count)}
        if self.next_sentence:
            found |= _pair_sums(batch["next_sentence_label"], answer)
        found |= self._counted(batch)
        same: dict[str, float] = {f"{name}_targets": n for name, n in self.targets.items()}
        same["unknown"] = self._unknown
        return found | {name: (value * count, count) for name, value in same.items()}

    def derived(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """What follows from the metrics of an evaluation: nothing here."""
        return {}

    def trainer_arguments(self) -> dict[str, Any]:
        """For `Trainer(model, arguments, **these)`."""
        return {
            "train_dataset": self.train_dataset,
            "eval_dataset": self.eval_dataset,
            "data_collator": self.data_collator,
            "transform": self.transform,
            "batch_metrics": self.batch_metrics,
        }

    def new_model(self, preset: str = "tiny", **changes: Any) -> Any:
        """A BertForPreTraining, or without next sentences a BertForMaskedLM, of a known size, with
        drawn weights, for this tokenizer and max_length; changes are those of `BertConfig.preset`.

        Its positions begin as sinusoids (`BertModel.begin_positions`).
        """
        ours = {"vocab_size": len(self.tokenizer), "max_position_embeddings": self.max_length}
        ours["pad_token_id"] = self.tokenizer.pad_token_id
        model = model_class(self.next_sentence)(BertConfig.preset(preset, **{**ours, **changes}))
        model.bert.begin_positions()
        return model


def model_class(next_sentence: bool) -> type[BertForPreTraining] | type[BertForMaskedLM]:
    """What a MaskedTask trains."""
    return BertForPreTraining if next_sentence else BertForMaskedLM


def _pair_sums(labels: np.ndarray, answer: Any) -> Sums:
    """Loss and right answers of the pairs of a batch."""
    said = answer.seq_relationship_logits.numpy().argmax(axis=-1)
    count = _pairs_in(labels)
    return {
        "nsp_loss": (answer.nsp_loss.item() * count, count),
        "nsp_accuracy": (int((said == labels).sum()), count),
    }


def _pairs_in(labels: np.ndarray) -> int:
    """How many rows of a batch are pairs."""
    return int((labels != IGNORED).sum())


def _streams(encoded: Encoded) -> list[np.ndarray]:
    """All tokens of each document, (n,)."""
    return [np.fromiter(chain.from_iterable(document), np.int64) for document in encoded.ids]


def _begun(encoded: Encoded, specials: Specials) -> np.ndarray:
    """The first token of each sentence, once after [CLS] and once after [SEP], where the texts of a
    row begin with it."""
    firsts = (sentence[0] for document in encoded.ids for sentence in document)
    both = ((specials.cls, first, specials.sep, first) for first in firsts)
    return np.fromiter(chain.from_iterable(both), np.int64)
