"""Checkpoints that are written whole or not at all, and never believed without their checksum."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import torch

MAGIC = b"optbias checkpoint 1\n"


class CheckpointError(RuntimeError):
    """No checkpoint could be read although there are files of one."""


def previous(path: Path) -> Path:
    """Where the checkpoint before the last one lies."""
    return path.with_name(path.name + ".previous")


def save(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` (tensors, numbers, strings, lists, dicts) to ``path``; the old file becomes :func:`previous`.

    The file begins with the SHA-256 of the rest. It is written beside the target, forced to the disk
    and renamed, so a process killed at any moment leaves the old checkpoint or the new one. Raises
    OSError, for example on a full disk; then the old checkpoint is untouched.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            file.write(MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n")
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.replace(path, previous(path))
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def load(path: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest checkpoint that is whole, and what was wrong with newer files; None if there is no file at all.

    A damaged file is renamed to ``NAME.damaged`` if the one before it is whole, so that it never takes its
    place. Raises CheckpointError if there are files and none is whole.
    """
    problems: list[str] = []
    for candidate in (path, previous(path)):
        if not candidate.exists():
            continue
        try:
            content = _read(candidate)
        except CheckpointError as error:
            problems.append(str(error))
            continue
        if problems:
            os.replace(path, path.with_name(path.name + ".damaged"))
        return content, problems
    if problems:
        raise CheckpointError("; ".join(problems) + ". Delete the files to start from the beginning")
    return None, problems


def _read(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    head = len(MAGIC) + 65
    if not raw.startswith(MAGIC) or len(raw) < head:
        raise CheckpointError(f"{path} is no checkpoint of this library")
    payload = raw[head:]
    if hashlib.sha256(payload).hexdigest().encode() != raw[len(MAGIC) : head - 1]:
        raise CheckpointError(f"{path} is damaged: its content does not match its checksum")
    return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
