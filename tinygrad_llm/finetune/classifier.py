"""TextClassifier: texts in, classes or numbers out, by the folder of a fine-tuned model."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm import data, nn
from tinygrad_llm.finetune.adapters import SETTINGS as ADAPTER
from tinygrad_llm.finetune.adapters import load_adapter
from tinygrad_llm.finetune.examples import Row, encoded, pad_id
from tinygrad_llm.finetune.lora import merge_lora
from tinygrad_llm.finetune.start import TUNED, bert_of, tokens_of, with_head
from tinygrad_llm.models import BertForSequenceClassification, from_pretrained
from tinygrad_llm.tokenizers import Tokenizer
from tinygrad_llm.training.batches import onto
from tinygrad_llm.training.settings import switch, whole

FINETUNE = "finetune.json"
"""Beside the model: how its texts were encoded."""


class Prediction(NamedTuple):
    """What a model says of a text: the most probable class, of several the first, and the
    probability of each by its name, in their order; or a number, and {}."""

    label: str | float
    probabilities: dict[str, float]


class TextClassifier:
    """A fine-tuned model with its tokenizer, in evaluation mode.

    names: of the classes, in the order of their numbers; "0", "1", … where the model has none, and
    () for a model that gives numbers. max_length: tokens of a text, special ones included, beyond
    which it is cut. pairs: whether it was tuned on pairs of texts; None where nobody says.
    """

    def __init__(
        self,
        model: BertForSequenceClassification,
        tokenizer: Tokenizer,
        max_length: int,
        pairs: bool | None = None,
    ):
        self.model, self.tokenizer = model, tokenizer
        self.max_length, self.pairs = max_length, pairs
        self.names = _names(model.config)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], device: str = "cpu") -> TextClassifier:
        """Of a folder with a model, a tokenizer, and, for max_length and pairs, finetune.json;
        without that file max_length is the model's longest text. A folder of LoRA may have an
        adapter alone: finetune.json then says where the model is that it was trained on. Nothing is
        downloaded.

        Raises FileNotFoundError for what is missing; ValueError for a model that classifies no
        texts, or gives several labels at once; for a tokenizer with more tokens than the model has;
        for a finetune.json that is broken, or says more than the model can; where the model of an
        adapter has changed; and what `models.from_pretrained`, `load_adapter` and
        `Tokenizer.from_pretrained` raise for broken files; RuntimeError without such a device.
        """
        folder = Path(folder)
        model = _tuned(folder) if (folder / ADAPTER).exists() else from_pretrained(folder)
        _check_model(folder, model)
        assert isinstance(model, BertForSequenceClassification)
        tokenizer = Tokenizer.from_pretrained(folder)
        _check_tokenizer(folder, tokenizer, model.config.vocab_size)
        return cls(model.to(device), tokenizer, *_how(folder, model.config))

    def predict(
        self, texts: Sequence[str], seconds: Sequence[str] | None = None, batch_size: int = 64
    ) -> list[Prediction]:
        """What the model says of each text, or of each with its second text, in their order.

        Raises as `logits` does.
        """
        scores = self.logits(texts, seconds, batch_size)
        if not self.names:
            return [Prediction(number, {}) for number in scores[:, 0].tolist()]
        return [
            Prediction(self.names[int(np.argmax(row))], dict(zip(self.names, row.tolist())))
            for row in _softmax(scores)
        ]

    def probabilities(
        self, texts: Sequence[str], seconds: Sequence[str] | None = None, batch_size: int = 64
    ) -> np.ndarray:
        """Those of the classes, (N, C) float64, each row with the sum 1.

        Raises RuntimeError for a model that gives numbers, else as `logits` does.
        """
        if not self.names:
            raise RuntimeError("this model gives numbers, which have no probabilities: use predict")
        return _softmax(self.logits(texts, seconds, batch_size))

    def logits(
        self, texts: Sequence[str], seconds: Sequence[str] | None = None, batch_size: int = 64
    ) -> np.ndarray:
        """What the model gives for each text: scores of the classes (N, C), or numbers (N, 1), in
        float64 and in the order of the texts.

        Texts of like length are in a batch together, and padding changes nothing of what is said.
        seconds: the second texts of pairs, one for each text.
        Raises TypeError for what is no list of texts; ValueError for another number of seconds than
        of texts, pairs where the model was tuned on single texts, or the other way round, a text of
        which no token is left, a max_length without room for a text, and a batch_size below 1.
        """
        whole("batch_size", batch_size, 1)
        _check_texts(texts, seconds)
        if self.pairs is not None and self.pairs != (seconds is not None):
            asked, tuned = ("single texts", "pairs")[:: 1 if self.pairs else -1]
            raise ValueError(f"these are {asked}, and the model was tuned on {tuned}: give those")
        rows = list(encoded(texts, seconds, self.tokenizer, self.max_length))
        found = np.zeros((len(rows), max(1, len(self.names))))
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i].ids))
        if order and not rows[order[-1]].ids:
            text = texts[order[-1]]
            raise ValueError(f"the tokenizer makes no token of the text {text!r:.40}; leave it out")
        with nn.evaluating(self.model):
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                found[chosen] = self._scores([rows[i] for i in chosen])
        return found

    def _scores(self, rows: list[Row]) -> np.ndarray:
        """The logits (B, C) of a batch, on the host."""
        typed = "token_type_ids" in self.tokenizer.model_input_names
        dicts: list[dict[str, Any]] = [
            {"input_ids": row.ids, **({"token_type_ids": row.types} if typed else {})}
            for row in rows
        ]
        batch = data.Padding({"input_ids": pad_id(self.tokenizer)})(dicts)
        device = next(self.model.parameters()).device
        return self.model(**onto(batch, device)).logits.numpy()  # type: ignore[arg-type]


def _tuned(folder: Path) -> BertForSequenceClassification:
    """The model that an adapter was trained on, with it. Raises ValueError as `load_adapter`, where
    finetune.json does not say which model that is, and for one of another kind; FileNotFoundError
    where that is gone."""
    base = _said(folder / FINETUNE, "base")
    if not isinstance(base, str) or not base or not Path(base).is_dir():
        raise FileNotFoundError(
            f"{folder} has only what LoRA added to the model of {base!r:.200}, which is not there: "
            f'write where it is into {FINETUNE}, as "base"'
        )
    config, source = BertForSequenceClassification.config_of(folder), bert_of(base)
    changes = {name: getattr(config, name) for name in TUNED}
    changes["num_labels"] = len(config.id2label or [0])  # of a file, which may say anything
    if replace(source.config, **changes) != config:
        raise ValueError(
            f"{folder} was tuned from a model of another configuration than {base} has now: write "
            f'where that model is into {FINETUNE}, as "base"'
        )
    model = with_head(source, **changes)
    load_adapter(model, folder)
    merge_lora(model)
    return model.eval()


def _check_texts(texts: Any, seconds: Any) -> None:
    """Refuse what are not texts, and not one second text for each of them."""
    for name, given in (("texts", texts), ("seconds", () if seconds is None else seconds)):
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise TypeError(f"{name} is of type {type(given).__name__}; give a list of texts")
        for i, text in enumerate(given):
            if not isinstance(text, str):
                raise TypeError(f"{name}[{i}] is of type {type(text).__name__}; give a text")
    if seconds is not None and len(seconds) != len(texts):
        raise ValueError(f"{len(texts)} texts but {len(seconds)} seconds; give one for each")


def _names(config: Any) -> tuple[str, ...]:
    """The names of the classes; () for a model that gives numbers."""
    if config.problem_type == "regression" or (
        config.problem_type is None and config.num_labels == 1
    ):
        return ()
    if config.id2label is None:
        return tuple(map(str, range(config.num_labels)))
    return tuple(config.id2label.values())


def _check_model(folder: Path, model: Any) -> None:
    """Refuse models that give no class, and no number, of a text."""
    if not isinstance(model, BertForSequenceClassification):
        raise ValueError(
            f"{folder} holds a {type(model).__name__}, which classifies no texts: fine-tune it "
            "first, and give the folder of that run"
        )
    config = model.config
    if config.problem_type == "multi_label_classification":
        raise ValueError(
            f"{folder} is of a model that gives several labels at once: call it itself"
        )
    if config.problem_type == "regression" and config.num_labels > 1:
        raise ValueError(
            f"{folder} is of a model that gives {config.num_labels} numbers: call it itself"
        )


def _check_tokenizer(folder: Path, tokenizer: Tokenizer, vocabulary: int) -> None:
    """Refuse ids that the model has no row for, and a tokenizer that cannot pad."""
    pad_id(tokenizer)
    if tokens_of(tokenizer) > vocabulary:
        raise ValueError(
            f"{folder}: the tokenizer has ids up to {tokens_of(tokenizer) - 1}, but the model's "
            f"vocabulary has {vocabulary} tokens: give the model the tokenizer that it learnt with"
        )


def _how(folder: Path, config: Any) -> tuple[int, bool | None]:
    """max_length and pairs: what finetune.json says, else the model's longest text, and None."""
    path, most = folder / FINETUNE, config.max_position_embeddings
    if not path.exists():
        return most, None
    length, pairs = _said(path, "max_length"), _said(path, "pairs", None)
    try:
        whole("max_length", length, 1)
        if pairs is not None:
            switch("pairs", pairs)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error!s:.100}: write it anew") from None
    if length > most:
        raise ValueError(
            f"{path}: max_length is {length}, but the model takes {most} tokens: write at most that"
        )
    return length, pairs


def _said(path: Path, name: str, *otherwise: Any) -> Any:
    """What a finetune.json says under a name; otherwise, if given, where it says nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found.get(name, *otherwise) if otherwise else found[name]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = str(error).split("\n")[0]
        raise ValueError(f"{path} has no {name} to read ({said:.100}): write it anew") from None


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
