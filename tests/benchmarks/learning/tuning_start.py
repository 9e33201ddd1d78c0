"""What PyTorch's side of a tuning begins with, so that it does what ours does: the same weights,
tokens, batches and rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_llm import manual_seed, optim
from tinygrad_llm.data import DataLoader
from tinygrad_llm.finetune import Examples, FinetuneOptions, encode, lora_layers, read_data
from tinygrad_llm.finetune.methods import Sets, Work, prepare
from tinygrad_llm.finetune.run import arguments
from tinygrad_llm.finetune.start import Start, start
from tinygrad_llm.training import TrainingArguments
from tinygrad_llm.training.steps import make_optimizer

SIZES = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("intermediate_size", "hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob"),
    *("max_position_embeddings", "type_vocab_size", "layer_norm_eps", "pad_token_id"),
    *("classifier_dropout", "num_labels"),
)
"""Fields of a configuration that mean the same to transformers."""


def write_start(options: FinetuneOptions, path: Path) -> dict[str, Any]:
    """Write the arrays of a run into an .npz file: "weight NAME" of all weights, by our names;
    "train ids", "train ends" and "train labels" of the rows, and so on of valid and test; and
    "order" (epochs, N), the training rows as batches take them. Returns its settings, as JSON can
    hold them.

    Raises ValueError for what PyTorch's side does not do, and what `start` and `prepare` raise.
    """
    if options.unfreeze_every is not None:
        raise ValueError("unfreeze_every: PyTorch's side lets all layers learn from the start")
    data = read_data(options.train, options.valid, options.test, options.task, options.seed or 0)
    manual_seed(options.seed or 0)
    begun = start(options, data)
    parts = (encode(part, begun.tokenizer, begun.max_length, quiet=True) for part in data[:3])
    sets = Sets(*parts)
    work = prepare(options, begun, sets, quiet=True)
    plan = arguments(options, len(sets.train), work.optimizer is not None, quiet=True)
    arrays = {f"weight {name}": p.data for name, p in begun.model.named_parameters()}
    for name, rows in sets._asdict().items():
        arrays |= {f"{name} {kind}": array for kind, array in _columns(rows).items()}
    np.savez(path, order=orders(work, plan, len(sets.train)), **arrays)
    return _settings(options, begun, work, plan, len(sets.train))


def orders(work: Work, plan: TrainingArguments, rows: int) -> np.ndarray:
    """The row numbers of each epoch (epochs, N), as our Trainer draws them from this seed; batches
    are of neighbours, the smaller one last."""
    lengths = None
    if work.length is not None:
        found = [work.length(work.datasets[0][i]) for i in range(rows)]
        lengths = found.__getitem__
    manual_seed(plan.seed)
    size = plan.per_device_train_batch_size
    loader = DataLoader(range(rows), size, shuffle=True, collate_fn=np.array, length=lengths)
    return np.stack([np.concatenate(list(loader)) for _ in range(int(plan.num_train_epochs))])


def _columns(rows: Examples) -> dict[str, np.ndarray]:
    ids = [rows[i]["input_ids"] for i in range(len(rows))]
    ends = np.cumsum([len(each) for each in ids])
    return {"ids": np.concatenate(ids), "ends": ends, "labels": rows.labels}


def _settings(
    options: FinetuneOptions, begun: Start, work: Work, plan: TrainingArguments, rows: int
) -> dict[str, Any]:
    config, layers = begun.model.config, lora_layers(begun.model)
    optimizer = work.optimizer or make_optimizer(work.module, plan)
    steps = -(-rows // plan.per_device_train_batch_size) * int(plan.num_train_epochs)
    return {
        "config": {name: getattr(config, name) for name in SIZES},
        "pooler": begun.model.bert.pooler is not None,
        "method": options.method,
        "scales": {name: layer.settings.scale for name, layer in layers.items()},
        "groups": _groups(begun, optimizer),
        "rates": [optim.linear_factor(step, steps, plan.warmup_steps) for step in range(steps)],
        "batch_size": plan.per_device_train_batch_size,
        "eval_batch_size": plan.per_device_eval_batch_size,
        "max_grad_norm": plan.max_grad_norm,
        "patience": plan.early_stopping_patience,
        "seed": plan.seed,
    }


def _groups(begun: Start, optimizer: optim.Optimizer) -> list[dict[str, Any]]:
    """The optimizer's groups, with the names of what learns in place of it."""
    names = {id(p): name for name, p in begun.model.named_parameters()}
    kept = ("lr", "betas", "eps", "weight_decay")
    return [
        {"names": [names[id(p)] for p in group["params"]], **{k: group[k] for k in kept}}
        for group in optimizer.param_groups
    ]
