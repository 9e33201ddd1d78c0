"""Floor 10: the command `tinygrad-llm`, which trains models and writes texts with them."""

from tinygrad_llm.cli.command import main

__all__ = ["main"]
