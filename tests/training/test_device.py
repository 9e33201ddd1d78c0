"""Tests of a Trainer on a GPU, through the strict stand-in for CuPy: it takes no host array."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.common import blobs, network, trainer, weights
from tinygrad_llm.testing import strict_cupy
from tinygrad_llm.training import Callback


@pytest.fixture(autouse=True)
def cuda():
    with strict_cupy.installed():
        yield


SETTINGS = {
    "max_steps": 12,
    "eval_steps": 4,
    "save_steps": 3,
    "logging_steps": 4,
    "load_best_model_at_end": True,
    "gradient_accumulation_steps": 2,
    "dataloader_prefetch": 1,
    "weight_decay": 0.1,
}


def trained(folder, device, resume=None, **changes):
    model = network(dropout=0.2).to(device)
    run = trainer(model, output_dir=folder, test_dataset=blobs(30, seed=2), **SETTINGS, **changes)
    run.train(resume_from_checkpoint=resume)
    return run


@pytest.mark.parametrize("fp16", [False, True])
def test_it_trains_evaluates_and_tests_as_on_the_cpu(tmp_path, fp16):
    runs = [trained(tmp_path / device, device, fp16=fp16) for device in ("cpu", "cuda")]
    assert {p.device for p in runs[1].model.parameters()} == {"cuda:0"}
    for name, value in weights(runs[0].model).items():
        np.testing.assert_allclose(weights(runs[1].model)[name], value, rtol=1e-5, atol=1e-6)
    for found in zip(*(run.history for run in runs), strict=True):
        values = [{k: v for k, v in row.items() if k not in ("seconds", "kind")} for row in found]
        assert values[0] == pytest.approx(values[1], rel=1e-4)
    assert runs[0].test() == pytest.approx(runs[1].test(), rel=1e-4)


def test_it_goes_on_with_the_same_bits(tmp_path):
    class Die(Callback):
        def on_step_end(self, run):
            if run.state.step == 8:
                raise InterruptedError

    unharmed = trained(tmp_path / "a", "cuda")
    with pytest.raises(InterruptedError):
        trained(tmp_path / "b", "cuda", callbacks=[Die()])
    again = trained(tmp_path / "b", "cuda", resume=True)
    for name, value in weights(unharmed.model).items():
        assert weights(again.model)[name].tobytes() == value.tobytes()
