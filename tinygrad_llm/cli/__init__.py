"""Floor 10: the command `tinygrad-llm`: it trains models, writes texts and labels them."""

from tinygrad_llm.cli.command import main

__all__ = ["main"]
