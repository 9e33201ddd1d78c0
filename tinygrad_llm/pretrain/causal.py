"""The task of GPT: every next token of a text, and the counts of tokens that it has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_llm.data.pretraining import PackedBlocks
from tinygrad_llm.data.pretraining.masking import IGNORED
from tinygrad_llm.metrics import perplexity
from tinygrad_llm.models import GPT2Config, GPT2LMHeadModel, LanguageModelOutput
from tinygrad_llm.pretrain.scores import right_guesses
from tinygrad_llm.pretrain.texts import Document
from tinygrad_llm.tokenizers import Tokenizer
from tinygrad_llm.training.baselines import LeftNeighbour, WittenBell

ORDERS = {1: "unigram", 2: "bigram"}
"""The names of n-gram models of these orders; others are witten_bell_3 and so on."""


SHORTEST_ROW = 8
"""Tokens; with fewer there is not much to go on with."""

ROLES = ("bos_token_id", "eos_token_id", "pad_token_id")
"""Ids that a tokenizer and the configuration of a model have in common."""


class CausalTask:
    """Texts to continue, for a Trainer: `Trainer(model, arguments, **task.trainer_arguments())`.

    train, valid: documents, from `split_documents`. Each is encoded as a whole and followed by the
        tokenizer's eos_token, and all are packed into blocks of block_size tokens.
    orders: of the n-gram models by Witten and Bell's rule that are counted on `train` and measured
        on `valid`.

    The targets are all tokens of `valid`, the ends of documents among them, but the first of each
    block, before which a model sees nothing; `targets["tokens"]` counts them. The baselines are
    measured on these very targets. They see more than a model does at the beginning of a block:
    the order − 1 tokens before a target also where those are in the block before.

    An evaluation gives the mean loss, in nats a token (its exponential is the perplexity, G11), and
        accuracy: the share of targets that are the model's first guess.
        nats_per_character: the loss in nats a character, where each end of a document counts as
            one; by it runs with different tokenizers compare, if unknown is 0.
        unigram, bigram, witten_bell_3, …: nats a token, and unigram_accuracy (always the most
            frequent token) and bigram_accuracy (the one that most often follows).
        unknown: the share of targets for which the tokenizer has no token: of these the model
            learns only that they are unknown, which is easier than the text.
        tokens: how many targets there are.
    `baselines` has those of these that hang on no model; times `tokens_per_character` (of `valid`)
    its nats are nats a character too.

    Raises ValueError for a tokenizer without eos_token, a part without tokens, orders below 1, and
    fewer tokens than a block in `train`.
    """

    def __init__(
        self,
        train: Sequence[Document],
        valid: Sequence[Document],
        tokenizer: Tokenizer,
        block_size: int = 128,
        orders: Sequence[int] = (1, 2, 3, 4, 5),
    ):
        self.tokenizer, self.block_size = tokenizer, block_size
        end = _end_of(tokenizer)
        self.train_dataset = PackedBlocks(self._for_training(train), block_size, end)
        stream = np.concatenate([[*ids, end] for ids in self._encoded(valid, "valid")])
        size = len(stream) - (len(stream) % block_size == 1)  # a block of one token has no target
        self.eval_dataset = PackedBlocks([stream[:size]], block_size, None, remainder="keep")
        asked = np.arange(size) % block_size != 0
        self.targets = {"tokens": int(asked.sum())}
        characters = sum(len(document.text) + 1 for document in valid)
        self.tokens_per_character = len(stream) / characters
        self.baselines = {"tokens": float(self.targets["tokens"])}
        self.baselines["unknown"] = float(np.mean(stream[:size][asked] == self._unknown()))
        self.baselines |= self._counted(stream[:size], asked, orders)

    def _encoded(self, documents: Sequence[Document], part: str) -> list[np.ndarray]:
        """The ids of each document that has any."""
        rows = (self.tokenizer.encode(d.text, add_special_tokens=False) for d in documents)
        found = [np.array(row) for row in rows if row]
        if not found:
            raise ValueError(f"CausalTask: {part} has no tokens; give documents with text")
        return found

    def _for_training(self, documents: Sequence[Document]) -> list[np.ndarray]:
        """The same, where it is enough for a block."""
        found = self._encoded(documents, "train")
        size = sum(len(ids) + 1 for ids in found)
        if size < self.block_size:
            fits = f", or block_size {size} or less" if size >= SHORTEST_ROW else ""
            raise ValueError(
                f"CausalTask: the texts to learn from have {size} tokens, fewer than a block of "
                f"{self.block_size}: give more text{fits}"
            )
        return found

    def _unknown(self) -> int:
        """The id of what the tokenizer does not know; −1 for one that knows everything."""
        found = self.tokenizer.unk_token_id
        return -1 if found is None else found

    def _counted(self, stream: np.ndarray, asked: np.ndarray, orders: Sequence[int]) -> dict:
        """What counting the training text gives on the targets."""
        counted, found = self.train_dataset.tokens.astype(np.int64), {}
        for order in orders:
            model = WittenBell(order).fit(counted, len(self.tokenizer))
            name = ORDERS.get(order, f"witten_bell_{order}")
            found[name] = float(-model.logprobs(stream)[asked].mean())
        table = LeftNeighbour().fit([counted])
        found["unigram_accuracy"] = float(np.mean(stream[asked] == table.most_frequent))
        guesses = table.guess(stream[None])[0]
        found["bigram_accuracy"] = float(np.mean((guesses == stream)[asked]))
        return found

    def batch_metrics(self, batch: Any, answer: LanguageModelOutput) -> dict:
        """name -> (sum over the targets of a batch, their number), as a Trainer takes it."""
        following = np.full_like(batch["labels"], IGNORED)
        following[:, :-1] = batch["labels"][:, 1:]  # the place t is asked for token t + 1
        asked = following != IGNORED
        count = int(asked.sum())
        assert answer.loss is not None
        nats = answer.loss.item() * count * self.tokens_per_character
        found = {"accuracy": (right_guesses(answer, asked, following, len(self.tokenizer)), count)}
        found["nats_per_character"] = (nats, count)
        return found | {name: (value * count, count) for name, value in self.baselines.items()}

    def derived(self, metrics: dict[str, float]) -> dict[str, float]:
        """What follows from the metrics of an evaluation: {"eval_perplexity": e^eval_loss}."""
        return {"eval_perplexity": perplexity(metrics["eval_loss"])}

    def trainer_arguments(self) -> dict[str, Any]:
        """For `Trainer(model, arguments, **these)`."""
        return {
            "train_dataset": self.train_dataset,
            "eval_dataset": self.eval_dataset,
            "batch_metrics": self.batch_metrics,
        }

    def new_model(self, preset: str = "tiny", **changes: Any) -> GPT2LMHeadModel:
        """A GPT of a known size, with drawn weights, for this tokenizer and block_size; changes are
        those of `GPT2Config.preset`."""
        ours = {"vocab_size": len(self.tokenizer), "n_positions": self.block_size}
        ours |= {name: getattr(self.tokenizer, name) for name in ROLES}
        return GPT2LMHeadModel(GPT2Config.preset(preset, **{**ours, **changes}))


def _end_of(tokenizer: Tokenizer) -> int:
    if tokenizer.eos_token_id is None:
        raise ValueError(
            "CausalTask: the tokenizer has no eos_token to end a document with; "
            'add_tokens("<|endoftext|>", special_tokens=True) and set eos_token to it'
        )
    return tokenizer.eos_token_id
