"""The process of one run of `tuning`: our fine-tuning, and what is proved of what it leaves."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.benchmarks.environment import facts, peak_memory
from tests.benchmarks.worker import serve
from tinygrad_llm.finetune import (
    Finetuned,
    FinetuneOptions,
    TextClassifier,
    finetune,
    load_adapter,
    read_part,
    weights_hash,
)
from tinygrad_llm.finetune.freezing import body_of
from tinygrad_llm.finetune.measures import BAG
from tinygrad_llm.finetune.start import TUNED, bert_of, with_head
from tinygrad_llm.models import BertModel

COMPARED = 256
"""Test rows of which logits before and after merging are compared."""


def main() -> None:
    serve(lambda: {"run": run, "facts": lambda _: facts("ours")})


def run(given: dict[str, Any]) -> dict[str, Any]:
    """What a run with these options gives, as JSON can hold it. "right" and "bag": "1" for each
    test row of which the model, or the bag of words, says the right class, else "0"."""
    options = FinetuneOptions(**given)
    done = finetune(options, quiet=True)
    mib, result = peak_memory(), done.result  # before anything else needs memory
    said = {"right": result.predicted, "bag": result.baselines[BAG]}
    return {
        "accuracy": float((result.predicted == result.labels).mean()),
        **{name: digits(each == result.labels) for name, each in said.items()},
        "trained": done.cost.trained,
        "parameters": done.cost.parameters,
        "seconds": done.cost.seconds,
        "mib": mib,
        "merged": merging_changes(options, done) if options.saves_adapter else None,
        "body_kept": body_kept(options, done) if options.method == "head" else None,
    }


def digits(right: np.ndarray) -> str:
    """Booleans (N,) as a text of 0 and 1."""
    return "".join(map(str, right.astype(int)))


def merging_changes(options: FinetuneOptions, done: Finetuned) -> float:
    """The largest difference between a logit with the adapter beside the weights and one with both
    in one matrix, as the folder is read, over the first test rows; as a share of the largest."""
    merged = TextClassifier.from_pretrained(done.folder)
    changes = {name: getattr(merged.model.config, name) for name in TUNED}
    model = with_head(bert_of(options.model), **changes)
    load_adapter(model, done.folder)
    apart = TextClassifier(model.eval(), merged.tokenizer, merged.max_length)
    texts = read_part(str(options.test), options.task, done.result.names).texts[:COMPARED]
    logits = apart.logits(texts)
    return float(np.abs(merged.logits(texts) - logits).max() / np.abs(logits).max())


def body_kept(options: FinetuneOptions, done: Finetuned) -> bool:
    """Whether the body of the tuned model has the weights that it began with, bit by bit."""
    source = bert_of(options.model)
    before = source if isinstance(source, BertModel) else body_of(source)
    tuned = TextClassifier.from_pretrained(done.folder).model
    return weights_hash(body_of(tuned)) == weights_hash(before)


if __name__ == "__main__":
    main()
