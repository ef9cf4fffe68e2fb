"""SHA-256 of everything: what the data must be, to the bit.

`golden_hashes.json` holds the hashes of MNIST's pixels and labels, and of every split of every realization. Those of the
50,000-image split belong to the data of the SESN paper (Sosnovik et al. 2020): the same images, saved as PNG files, have
the MD5 checksums that its code lists. Those of the 48,000-image split were measured with this suite.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

HASHES = Path(__file__).parent / "golden_hashes.json"


@cache
def golden() -> dict[str, Any]:
    """The packaged hashes: {"mnist": {...}, "mnist_scale": {test size: {realization: {split: {...}}}}}."""
    content: dict[str, Any] = json.loads(HASHES.read_text(encoding="utf-8"))
    return content


def sha256(array: np.ndarray[Any, Any]) -> str:
    """Hash of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def expected(realization: int, split: str, test_size: int) -> tuple[str, str]:
    """(images hash, labels hash) of a split."""
    entry = golden()["mnist_scale"][str(test_size)][str(realization)][split]
    return entry["images"], entry["labels"]


def fingerprint(realization: int, test_size: int) -> str:
    """One hash over those of all three splits."""
    parts = [part for split in ("train", "validation", "test") for part in expected(realization, split, test_size)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()
