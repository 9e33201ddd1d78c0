"""Floor 0: where arrays live (devices) and where chance comes from (random streams)."""

from tinygrad_llm.backend.devices import device_of, is_array, namespace, put, to_host
from tinygrad_llm.backend.overrides import use_backend
from tinygrad_llm.backend.random import Stream, manual_seed, stream

__all__ = [
    "Stream",
    "device_of",
    "is_array",
    "manual_seed",
    "namespace",
    "put",
    "stream",
    "to_host",
    "use_backend",
]
