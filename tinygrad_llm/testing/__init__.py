"""Tools with which gradients are tested: here, in your own code, and in the exercises.

`gradcheck` needs NumPy alone; `testing.strategies` imports hypothesis.
"""

from tinygrad_llm.testing.gradcheck import GradientError, gradcheck

__all__ = ["GradientError", "gradcheck"]
