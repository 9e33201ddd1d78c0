"""The command `tinygrad-llm`: what it prints, how it ends, and that its help fits a terminal."""
