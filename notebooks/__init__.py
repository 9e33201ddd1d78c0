"""Notebooks for looking into a network, and the runner that executes them afresh."""
