"""A framework from which to learn how large language models are made and fine-tuned, and to do it.

>>> from tinygrad_llm import Tensor
>>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
Tensor([2., 4., 6.])
"""

from tinygrad_llm import functional
from tinygrad_llm.autograd import grad, hessian, jacobian, jvp, vjp
from tinygrad_llm.backend import manual_seed, use_backend
from tinygrad_llm.checkpoint import checkpoint
from tinygrad_llm.functional import arange, eye, full, ones, rand, randn, zeros
from tinygrad_llm.graph import detect_anomaly, enable_grad, keep_values, no_grad
from tinygrad_llm.profile import profile
from tinygrad_llm.tensor import Tensor

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "arange",
    "checkpoint",
    "detect_anomaly",
    "enable_grad",
    "eye",
    "full",
    "functional",
    "grad",
    "hessian",
    "jacobian",
    "jvp",
    "keep_values",
    "manual_seed",
    "no_grad",
    "ones",
    "profile",
    "rand",
    "randn",
    "use_backend",
    "vjp",
    "zeros",
]
