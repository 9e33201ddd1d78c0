"""Floor 9: fine-tuning: a pretrained model learns a task, wholly or by a few weights."""

from tinygrad_llm.finetune.adapters import load_adapter, save_adapter
from tinygrad_llm.finetune.classifier import Prediction, TextClassifier
from tinygrad_llm.finetune.ensembles import mean_probabilities, negative_log_likelihood
from tinygrad_llm.finetune.examples import Examples, encode
from tinygrad_llm.finetune.features import Head
from tinygrad_llm.finetune.freezing import counted, freeze, head_only, unfreeze, weights_hash
from tinygrad_llm.finetune.lora import (
    LoRALinear,
    add_lora,
    lora_layers,
    merge_lora,
    trainable_share,
)
from tinygrad_llm.finetune.measures import Result
from tinygrad_llm.finetune.options import FinetuneOptions
from tinygrad_llm.finetune.outcome import Cost, Finetuned
from tinygrad_llm.finetune.rates import GradualUnfreezing, layered_groups
from tinygrad_llm.finetune.rows import Data, Part, data_hash, read_data, read_part, shared_texts
from tinygrad_llm.finetune.run import finetune
from tinygrad_llm.finetune.start import with_head

__all__ = [
    "Cost",
    "Data",
    "Examples",
    "FinetuneOptions",
    "Finetuned",
    "GradualUnfreezing",
    "Head",
    "LoRALinear",
    "Part",
    "Prediction",
    "Result",
    "TextClassifier",
    "add_lora",
    "counted",
    "data_hash",
    "encode",
    "finetune",
    "freeze",
    "head_only",
    "layered_groups",
    "load_adapter",
    "lora_layers",
    "mean_probabilities",
    "merge_lora",
    "negative_log_likelihood",
    "read_data",
    "read_part",
    "save_adapter",
    "shared_texts",
    "trainable_share",
    "unfreeze",
    "weights_hash",
    "with_head",
]
