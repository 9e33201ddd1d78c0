"""Floor 0: files on disk: atomic writes, locks and weight formats, read without trusting them."""

from tinygrad_llm.files.atomic import atomic_write, write_json, write_text
from tinygrad_llm.files.locks import locked
from tinygrad_llm.files.safetensors import load_safetensors, save_safetensors

__all__ = [
    "atomic_write",
    "load_safetensors",
    "locked",
    "save_safetensors",
    "write_json",
    "write_text",
]
