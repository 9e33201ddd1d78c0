"""What the tests of LoRA and of adapters share: a small BERT, tuned by a Trainer."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.engine.common import drawn
from tests.models.common import bert, ids
from tinygrad_llm import data, finetune, manual_seed, nn
from tinygrad_llm.backend import put
from tinygrad_llm.training import Trainer, TrainingArguments

WORDS = ids(16, 6)
LABELS = WORDS[:, 0] % 2


def classifier(dtype: str = "float32", **options: Any) -> Any:
    return bert("BertForSequenceClassification", **options).astype(dtype)


def layer(
    n_in: int = 4, n_out: int = 3, bias: bool = True, dtype: str = "float64", **options: Any
) -> finetune.LoRALinear:
    """One of rank 2 whose B is not 0."""
    manual_seed(0)
    made = finetune.LoRALinear(nn.Linear(n_in, n_out, bias).astype(dtype), **{"rank": 2, **options})
    made.lora_b.data[...] = drawn(*made.lora_b.shape)
    return made


def lively(model: Any, **options: Any) -> Any:
    """The model with LoRA whose B are not 0."""
    finetune.add_lora(model, **options)
    for i, layer in enumerate(finetune.lora_layers(model).values()):
        own, values = layer.lora_b, 0.3 * drawn(*layer.lora_b.shape, seed=i)
        own.data[...] = put(values.astype(own.dtype), own.device)
    return model


def tune(model: Any, steps: int = 6, **changes: Any) -> Any:
    """The model after steps of AdamW, in evaluation mode."""
    usual = {"learning_rate": 0.02, "weight_decay": 0.1, "quiet": True}
    args = TrainingArguments(max_steps=steps, **{**usual, **changes})
    dataset = data.ArrayDataset(input_ids=WORDS, labels=LABELS)
    Trainer(model, args, dataset).train()
    return model.eval()


def logits(model: Any) -> np.ndarray:
    return model(WORDS).logits.numpy()


def bits(model: Any) -> dict[str, bytes]:
    """All parameters by name."""
    return {name: p.numpy().tobytes() for name, p in model.named_parameters()}
