"""What W&B wrote offline, read from its files.

They are logs of protocol buffers in LevelDB's format, https://github.com/google/leveldb/blob/main/doc/log_format.md,
behind a header of 7 bytes.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wandb

_BLOCK = 32768
_END = (1, 4)  # types of a record's last part: whole, last


@dataclass
class Offline:
    """The content of a run's files."""

    id: str = ""
    group: str = ""
    job_type: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    artifacts: dict[str, list[str]] = field(default_factory=dict)
    """Paths in each artifact, by its type."""


def read_offline(directory: Path) -> list[Offline]:
    """The W&B runs below a directory, in the order in which they were started."""
    wandb.teardown()  # waits until its service has written all
    return [_read(file) for file in sorted(directory.glob("wandb/offline-run-*/*.wandb"))]


def _read(file: Path) -> Offline:
    from wandb.proto.wandb_internal_pb2 import Record

    found = Offline()
    for data in _records(file.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            found.id, found.group, found.job_type = run.run_id, run.run_group, run.job_type
            found.config |= _items(run.config.update)
        elif kind == "config":
            found.config |= _items(record.config.update)
        elif kind == "summary":
            found.summary |= _items(record.summary.update)
        elif kind == "history":
            found.history.append(_items(record.history.item))
            found.summary |= found.history[-1]  # as W&B does
        elif kind == "artifact":
            found.artifacts[record.artifact.type] = [one.path for one in record.artifact.manifest.contents]
    return found


def _items(items: Any) -> dict[str, Any]:
    """Values by key, in which nested keys are joined with blanks."""
    return {" ".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def _records(content: bytes) -> Iterator[bytes]:
    place, parts = 7, b""
    while place + 7 <= len(content):
        left = _BLOCK - place % _BLOCK
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in _END:
            yield parts
            parts = b""
