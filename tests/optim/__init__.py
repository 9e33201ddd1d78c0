"""Tests of the optimizers, against PyTorch and against their own promises."""
