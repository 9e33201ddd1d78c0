"""A pretraining on a GPU, through the strict stand-in for CuPy: it takes no host array."""

from __future__ import annotations

import numpy as np
import pytest

from tests.pretrain.common import run
from tinygrad_llm import models
from tinygrad_llm.testing import strict_cupy


@pytest.mark.parametrize("kind", ["gpt", "bert"])
def test_a_gpu_gives_what_the_cpu_gives(kind, tmp_path):
    with strict_cupy.installed():
        found = [
            run(tmp_path, device, device=device, model=kind, steps=2) for device in ("cpu", "cuda")
        ]
    assert found[0].metrics == pytest.approx(found[1].metrics, rel=1e-3)
    pairs = zip(*(models.from_pretrained(each.folder).parameters() for each in found))
    for a, b in pairs:
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-4)
