"""Mutants of the faster ops on the CPU that compute the same as the original; see `equivalents`."""

from __future__ import annotations

LISTED: dict[str, list[tuple[str, str, str]]] = {
    "product": [
        ("if x.ndim == 2:", f"if x.ndim {other}:", "a short cut: NumPy's own way gives the same")
        for other in ("!= 2", "== 3", "== 1")
    ],
    "_exact": [
        ("cdf, near = scratch", "near, cdf = scratch", "one piece of memory is as good as another"),
        (
            "np.clip(z, -FAR, FAR, out=near)",
            "np.clip(-FAR, z, FAR, out=near)",
            "min(max(z, −c), c) = min(max(−c, z), c)",
        ),
    ],
    "_by_tanh": [
        ("h, rest = scratch", "rest, h = scratch", "one piece of memory is as good as another"),
    ],
    "_exp2": [
        ("power *= seen", "power *= -seen", "the powers of a row are divided by their own sum"),
        (
            "power *= seen",
            "power *= 2.0 * seen",
            "the powers of a row are divided by their own sum",
        ),
    ],
    "_inverse": [
        (
            "total[total == 0.0] = 1.0",
            "total[total == 0.0] = 2.0",
            "where the total is 0 every power is 0, and 0 / 2 is 0 / 1",
        ),
    ],
    "_seen": [
        (
            "return np.broadcast_to(seen.astype(np.float32), (*q.shape[:3], k.shape[2]))",
            "return -np.broadcast_to(seen.astype(np.float32), (*q.shape[:3], k.shape[2]))",
            "the powers of a row, which it multiplies, are divided by their own sum",
        ),
        (
            "return np.broadcast_to(seen.astype(np.float32), (*q.shape[:3], k.shape[2]))",
            "return 2.0 * np.broadcast_to(seen.astype(np.float32), (*q.shape[:3], k.shape[2]))",
            "the powers of a row, which it multiplies, are divided by their own sum",
        ),
        (
            "return np.broadcast_to(seen.astype(np.float32), (*q.shape[:3], k.shape[2]))",
            "return np.broadcast_to(seen, (*q.shape[:3], k.shape[2]))",
            "True is 1 and False is 0 in a product; it only takes longer",
        ),
    ],
    "shift": [
        *(
            ("return bool(finite.all())", changed, "asked is only whether it is true")
            for changed in ("return -bool(finite.all())", "return 2.0 * bool(finite.all())")
        ),
        (
            "top[~finite] = 0.0",
            "top[~finite] = 1.0",
            "such a row is all −∞, and stays so, or has NaN or ∞ and becomes NaN",
        ),
        (
            "top[~finite] = 0.0",
            "top[~finite] = -1.0",
            "such a row is all −∞, and stays so, or has NaN or ∞ and becomes NaN",
        ),
    ],
}
