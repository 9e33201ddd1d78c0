"""The tasks of BERT: hidden words and next sentences, and the counts that it has to beat."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_llm.data.pretraining import MaskedLanguageCollator, NextSentencePairs
from tinygrad_llm.data.pretraining.masking import IGNORED
from tinygrad_llm.models import BertConfig, BertForMaskedLM, BertForPreTraining
from tinygrad_llm.pretrain.rows import Encoded, SingleTexts, encode
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
    max_length: T, the most tokens of a row. mlm_probability, whole_word: as for
        `MaskedLanguageCollator`; words are found by a dictionary, Chinese ones too.
    next_sentence: rows are pairs of texts, of which half follow each other (`NextSentencePairs`),
        and the model is a BertForPreTraining; else single texts, and a BertForMaskedLM.
    seed: of pairs and of what is hidden. rounds: how often `train` is gone through for pairs.

    In training other words are hidden in each epoch; in evaluation always the same ones. So an
    evaluation gives, all on the same targets,
        mlm_loss, mlm_accuracy: of the hidden words, and beside them unigram_loss, unigram_accuracy
            (their share in `train`, and the most frequent one) and left_neighbour_accuracy (what
            most often stood right of the token that is now left of it);
        nsp_loss, nsp_accuracy: of the pairs, and beside them half (the labels are halves),
            half_loss (log 2) and word_overlap, the accuracy of `WordOverlap`, which sees the pairs
            with nothing hidden;
        mlm_targets, nsp_targets: how many there are, for `wilson_interval`.
    `baselines` has those of these that hang on no model, `targets` the numbers.

    Raises ValueError for a tokenizer without [CLS], [SEP], [MASK] or [PAD] and as
    `NextSentencePairs`, `SingleTexts` and `MaskedLanguageCollator` do.
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
        self.data_collator = MaskedLanguageCollator(
            tokenizer, mlm_probability, whole_word_mask=whole_word, seed=seed
        )
        self.transform = self.data_collator.redraw
        parts = [encode(documents, tokenizer, whole_word) for documents in (train, valid)]
        for name, part in zip(("train", "valid"), parts):
            self._check(name, part)
        self.train_dataset = self._rows(parts[0], seed, rounds)
        self.eval_dataset = self._rows(parts[1], seed, 1)
        self._learn_baselines()
        self.baselines, self.targets = self._measured()

    def _check(self, name: str, part: Encoded) -> None:
        """Refuse a part from which no rows can be made."""
        if not part.ids:
            raise ValueError(f"MaskedTask: {name} has no tokens; give documents with text")
        several = sum(len(document) > 1 for document in part.ids)
        if self.next_sentence and several < 2:
            raise ValueError(
                f"MaskedTask: {name} has {several} documents with two sentences or more, and next "
                "sentences need two such; give more text, a smaller unit, or next_sentence=False"
            )

    def _rows(self, encoded: Encoded, seed: int, rounds: int) -> Any:
        """A dataset of pairs or of single texts."""
        specials = _id_of(self.tokenizer, "cls_token"), _id_of(self.tokenizer, "sep_token")
        if not self.next_sentence:
            return SingleTexts(encoded, *specials, self.max_length)
        return NextSentencePairs(
            encoded.ids, *specials, self.max_length, seed, rounds, word_ids=encoded.words
        )

    def _learn_baselines(self) -> None:
        """Count the rows that the model learns from, with nothing hidden."""
        special = self.tokenizer.all_special_ids
        rows = [self.train_dataset[i] for i in range(len(self.train_dataset))]
        texts = [row["input_ids"] for row in rows]
        self._neighbour = LeftNeighbour(special).fit(texts)
        ids = np.concatenate(texts)
        ordinary = ids[~np.isin(ids, special)]
        counts = WittenBell(1).fit(ordinary, len(self.tokenizer))
        self._nats = -np.log(counts.probabilities(np.zeros(0, np.int64)))
        if self.next_sentence:
            chosen = np.linspace(0, len(rows) - 1, min(len(rows), MOST_PAIRS)).astype(int)
            self._overlap = WordOverlap(special).fit([rows[i] for i in chosen])

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
        if self.next_sentence:
            targets["nsp"] = len(self.eval_dataset)
        return found, targets

    def _counted(self, batch: Any) -> Sums:
        """What the baselines say of a masked batch."""
        asked = batch["labels"] != IGNORED
        truth, count = batch["labels"][asked], int(asked.sum())
        guesses = self._neighbour.guess(batch["input_ids"])[asked]
        found: Sums = {
            "unigram_loss": (float(self._nats[truth].sum()), count),
            "unigram_accuracy": (int((truth == self._neighbour.most_frequent).sum()), count),
            "left_neighbour_accuracy": (int((guesses == truth).sum()), count),
        }
        return found | self._counted_pairs(batch) if self.next_sentence else found

    def _counted_pairs(self, batch: Any) -> Sums:
        labels = batch["next_sentence_label"]
        rows = [
            {"input_ids": ids, "token_type_ids": types}
            for ids, types in zip(batch.unmasked, batch["token_type_ids"])
        ]
        right, count = int((self._overlap.predict(rows) == labels).sum()), len(labels)
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
        totals = {f"{name}_targets": (n * count, count) for name, n in self.targets.items()}
        return found | totals

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
        """
        ours = {"vocab_size": len(self.tokenizer), "max_position_embeddings": self.max_length}
        ours["pad_token_id"] = self.tokenizer.pad_token_id
        return model_class(self.next_sentence)(BertConfig.preset(preset, **{**ours, **changes}))


def model_class(next_sentence: bool) -> type[BertForPreTraining] | type[BertForMaskedLM]:
    """What a MaskedTask trains."""
    return BertForPreTraining if next_sentence else BertForMaskedLM


def _pair_sums(labels: np.ndarray, answer: Any) -> Sums:
    """Loss and right answers of the pairs of a batch."""
    said = answer.seq_relationship_logits.numpy().argmax(axis=-1)
    count = len(labels)
    return {
        "nsp_loss": (answer.nsp_loss.item() * count, count),
        "nsp_accuracy": (int((said == labels).sum()), count),
    }


def _id_of(tokenizer: Tokenizer, role: str) -> int:
    found = getattr(tokenizer, f"{role}_id")
    if found is None:
        raise ValueError(
            f"MaskedTask: the tokenizer has no {role}; train it with the special_tokens [PAD], "
            "[UNK], [CLS], [SEP] and [MASK]"
        )
    return int(found)
