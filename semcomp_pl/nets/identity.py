"""Fingerprints of weights, which differ if any bit differs."""

import hashlib
from collections.abc import Mapping

from torch import Tensor


def fingerprint(description: str, tensors: Mapping[str, Tensor]) -> bytes:
    """SHA-256 (32 bytes) of tensors, their names, types and shapes, and a description of what they belong to."""
    digest = hashlib.sha256(description.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.digest()
