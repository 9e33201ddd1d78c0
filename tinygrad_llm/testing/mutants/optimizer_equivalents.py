"""Mutants of the optimizers that make the same steps as before, and why; see `equivalents`."""

from __future__ import annotations

LISTED: dict[str, list[tuple[str, str, str]]] = {
    "SGD.shrink": [
        (
            "flat.xp.clip(w, -most, most, out=c)",
            "flat.xp.clip(-most, w, most, out=c)",
            "clip(x, a, b) is min(max(x, a), b), in which x and a may change places",
        ),
    ],
    "LAMB.trust_ratio": [
        (
            "both = (long > 0.0) & (short > 0.0)",
            "both = 2.0 * ((long > 0.0) & (short > 0.0))",
            "where() takes 2 for true as it takes 1",
        ),
    ],
    "Optimizer.step": [
        ("self.check(group)", "pass", "it raises or does nothing"),
    ],
    "Optimizer._house": [
        (
            "new = [p for p in parameters if p.grad is not None and id(p) not in housed]",
            "new = [p for p in parameters if id(p) not in housed]",
            "cost: what has no gradient yet gets memory, and no tile of it is updated",
        ),
        (
            "flats += _flats_of(new) if new else []",
            "flats += _flats_of(new)",
            "cost: of no parameters there are no Flats",
        ),
    ],
    "Flat._tiles": [
        (
            "while i < count and present[i] and self.steps[i] == step:",
            "while i > count and present[i] and self.steps[i] == step:",
            "cost: i > count is never true, and each parameter becomes a stretch of its own",
        ),
    ],
    "Flat._house": [
        (
            "self._homes[i] = parameter.data",
            "pass",
            "cost: every step moves the parameters into a new array, with the same values",
        ),
    ],
}
"""By function: (original line, mutated line, why nothing changes)."""
