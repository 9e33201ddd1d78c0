"""Mutants of the fused ops that compute the same as the original; see `equivalents`."""

from __future__ import annotations

LISTED: dict[str, list[tuple[str, str, str]]] = {
    "LinearCrossEntropy.backward": [
        (
            "e = xp.exp(_shifted_logits(part, head))",
            "e = -xp.exp(_shifted_logits(part, head))",
            "e is divided by its own sum",
        ),
        (
            "e = xp.exp(_shifted_logits(part, head))",
            "e = 2.0 * xp.exp(_shifted_logits(part, head))",
            "e is divided by its own sum",
        ),
    ],
    "_moments": [
        ("centred = x - mean", changed, "the square is the same")
        for changed in ("centred = -(x - mean)", "centred = mean - x")
    ],
    "_chunks": [
        (
            "return [slice(start, start + chunk) for start in range(0, max(rows, 1), chunk)]",
            "return [slice(start, start + chunk) for start in range(0, max(rows, 2), chunk)]",
            "one more chunk of no rows adds nothing",
        ),
    ],
    "_dlogits": [
        (
            "q = q.astype(e.dtype) * (1.0 - head.smoothing) + head.smoothing / len(head.classes)",
            "q = q.astype(e.dtype) * (1.0 - head.smoothing) * q.astype(e.dtype) + "
            "head.smoothing / len(head.classes)",
            "of 0 and 1 the square is the number itself",
        ),
    ],
    "_weights": [
        (
            "s -= xp.where(xp.isfinite(top), top, 0.0)",
            "s -= xp.where(xp.isfinite(top), top, 1.0)",
            "where top = −∞ every s is −∞, and e^(−∞ − c) is 0 for every finite c",
        ),
        (
            "s -= xp.where(xp.isfinite(top), top, 0.0)",
            "s -= xp.where(xp.isfinite(top), top, -1.0)",
            "where top = −∞ every s is −∞, and e^(−∞ − c) is 0 for every finite c",
        ),
        ("e = wide(xp.exp(s))", "e = -wide(xp.exp(s))", "e is divided by its own sum"),
        ("e = wide(xp.exp(s))", "e = 2.0 * wide(xp.exp(s))", "e is divided by its own sum"),
        (
            "e /= xp.where(sums == 0, 1.0, sums)",
            "e /= xp.where(sums == 0, 2.0, sums)",
            "where the total is 0 every e is 0, and 0 / 2 is 0 / 1",
        ),
    ],
    "add_rows": [
        (
            "rank = xp.arange(len(ids)) - xp.searchsorted(ids, ids)",
            "rank = -(xp.arange(len(ids)) - xp.searchsorted(ids, ids))",
            "−n is odd where n is, and its half is the half of n with the sign changed",
        ),
        (
            "rank = xp.arange(len(ids)) - xp.searchsorted(ids, ids)",
            "rank = xp.searchsorted(ids, ids) - xp.arange(len(ids))",
            "−n is odd where n is, and its half is the half of n with the sign changed",
        ),
        (
            "rank = xp.arange(len(ids)) - xp.searchsorted(ids, ids)",
            "rank = 2.0 * (xp.arange(len(ids)) - xp.searchsorted(ids, ids))",
            "one round more, in which every rank is even and halved: cost",
        ),
        (
            "ids, order, rank = (ids[even], order[even], rank[even] // 2)",
            "ids, order, rank = (ids[even], order[even], -(rank[even] // 2))",
            "−n is odd where n is, and its half is the half of n with the sign changed",
        ),
    ],
}
