"""Names for weights: what differs in a single bit has another one."""

import hashlib
from collections.abc import Mapping

from torch import Tensor


def fingerprint(description: str, tensors: Mapping[str, Tensor]) -> bytes:
    """32 bytes (SHA-256) that name tensors, their names and types, and a description of what they belong to."""
    digest = hashlib.sha256(description.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.digest()
