"""The published forms of tokenizers, as Hugging Face's libraries write and read them."""

from tinygrad_llm.tokenizers.published.read import read_folder
from tinygrad_llm.tokenizers.published.write import save_folder

__all__ = ["read_folder", "save_folder"]
