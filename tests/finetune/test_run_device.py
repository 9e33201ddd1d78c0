"""A fine-tuning on a GPU, through the strict stand-in for CuPy: it takes no host array."""

from __future__ import annotations

import numpy as np
import pytest

from tests.finetune.run_common import (
    METHODS,
    data_of,
    options,
    run,
    save_model,
    write_numbers,
    write_pairs,
    write_rows,
)
from tinygrad_llm.finetune import TextClassifier
from tinygrad_llm.finetune import run as running
from tinygrad_llm.finetune.judging import said_of
from tinygrad_llm.testing import strict_cupy

CASES = {
    **{method: ("BertForPreTraining", changes) for method, changes in METHODS.items()},
    "mean": ("BertForMaskedLM", METHODS["head"]),
    "pairs": ("BertForPreTraining", {"train": "pairs.jsonl"}),
    "numbers": ("BertForMaskedLM", {"train": "numbers.tsv", "task": "regression"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_gpu_gives_what_the_cpu_gives(case, tmp_path, quick, monkeypatch):
    for write in (write_rows, write_numbers, write_pairs):
        write(tmp_path)
    kind, changes = CASES[case]
    save_model(tmp_path / "bert", kind)
    changes = {"epochs": 1, "learning_rate": 1e-3, "batch_size": 16, **changes}
    if "train" in changes:
        changes["train"] = tmp_path / changes["train"]
    places, trainer = [], running._trainer

    def watched(*given):
        made = trainer(*given)
        places.append({p.device.partition(":")[0] for p in made.model.parameters()})
        return made

    monkeypatch.setattr(running, "_trainer", watched)
    with strict_cupy.installed():
        found = [run(tmp_path, device, device=device, **changes) for device in ("cpu", "cuda")]
        part = data_of(options(tmp_path, **changes)).test
        asked = [
            TextClassifier.from_pretrained(tmp_path / folder, device=device)
            for folder, device in (("cuda", "cpu"), ("cpu", "cuda"))
        ]
        answers = [each.logits(part.texts, part.seconds) for each in asked]
    assert places == [{"cpu"}, {"cuda"}]
    said = [said_of(each.folder) for each in found]
    for other in (said[1], *answers):
        np.testing.assert_allclose(other, said[0], rtol=1e-3, atol=1e-4)
