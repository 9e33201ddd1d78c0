"""FinetuneOptions: every setting of a fine-tuning, checked before anything is read or written."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from tinygrad_llm.finetune.rows import TASKS
from tinygrad_llm.models import bert
from tinygrad_llm.training.settings import device as check_device
from tinygrad_llm.training.settings import number, one_of, switch, whole

METHODS = ("full", "head", "lora")

RATES = {"full": (2.5e-4, 1), "head": (1e-2, 0), "lora": (1e-3, 1)}
"""The highest learning rate of each method, where none is given, for a model of width `WIDTH`, and
by which power it falls as models get wider: of BERT-base then 8.3e-5, 1e-2 and 3.3e-4. It does not
rise further below a width of `NARROW`."""

SCRATCH = (5e-4, 1)
"""The same for a model that is made new."""

WIDTH, NARROW = 256, 128

EPOCHS = {"full": 8, "head": 30, "lora": 8}
"""How often all rows are learnt from, where nothing is given."""

STEPS, MOST_EPOCHS = 600, 60
"""Few rows are gone through until there are so many steps, or so often."""

LEAST_ROW = 8
"""Tokens of a text, special ones included, below which nothing is left of it."""

_ADAM = {"warmup": 0.0, "weight_decay": 0.0}

PRESETS: dict[str, dict[str, Any]] = {
    "J5": {"learning_rate": 1e-5, "warmup": 0.0, "weight_decay": 0.01},
    "J6": {"learning_rate": 2e-5, "epochs": 5, "batch_size": 16, "max_length": 128, **_ADAM},
    "J7": {"learning_rate": 5e-5, "epochs": 3, "batch_size": 16, "weight_decay": 0.01},
    "J8": {"learning_rate": 1e-5, "epochs": 3, "batch_size": 16, "seed": 42, **_ADAM},
}
"""The settings that the documents print for their four jobs, as far as they can be meant: J7 asks
for a warm-up of 500 steps, which outlasts most runs (F74), so that it gets a tenth here; J6 and J8
have Adam, whose decay is 0."""

OF_LORA = ("rank", "alpha", "rslora", "lora_targets", "merge")
OF_FULL = ("layer_decay", "unfreeze_every")
OF_NEW = ("tokenizer", "vocab_size")
OF_PLACE = ("out", "train", "valid", "test", "model", "device", "resume")
"""May differ when a run goes on: where it is, and where the data and the model lie that it began
with. What those are may not."""


@dataclass(frozen=True)
class FinetuneOptions:
    """Settings of `finetune`. Raises TypeError or ValueError, in one line that names the option and
    the mend, for a value that is wrong and for options that contradict each other."""

    model: str
    """The folder of a BERT with its tokenizer; or "tiny", "mini" or "base": a new one (a folder of
    such a name is "./tiny")."""
    train: str
    """`text<TAB>label` lines, or JSON lines, see `read_data`."""
    out: str
    """The folder that becomes that of the model: a new or empty one, or with resume that of a
    run."""
    task: str = "classification"
    """"classification", or "regression" for labels that are numbers."""
    valid: str | None = None
    """Rows to choose by; None: a tenth of `train` is held out."""
    test: str | None = None
    """Rows to judge by, once, at the end; None: a tenth of `train` is held out."""
    method: str = "full"
    """"full": all parameters learn; "head": the new head alone; "lora": LoRA and the head."""
    preset: str | None = None
    """"J5" … "J8": settings as the documents have them; others given beside it count more."""
    epochs: int | None = None
    """How often all rows are learnt from at most; None: `EPOCHS` of the method, and of few rows
    more, until there are `STEPS` steps."""
    batch_size: int | None = None
    """Rows of a batch; None: 32, of a new model 64."""
    learning_rate: float | None = None
    """The highest; it rises from 0 and falls to 0 in a line. None: that of the method, by the
    model's width."""
    warmup: float | None = None
    """The share of the steps in which it rises; None: 0.1."""
    weight_decay: float | None = None
    """Of the matrices; None: 0.01."""
    patience: int | None = None
    """Epochs without a better macro F1 (or squared error) on the validation rows after which the
    run ends; the best weights are taken in any case. None: half of all epochs, at least 3."""
    max_length: int | None = None
    """Tokens of a text, special ones included, beyond which it is cut; None: 128, or the model's
    longest if that is less."""
    layer_decay: float = 1.0
    """The learning rate of each layer is that of the layer above times this (full)."""
    unfreeze_every: int | None = None
    """Steps after which one more layer learns, from the top (full); None: all from the start."""
    dropout: float | None = None
    """From 0 to below 1, everywhere; None: as the model has it, a new one 0.2."""
    rank: int = 8
    """LoRA: inner width of the update."""
    alpha: float = 16.0
    """LoRA: its scale is alpha/rank, with rslora alpha/√rank."""
    rslora: bool = False
    lora_targets: str = "query,value"
    """LoRA: last names of the layers that get it, with commas between; or "all"."""
    merge: bool = False
    """LoRA: save an ordinary model folder, with the update in its weights, not the update alone."""
    tokenizer: str | None = None
    """A new model: the folder of a tokenizer; None: a WordPiece one is trained on `train`."""
    vocab_size: int | None = None
    """A new model: of the tokenizer that is trained; None: 8,000."""
    seed: int | None = None
    """Of the split, the head's first weights, order and dropout; None: 0."""
    device: str = "cpu"
    """"cpu", "cuda" or "cuda:1"."""
    resume: bool = False
    """Go on with the run in `out`; the other options are as they were."""

    def __post_init__(self) -> None:
        self._check_names()
        self._take_preset()
        self._check_numbers()
        self._check_method()

    def _check_names(self) -> None:
        for name in ("model", "train", "out", "valid", "test", "tokenizer"):
            value = getattr(self, name)
            if isinstance(value, os.PathLike):
                object.__setattr__(self, name, os.fspath(value))
            elif value is None and name in ("valid", "test", "tokenizer"):
                continue
            elif not isinstance(value, str) or not value:
                raise TypeError(f"{name} is {value!r}; give a name")
        one_of("task", self.task, TASKS)
        one_of("method", self.method, METHODS)
        if self.preset is not None:
            one_of("preset", self.preset, tuple(PRESETS))
        if not isinstance(self.lora_targets, str) or not all(self.lora_names):
            raise TypeError(
                f"lora_targets is {self.lora_targets!r}; give names of layers with commas between "
                "them, as 'query,value', or 'all'"
            )
        for name in ("rslora", "merge", "resume"):
            switch(name, getattr(self, name))
        check_device(self.device)

    def _take_preset(self) -> None:
        """Put in what is not given: the preset's settings, then the usual ones, but for those that
        hang on the model and the rows."""
        usual = {"batch_size": 64 if self.is_new else 32, "warmup": 0.1}
        usual |= {"weight_decay": 0.01, "seed": 0}
        usual |= {"dropout": 0.2} if self.is_new else {}
        for name, value in {**usual, **PRESETS.get(self.preset or "", {})}.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def settled(self, width: int, rows: int) -> FinetuneOptions:
        """With what is not given as it is for a model of this width and for so many rows to learn
        from: the rate, the epochs and the patience."""
        rate, power = SCRATCH if self.is_new else RATES[self.method]
        a_round = math.ceil(rows / (self.batch_size or 1))
        epochs = self.epochs or max(
            EPOCHS[self.method], min(MOST_EPOCHS, math.ceil(STEPS / a_round))
        )
        return replace(
            self,
            learning_rate=self.learning_rate or rate * (WIDTH / max(width, NARROW)) ** power,
            epochs=epochs,
            patience=self.patience or max(3, epochs // 2),
        )

    def _check_numbers(self) -> None:
        least = {"max_length": LEAST_ROW, "seed": 0}
        for name in ("batch_size", "rank", "seed"):
            whole(name, getattr(self, name), least.get(name, 1))
        for name in ("epochs", "patience", "max_length", "vocab_size", "unfreeze_every"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least.get(name, 1))
        if self.learning_rate is not None:
            number("learning_rate", self.learning_rate, 0.0, math.inf, low_too=False)
        number("warmup", self.warmup, 0.0, 1.0)
        number("weight_decay", self.weight_decay, 0.0, math.inf)
        number("alpha", self.alpha, 0.0, math.inf, low_too=False)
        number("layer_decay", self.layer_decay, 0.0, 1.0 + 1e-12, low_too=False)
        if self.dropout is not None:
            number("dropout", self.dropout, 0.0, 1.0)

    def _check_method(self) -> None:
        """Refuse options that would do nothing."""
        usual = {field.name: field.default for field in fields(self)}
        others = {"lora": OF_LORA, "full": OF_FULL}
        for method, names in others.items():
            for name in names:
                if self.method != method and getattr(self, name) != usual[name]:
                    raise ValueError(f"{name} is an option of method={method!r}; leave it out")
        for name in OF_NEW:
            if not self.is_new and getattr(self, name) is not None:
                raise ValueError(
                    f"{name} is for a new model; {self.model} brings its own, leave one out"
                )
        if self.tokenizer is not None and self.vocab_size is not None:
            raise ValueError(
                f"vocab_size is that of a tokenizer that is trained; {self.tokenizer} is a folder, "
                "leave one out"
            )
        if self.is_new and self.method != "full":
            raise ValueError(
                f"model {self.model} is a new one, of which all has to learn: give method='full', "
                "or the folder of a model"
            )

    @property
    def is_new(self) -> bool:
        """Whether the model is made new, not read from a folder."""
        return self.model in bert.PRESETS

    @property
    def lora_names(self) -> list[str]:
        """The names in lora_targets."""
        return [name.strip() for name in self.lora_targets.split(",")]

    @property
    def saves_adapter(self) -> bool:
        """Whether the folder gets what LoRA has added alone, not a model."""
        return self.method == "lora" and not self.merge

    def to_dict(self) -> dict[str, Any]:
        """All options, ready for JSON."""
        return asdict(self)
