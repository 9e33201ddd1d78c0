"""Tokenizers: recorded ids and offsets, vocabularies, training, and files."""
