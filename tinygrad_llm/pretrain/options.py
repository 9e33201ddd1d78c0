"""PretrainOptions: every setting of a pretraining, checked before anything is read or written."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from typing import Any

from tinygrad_llm.models.gpt2 import PRESETS
from tinygrad_llm.pretrain.causal import SHORTEST_ROW
from tinygrad_llm.pretrain.texts import check_unit
from tinygrad_llm.training.settings import device as check_device
from tinygrad_llm.training.settings import number, one_of, switch, whole

MODELS = ("gpt", "bert")
TRAINED = ("characters", "bpe", "wordpiece")
"""Tokenizers that can be trained on the text; another name is a folder."""

LEAST_BPE = {"gpt": 258, "bert": 261}
"""A byte-level vocabulary has 256 bytes beside the special tokens."""

DROPOUTS = {
    "gpt": ("resid_pdrop", "embd_pdrop", "attn_pdrop"),
    "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
}
"""Fields of a configuration that the option dropout sets."""

OF_BERT = ("whole_word", "next_sentence", "mlm_probability")
OF_PLACE = ("out", "data", "device", "init", "resume")
"""May differ when a run goes on: where it is, and where the data and the model lie that it began
with. What those are may not."""


@dataclass(frozen=True)
class PretrainOptions:
    """Settings of `pretrain`. Raises TypeError or ValueError, in one line that names the option and
    the mend, for a value that is wrong and for options that contradict each other."""

    model: str
    """"gpt" continues texts, "bert" fills in hidden words."""
    data: str
    """What `read_documents` reads: "english", "chinese", a .txt or .jsonl file, a folder."""
    out: str
    """The folder that becomes a model folder: a new or empty one, or with resume that of a run."""
    preset: str | None = None
    """The size, "tiny" (None), "mini" or "base"; with init it is that model's."""
    tokenizer: str | None = None
    """"characters", "bpe" or "wordpiece": trained on the training documents; else a folder with a
    tokenizer. None: "bpe" for a GPT, "wordpiece" for a BERT; with init it is that model's."""
    vocab_size: int | None = None
    """Of a tokenizer that is trained, special tokens included; None: 4,000, of characters all."""
    block_size: int | None = None
    """Tokens of a row, at least 8. None: 128 for a GPT, 64 for a BERT, or init's limit if lower."""
    batch_size: int = 16
    """Rows of a batch."""
    steps: int = 1000
    """Updates of the weights."""
    learning_rate: float = 1e-3
    """The highest; it rises from 0 and falls to 0 as a cosine."""
    warmup: float = 0.1
    """The share of the steps in which it rises."""
    weight_decay: float = 0.01
    dropout: float | None = None
    """From 0 to below 1, everywhere. None: 0.1; with init as it is there."""
    seed: int = 0
    """Of first weights, order, dropout, split, pairs and hidden words."""
    valid_share: float = 0.1
    """The share of the text that is held out, see `split_documents`."""
    unit: str | None = None
    """What a document of a .txt file is: "file", "paragraph" or "line", see `read_documents`."""
    whole_word: bool = False
    """BERT: hide all tokens of a word together. Chinese words are those of a dictionary, that of
    the package's own Chinese texts, held-out ones included; it covers other Chinese text less. In
    other scripts a word is a run of letters."""
    next_sentence: bool = True
    """BERT: learn also whether one text follows another, from documents of several sentences."""
    mlm_probability: float = 0.15
    """BERT: the share of tokens that are asked for."""
    init: str | None = None
    """A model folder to start from: continued pretraining. After the first checkpoint it is not
    read any more."""
    resume: bool = False
    """Go on with the run in `out`; the other options are as they were."""
    save_steps: int | None = None
    """Steps from one checkpoint to the next; None: a tenth of the run."""
    eval_steps: int | None = None
    """Steps from one evaluation to the next; None: a tenth of the run."""
    gradient_checkpointing: bool = False
    """Less memory for more time."""
    gradient_accumulation_steps: int = 1
    """Batches in an update."""
    device: str = "cpu"
    """"cpu", "cuda" or "cuda:1"."""

    def __post_init__(self) -> None:
        self._check_texts()
        self._check_numbers()
        self._check_start()
        if self.model == "gpt":
            for name in OF_BERT:
                if getattr(self, name) != getattr(type(self), name):
                    raise ValueError(f"{name} is an option of model='bert'; leave it out")
        check_unit(self.data, self.unit)

    def _check_texts(self) -> None:
        for name in ("data", "out", "tokenizer", "init"):
            value = getattr(self, name)
            if isinstance(value, os.PathLike):
                object.__setattr__(self, name, os.fspath(value))
            elif name in ("tokenizer", "init") and value is None:
                continue
            elif not isinstance(value, str) or not value:
                raise TypeError(f"{name} is {value!r}; give a name")
        one_of("model", self.model, MODELS)
        if self.preset is not None:
            one_of("preset", self.preset, tuple(PRESETS))
        for name in ("whole_word", "next_sentence", "resume", "gradient_checkpointing"):
            switch(name, getattr(self, name))
        check_device(self.device)

    def _check_numbers(self) -> None:
        least = {"block_size": SHORTEST_ROW, "seed": 0}
        for name in ("batch_size", "steps", "seed", "gradient_accumulation_steps"):
            whole(name, getattr(self, name), least.get(name, 1))
        for name in ("vocab_size", "block_size", "save_steps", "eval_steps"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least.get(name, 1))
        number("learning_rate", self.learning_rate, 0.0, math.inf, low_too=False)
        number("warmup", self.warmup, 0.0, 1.0)
        number("weight_decay", self.weight_decay, 0.0, math.inf)
        number("valid_share", self.valid_share, 0.0, 1.0, low_too=False)
        number("mlm_probability", self.mlm_probability, 0.0, 1.0, low_too=False)
        if self.dropout is not None:
            number("dropout", self.dropout, 0.0, 1.0)

    def _check_start(self) -> None:
        """The model and the tokenizer come from init, or are made."""
        for name in ("preset", "tokenizer", "vocab_size"):
            if self.init is not None and getattr(self, name) is not None:
                raise ValueError(f"{name} is for a new model; init brings its own, leave one out")
        if self.vocab_size is None:
            return
        if self.tokenizer_kind is None:
            raise ValueError(
                f"vocab_size is that of a tokenizer that is trained; {self.tokenizer} is a folder, "
                "leave one out"
            )
        least = LEAST_BPE[self.model] if self.tokenizer_kind == "bpe" else 10
        if self.vocab_size < least:
            kind = self.tokenizer_kind
            raise ValueError(f"vocab_size {self.vocab_size} is too few for {kind}; give {least} up")

    @property
    def tokenizer_kind(self) -> str | None:
        """Which tokenizer is trained; None where it is read from a folder."""
        if self.init is not None:
            return None
        named = self.tokenizer or ("bpe" if self.model == "gpt" else "wordpiece")
        return named if named in TRAINED else None

    @property
    def config_changes(self) -> dict[str, Any]:
        """Fields of the model's configuration that the options set."""
        changes: dict[str, Any] = {}
        if self.init is None or self.gradient_checkpointing:
            changes["gradient_checkpointing"] = self.gradient_checkpointing
        if self.dropout is not None:
            changes |= dict.fromkeys(DROPOUTS[self.model], float(self.dropout))
        return changes

    def to_dict(self) -> dict[str, Any]:
        """All options, ready for JSON."""
        return asdict(self)
