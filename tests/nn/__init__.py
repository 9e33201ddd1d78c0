"""Tests of modules, layers, initialization, and weights in files."""
