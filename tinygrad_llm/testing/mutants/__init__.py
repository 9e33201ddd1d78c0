"""Mutation testing of the gradients: each line is changed in turn, and a check must notice."""
