"""Mutants that compute the same gradient as the original, each with the algebra that shows it.

Keyed by (function, original line, mutated line). An entry that fits no mutant, or a mutant that
does not survive, is an error: the list can neither grow old nor hide a gap.
"""

from __future__ import annotations

from tinygrad_llm.testing.mutants.generator import plain

_LISTED: dict[tuple[str, str, str], str] = {}

EQUIVALENTS = {(f, plain(a), plain(b)): why for (f, a, b), why in _LISTED.items()}
