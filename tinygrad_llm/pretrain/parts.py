"""What a pretraining is made of: tokenizer, task and model, as the options say."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinygrad_llm.models import GPT2LMHeadModel
from tinygrad_llm.pretrain.causal import CausalTask
from tinygrad_llm.pretrain.folder import check_start
from tinygrad_llm.pretrain.masked import MaskedTask, model_class
from tinygrad_llm.pretrain.options import TRAINED, PretrainOptions
from tinygrad_llm.pretrain.texts import Document
from tinygrad_llm.tokenizers import (
    ByteBPETokenizer,
    CharTokenizer,
    Template,
    Tokenizer,
    WordPieceTokenizer,
)
from tinygrad_llm.tokenizers.wordpiece import SPECIAL_TOKENS
from tinygrad_llm.training.checkpoints import checkpoints

Task = CausalTask | MaskedTask

USUAL_ROW = {"gpt": 128, "bert": 64}
"""Tokens of a row where nothing is said."""

USUAL_VOCABULARY = 4000

_ENDS = {
    "characters": ("[PAD]", "[UNK]", "<|endoftext|>"),
    "bpe": ("<|endoftext|>", "<|pad|>"),
    "wordpiece": ("[PAD]", "[UNK]", "<|endoftext|>"),
}
"""The special tokens of a GPT's tokenizers."""

NEEDED = {
    "gpt": ("eos_token",),
    "bert": ("cls_token", "sep_token", "mask_token", "pad_token"),
}
"""Tokens that a tokenizer which is read from a folder must have."""


def make_tokenizer(options: PretrainOptions, train: Sequence[Document]) -> Tokenizer:
    """The tokenizer of a folder, or one trained on the training documents. Raises as those do, and
    ValueError for one that lacks a token that the model needs."""
    kind = options.tokenizer_kind
    if kind is None:
        return _read_tokenizer(options)
    texts = [document.text for document in train]
    common: dict[str, Any] = {"special_tokens": _ENDS[kind]}
    if options.model == "bert":
        common = {"special_tokens": SPECIAL_TOKENS, "template": Template.around("[CLS]", "[SEP]")}
        names = ("input_ids", "token_type_ids", "attention_mask")
        common["model_input_names"] = names
    if kind == "characters":
        return CharTokenizer.train(texts, options.vocab_size, **common)
    size = options.vocab_size or USUAL_VOCABULARY
    if kind == "bpe":
        return ByteBPETokenizer.train(texts, size, **common)
    return WordPieceTokenizer.train(texts, size, lowercase=options.model == "bert", **common)


def _read_tokenizer(options: PretrainOptions) -> Tokenizer:
    folder = options.init or str(options.tokenizer)
    found = Tokenizer.from_pretrained(folder)
    for role in NEEDED[options.model]:
        if getattr(found, f"{role}_id") is None:
            mend = "begin a new model" if options.init else f"give one of {', '.join(TRAINED)}"
            raise ValueError(
                f"the tokenizer of {folder} has no {role}, which a {options.model} needs: {mend}"
            )
    return found


def initial_model(options: PretrainOptions) -> Any:
    """The model of `init`, or None. Raises ValueError for one of another family, and as
    `from_pretrained` does. Warns of parts that it lacks."""
    if options.init is None:
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = _owner(options).from_pretrained(options.init, **options.config_changes)
        except ValueError as error:
            said, other, _ = str(error).partition("; use models.from_pretrained")
            if not other:
                raise
            family = "bert" if options.model == "gpt" else "gpt"
            raise ValueError(f"{said}; give model={family}, or another init") from error
    for each in caught:
        warnings.warn(_learnt_anew(str(each.message)), each.category, stacklevel=3)
    return model


def _learnt_anew(said: str) -> str:
    """A warning of `from_pretrained` about drawn values, in words of what is learnt by them."""
    if "seq_relationship" not in said:
        return said
    words = "hidden words and next sentences" if "predictions" in said else "next sentences"
    return f"{words} are learnt from scratch: init has no weights for them"


def begun_model(options: PretrainOptions, saved: dict[str, Any]) -> Any:
    """The model of a run that goes on, before its weights are read from a checkpoint; as long as
    it has none, `initial_model`."""
    if checkpoints(options.out):
        owner = _owner(options)
        return owner(owner.config_class(**saved["config"]))
    initial = initial_model(options)
    check_start(saved, options, initial)
    return initial


def _owner(options: PretrainOptions) -> Any:
    return GPT2LMHeadModel if options.model == "gpt" else model_class(options.next_sentence)


def make_task(
    options: PretrainOptions,
    parts: tuple[list[Document], list[Document]],
    tokenizer: Tokenizer,
    model: Any,
) -> Task:
    """The task of the options. Raises ValueError where text, tokenizer and model do not fit."""
    length = _row_length(options, tokenizer, model)
    if options.model == "gpt":
        return CausalTask(*parts, tokenizer, length)
    return MaskedTask(
        *parts,
        tokenizer,
        length,
        options.mlm_probability,
        options.whole_word,
        options.next_sentence,
        options.seed,
    )


def _row_length(options: PretrainOptions, tokenizer: Tokenizer, model: Any) -> int:
    """block_size, or the usual one; no more than the model can read."""
    usual = USUAL_ROW[options.model]
    if model is None:
        return options.block_size or usual
    most = model.config.max_position_embeddings or max(options.block_size or 0, usual)
    if options.block_size is not None and options.block_size > most:
        raise ValueError(
            f"block_size {options.block_size} is more than the {most} positions of {options.init}; "
            f"give {most} or less"
        )
    if len(tokenizer) > model.config.vocab_size:
        raise ValueError(
            f"init {options.init}: its tokenizer has {len(tokenizer)} tokens and its model "
            f"{model.config.vocab_size}; give a folder whose two belong together"
        )
    return options.block_size or min(usual, most)


def make_model(options: PretrainOptions, task: Task, model: Any) -> Any:
    """The model that there is, else a new one; on the device. Raises RuntimeError without that."""
    if model is None:
        model = task.new_model(options.preset or "tiny", **options.config_changes)
    return model.to(options.device)


def tokenizer_of(options: PretrainOptions, train: Sequence[Document]) -> Tokenizer:
    """That which a run has saved in its folder, else a new one."""
    if options.resume and (Path(options.out) / "tokenizer.json").exists():  # its last file
        return Tokenizer.from_pretrained(options.out)
    return make_tokenizer(options, train)
