"""What a fine-tuning starts from: a model with a head for these labels, and its tokenizer."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_llm import models
from tinygrad_llm.finetune.adapters import SETTINGS as ADAPTER
from tinygrad_llm.finetune.options import FinetuneOptions
from tinygrad_llm.finetune.rows import Data
from tinygrad_llm.models import BertConfig, BertForSequenceClassification, BertModel
from tinygrad_llm.tokenizers import Tokenizer, WordPieceTokenizer

USUAL_LENGTH, USUAL_VOCABULARY = 128, 8000
"""Tokens of a text, and of a new tokenizer, where nothing is said."""

DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")

TUNED = (
    *("num_labels", "id2label", "problem_type", "classifier_pooling"),
    *(*DROPOUTS, "classifier_dropout"),
)
"""Fields of the configuration in which a tuned model may differ from the one it began as."""

NEEDED = ("cls_token", "sep_token", "pad_token")
"""Tokens that a tokenizer must have."""


class Start(NamedTuple):
    """max_length: tokens of a text."""

    model: BertForSequenceClassification
    tokenizer: Tokenizer
    max_length: int


def start(options: FinetuneOptions, data: Data) -> Start:
    """A model in float32, on the CPU, whose new weights are drawn from the present seed.

    Raises FileNotFoundError and ValueError, which name the folder and the mend, for a folder
    without a BERT or a tokenizer, for two that do not belong together, and a max_length beyond what
    the model can read; for a new model what `WordPieceTokenizer.train` raises.
    """
    if options.is_new:
        return _new(options, data)
    source = bert_of(options.model)
    tokenizer = _tokenizer(options.model)
    most = source.config.max_position_embeddings
    max_length = options.max_length or min(USUAL_LENGTH, most)
    if max_length > most:
        raise ValueError(
            f"max_length {max_length} is more than the {most} places of {options.model}; give "
            f"{most} or less"
        )
    _check_fits(options.model, tokenizer, source.config, data)
    return Start(with_head(source, **_changes(options, data)), tokenizer, max_length)


def bert_of(folder: str | os.PathLike[str]) -> Any:
    """The BERT of a folder, of whichever class. Raises as `models.from_pretrained`, and ValueError
    for another family and for a folder that has an adapter alone."""
    if (Path(folder) / ADAPTER).exists():
        raise ValueError(
            f"model {folder} has only what LoRA added to another model: tune that model once more "
            "with merge, and give the folder of that run"
        )
    source = models.from_pretrained(folder)
    if source.family != "bert":
        raise ValueError(
            f"model {folder} is a {type(source).__name__}, which cannot be tuned for this: give "
            "the folder of a BERT"
        )
    return source


def with_head(source: Any, **changes: Any) -> BertForSequenceClassification:
    """A classifier with the body of a BERT, and with its classifier where that is of the same
    labels, else a drawn one. changes: fields of the configuration.

    A body without a pooler, as of a BERT that was pretrained without next sentences, gets none: the
    mean of its states is read, which hidden words have taught something.
    """
    if _body(source).pooler is None:
        changes["classifier_pooling"] = "mean"
    model = BertForSequenceClassification(replace(source.config, **changes))
    _take(model, source)
    return model


def tokens_of(tokenizer: Tokenizer) -> int:
    """How many rows an embedding must have for all ids of a tokenizer."""
    return max(tokenizer.get_vocab().values()) + 1


def _new(options: FinetuneOptions, data: Data) -> Start:
    """A model with drawn weights, and a tokenizer of a folder or of the training texts."""
    max_length = options.max_length or USUAL_LENGTH
    tokenizer = _new_tokenizer(options, data)
    sizes: dict[str, Any] = {"vocab_size": tokens_of(tokenizer)}
    sizes |= {"max_position_embeddings": max_length, "pad_token_id": tokenizer.pad_token_id}
    sizes |= {"classifier_pooling": "mean"}
    config = BertConfig.preset(options.model, **sizes, **_changes(options, data))
    _check_fits(options.tokenizer or "", tokenizer, config, data)
    model = BertForSequenceClassification(config)
    model.bert.begin_positions()
    return Start(model, tokenizer, max_length)


def _new_tokenizer(options: FinetuneOptions, data: Data) -> Tokenizer:
    if options.tokenizer is not None:
        return _tokenizer(options.tokenizer)
    texts = [*data.train.texts, *(data.train.seconds or ())]
    return WordPieceTokenizer.train(texts, options.vocab_size or USUAL_VOCABULARY)


def _tokenizer(folder: str) -> Tokenizer:
    """That of a folder, which has what a BERT needs."""
    found = Tokenizer.from_pretrained(folder)
    for role in NEEDED:
        if getattr(found, f"{role}_id") is None:
            raise ValueError(
                f"the tokenizer of {folder} has no {role}, which a BERT needs: give the folder of "
                "another one"
            )
    return found


def _check_fits(folder: str, tokenizer: Tokenizer, config: BertConfig, data: Data) -> None:
    """Refuse a tokenizer that gives ids, or types of tokens, which the model has no row for."""
    if tokens_of(tokenizer) > config.vocab_size:
        raise ValueError(
            f"{folder}: its tokenizer has {tokens_of(tokenizer)} tokens and its model "
            f"{config.vocab_size}; give a folder whose two belong together"
        )
    template = tokenizer.template
    entries = template.single if data.train.seconds is None else template.pair
    types = 1 + max(kind for _, kind in entries)
    if "token_type_ids" in tokenizer.model_input_names and types > config.type_vocab_size:
        raise ValueError(
            f"{folder}: its tokenizer tells {types} types of tokens apart and its model "
            f"{config.type_vocab_size}; give a folder whose two belong together"
        )


def _changes(options: FinetuneOptions, data: Data) -> dict[str, Any]:
    """Fields of the configuration that labels and options set."""
    changes: dict[str, Any] = {"num_labels": len(data.names) or 1}
    changes["id2label"] = dict(enumerate(data.names)) if data.names else None
    changes["problem_type"] = "single_label_classification" if data.names else "regression"
    if options.dropout is not None:
        changes |= dict.fromkeys(DROPOUTS, float(options.dropout)) | {"classifier_dropout": None}
    return changes


def _take(model: BertForSequenceClassification, source: Any) -> None:
    """Give the model the body of another, and its classifier where that is of the same labels."""
    found = _body(source).state_dict()
    model.bert.load_state_dict({name: found[name] for name in model.bert.state_dict()})
    if isinstance(source, BertForSequenceClassification) and _same_labels(source, model):
        model.classifier.load_state_dict(source.classifier.state_dict())


def _body(source: Any) -> BertModel:
    return source if isinstance(source, BertModel) else source.bert


def _same_labels(
    source: BertForSequenceClassification, model: BertForSequenceClassification
) -> bool:
    """Whether two classifiers say the same things; one that does not say which problem it has can
    have that of the other."""
    before, now = source.config, model.config
    return (
        before.id2label == now.id2label
        and before.num_labels == now.num_labels
        and before.problem_type in (None, now.problem_type)
    )
