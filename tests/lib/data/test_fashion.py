"""Fashion-MNIST from files made here: format, border, checksums, errors."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from optbias.data import DataError, MissingFile, fashion, fashion_mnist


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four files of the right names with a few pictures, and no other place to look in."""
    monkeypatch.delenv("OPTBIAS_DATA", raising=False)
    monkeypatch.setenv("OPTBIAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fashion, "DEBIAN", tmp_path / "nowhere")
    random = np.random.default_rng(0)
    for (part, kind), file in fashion.FILES.items():
        n = 30 if part == "train" else 12
        if kind == "images":
            head, body = [n, 28, 28], random.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        else:
            head, body = [n], (np.arange(n) % 10).astype(np.uint8)
        content = bytes([0, 0, 8, len(head)]) + np.array(head, ">i4").tobytes() + body.tobytes()
        (tmp_path / file.name).write_bytes(gzip.compress(content))
    return tmp_path


def test_shapes_and_scale(folder: Path) -> None:
    """Images and vectors, a border of two, mean 0 and variance 1."""
    split = fashion_mnist(20, 10, folder=folder, verify=False)
    assert split.inputs.shape == (20, 1, 32, 32)
    assert split.test_inputs.shape == (10, 1, 32, 32)
    assert split.inputs.mean().abs() < 1e-12
    assert split.inputs.std(correction=0) == pytest.approx(1)
    border = split.inputs[:, 0, :2]
    assert torch.equal(border, border[0, 0, 0].expand_as(border))
    flat = fashion_mnist(20, 10, size=8, images=False, folder=folder, verify=False)
    assert flat.inputs.shape == (20, 64)
    assert torch.equal(flat.labels, split.labels)


def test_the_checksum_is_asked_for(folder: Path) -> None:
    """A file of the right name that is another one is refused, with both sizes."""
    with pytest.raises(DataError, match="should have"):
        fashion_mnist(20, 10, folder=folder)


def test_missing_says_where_to_get_it(folder: Path) -> None:
    """The folders, and Debian's package."""
    (folder / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(MissingFile, match="apt-get install dataset-fashion-mnist"):
        fashion_mnist(20, 10, folder=folder, verify=False)


@pytest.mark.parametrize(
    "damage",
    [b"no gzip", gzip.compress(b"\0\0\x08\x01"), gzip.compress(b"\0\0\x08\x03" + b"\0" * 20)],
    ids=["no gzip", "another kind", "a wrong length"],  # gzip writes the time of day, and names must stay
)
def test_damaged_files_are_named(folder: Path, damage: bytes) -> None:
    """No gzip, another kind of file, a wrong length."""
    file = folder / "train-images-idx3-ubyte.gz"
    file.write_bytes(damage)
    with pytest.raises(DataError, match=file.name):
        fashion_mnist(20, 10, folder=folder, verify=False)


def test_bad_sizes(folder: Path) -> None:
    """More images than there are, none, an unknown side."""
    for bad in ({"train": 31}, {"train": 0}, {"size": 28}):
        with pytest.raises(ValueError, match=r"train|size"):
            fashion_mnist(**({"train": 20, "test": 10} | bad), folder=folder, verify=False)  # type: ignore[arg-type]


def test_a_record_says_that_nothing_was_compared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether by the argument or for the whole process."""
    assert fashion_mnist(20, 10, folder=folder, verify=False).facts["checksum"] == "not verified"
    monkeypatch.setenv("OPTBIAS_VERIFY", "0")
    assert fashion_mnist(20, 10, folder=folder).facts["checksum"] == "not verified"
