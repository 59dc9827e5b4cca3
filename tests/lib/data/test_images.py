"""CIFAR-10: both forms of the file, pooling, standardisation, and what a damaged or hostile file does."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import struct
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from optbias import data
from optbias.data import DataError, MissingFile
from optbias.data.download import FILES
from optbias.data.images import CLASSES

shared = pytest.mark.skipif(not os.environ.get("OPTBIAS_DATA"), reason="OPTBIAS_DATA names no folder with CIFAR-10")


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth pictures, so that JPEG changes them little, and labels that can be read off their colour."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    ramp = np.linspace(0, 60, 32)
    image = 20 * labels[:, None, None, None] + ramp[:, None] * random.uniform(0, 0.5, (count, 3, 1, 1)) + ramp * 0.3
    return image.astype(np.uint8), labels


class Python2Pickler(pickle._Pickler):
    """Writes strings and bytes as Python 2 wrote its strings, as in the authors' files."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, value: str | bytes) -> None:
        content = value.encode() if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def batch(images: np.ndarray, labels: np.ndarray, name: str = "labels") -> bytes:
    """A batch as the authors pickled it."""
    contents = {"batch_label": "training batch", name: labels.tolist(), "data": images.reshape(len(images), -1)}
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(contents | {"filenames": ["a.png"] * len(labels)})
    return stream.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def archive(path, parts: dict[str, bytes], folder: str = "cifar-10-batches-py") -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in parts.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def original(tmp_path):
    images, labels = pictures(100, 0)
    parts = {"readme.html": b"not a pickle"}
    parts |= {
        f"data_batch_{i + 1}": batch(images[20 * i : 20 * i + 20], labels[20 * i : 20 * i + 20]) for i in range(5)
    }
    archive(tmp_path / "cifar-10-python.tar.gz", parts | {"test_batch": batch(*pictures(30, 1))})
    return tmp_path


@pytest.fixture
def jpeg(tmp_path):
    from PIL import Image

    folder = tmp_path / "cifar10-jpeg"
    folder.mkdir()
    with zipfile.ZipFile(folder / "cifar10.zip", "w") as zipped:
        zipped.writestr("README.md", "hello")
        for part, count, seed in (("train", 100, 0), ("test", 30, 1)):
            for i, (image, label) in enumerate(zip(*pictures(count, seed), strict=True)):
                stream = io.BytesIO()
                Image.fromarray(image.transpose(1, 2, 0)).save(stream, "JPEG", quality=95)
                zipped.writestr(f"{part}/{CLASSES[label]}/{i // 10:04d}.jpg", stream.getvalue())
    return tmp_path


@pytest.fixture(autouse=True)
def nowhere_else(request, monkeypatch, tmp_path):
    if "real" not in request.node.name:
        monkeypatch.delenv("OPTBIAS_DATA", raising=False)
        monkeypatch.setenv("OPTBIAS_CACHE", str(tmp_path / "cache"))


def test_cifar100_has_the_fine_labels_of_its_archive(tmp_path):
    images, labels = pictures(60, 0)
    parts = {"meta": b"not a pickle", "train": batch(images, labels * 9, "fine_labels")}
    archive(
        tmp_path / "cifar-100-python.tar.gz",
        parts | {"test": batch(*pictures(30, 1), "fine_labels")},
        "cifar-100-python",
    )
    split = data.cifar100(60, 30, size=8, folder=tmp_path, verify=False)
    assert (split.name, split.classes, split.vocabulary) == ("cifar100 8x8", 100, ())
    assert split.inputs.shape == (60, 3, 8, 8)
    assert sorted(split.labels.tolist()) == sorted((labels * 9).tolist())
    assert "CIFAR-100" in split.source
    with pytest.raises(DataError, match=r"cifar-100-python.tar.gz should have 169,001,437 bytes and has"):
        data.cifar100(60, 30, folder=tmp_path)
    # The other archive under this name, and no archive at all.
    archive(tmp_path / "cifar-100-python.tar.gz", {"test_batch": batch(images, labels)})
    with pytest.raises(DataError, match="lacks cifar-100-python/train"):
        data.cifar100(60, 30, folder=tmp_path, verify=False)
    (tmp_path / "cifar-100-python.tar.gz").unlink()
    with pytest.raises(MissingFile, match=r"Fetch it with `python -m optbias.data cifar100` or download=True, or name"):
        data.cifar100(60, 30, folder=tmp_path)


def test_original(original):
    split = data.cifar10(100, 30, folder=original, verify=False)
    assert split.name == "cifar10 32x32"
    assert split.classes == 10
    assert split.vocabulary == CLASSES
    assert split.inputs.shape == (100, 3, 32, 32)
    assert split.test_inputs.shape == (30, 3, 32, 32)
    assert split.labels.dtype == torch.int64
    assert split.facts["lossy"] is False
    # Standardised by the training part, channel by channel.
    assert split.inputs.mean((0, 2, 3)).abs().max() < 1e-12
    assert (split.inputs.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-12
    assert split.test_inputs.mean().abs() > 1e-3
    # Each image with its label, channels and rows in place: undo shift and scale and compare.
    images, labels = pictures(100, 0)
    stored = torch.from_numpy(images).double()
    mean, std = stored.mean((0, 2, 3), keepdim=True), stored.std((0, 2, 3), correction=0, keepdim=True)
    restored = (split.inputs * std + mean).round().to(torch.uint8)
    known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert [known[r.numpy().tobytes()] for r in restored] == split.labels.tolist()
    assert sorted(known) == sorted(r.numpy().tobytes() for r in restored)


def test_jpeg(jpeg):
    split = data.cifar10(100, 30, folder=jpeg, verify=False)
    assert split.name == "cifar10 32x32, JPEG re-encoding"
    assert "JPEG re-encoding" in split.source
    assert split.facts["lossy"] is True
    images, labels = pictures(100, 0)
    stored = torch.from_numpy(images).double()
    mean, std = stored.mean((0, 2, 3), keepdim=True), stored.std((0, 2, 3), correction=0, keepdim=True)
    standard = (stored - mean) / std
    for image, label in zip(split.inputs, split.labels.tolist(), strict=True):
        nearest = (standard - image).abs().amax((1, 2, 3)).argmin()
        assert labels[nearest] == label
        assert (standard[nearest] - image).abs().mean() < 0.05


def test_the_original_goes_first(original, jpeg):
    assert data.cifar10(10, 10, folder=original, verify=False).facts["lossy"] is False
    (original / "cifar-10-python.tar.gz").unlink()
    assert data.cifar10(10, 10, folder=original, verify=False).facts["lossy"] is True


def test_a_damaged_original_is_not_replaced_by_the_lossy_one(original, jpeg, monkeypatch):
    zipped = (jpeg / "cifar10-jpeg" / "cifar10.zip").read_bytes()
    intact = replace(FILES["cifar10-jpeg"], checksum=f"md5:{hashlib.md5(zipped).hexdigest()}", size=len(zipped))
    monkeypatch.setitem(FILES, "cifar10-jpeg", intact)
    with pytest.raises(DataError, match=r"cifar-10-python.tar.gz should have 170,498,071 bytes"):
        data.cifar10(10, 10, folder=original)


@pytest.mark.parametrize("size", [16, 8])
def test_pooling_is_the_mean_of_squares(original, size):
    full = data.cifar10(40, 20, folder=original, verify=False)
    small = data.cifar10(40, 20, size=size, folder=original, verify=False)
    assert small.inputs.shape == (40, 3, size, size)
    assert torch.equal(small.labels, full.labels)
    k = 32 // size
    means = full.inputs.reshape(40, 3, size, k, size, k).mean((3, 5))
    # Scaled again by its own statistics: the same up to shift and scale of each channel.
    for c in range(3):
        a, b = means[:, c].flatten(), small.inputs[:, c].flatten()
        torch.testing.assert_close((a - a.mean()) / a.std(correction=0), b, rtol=1e-9, atol=1e-10)


def test_flat_dtype_and_seed(original):
    flat = data.cifar10(40, 20, size=8, images=False, folder=original, verify=False, dtype=torch.float32)
    assert flat.inputs.shape == (40, 192)
    assert flat.inputs.dtype == torch.float32
    one, two = (data.cifar10(40, 20, size=8, seed=s, folder=original, verify=False) for s in (0, 1))
    torch.testing.assert_close(flat.inputs, one.inputs.flatten(1).float())
    assert not torch.equal(one.labels, two.labels)


def test_a_pickle_that_runs_something_is_refused(original, tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was run"),)

    folder = tmp_path / "hostile"
    folder.mkdir()
    archive(folder / "cifar-10-python.tar.gz", {f"data_batch_{i}": pickle.dumps(Hostile()) for i in range(1, 6)})
    with pytest.raises(DataError, match=r"mkdir has no place in a file of images"):
        data.cifar10(10, 10, folder=folder, verify=False)
    assert not (tmp_path / "was run").exists()


def test_damaged_files(original, tmp_path):
    path = original / "cifar-10-python.tar.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="is not the original archive"):
        data.cifar10(10, 10, folder=original, verify=False)
    path.write_bytes(b"not gzip at all")
    with pytest.raises(DataError, match="is not the original archive"):
        data.cifar10(10, 10, folder=original, verify=False)
    archive(path, {"data_batch_1": batch(*pictures(20, 0))})
    with pytest.raises(DataError, match="lacks cifar-10-batches-py/data_batch_2"):
        data.cifar10(10, 10, folder=original, verify=False)
    path.unlink()
    (original / "cifar10.zip").write_bytes(b"not a zip")
    with pytest.raises(DataError, match="is not a zip file"):
        data.cifar10(10, 10, folder=original, verify=False)


@shared
def test_real_cifar10():
    split = data.cifar10(200, 100, size=8)
    assert split.inputs.shape == (200, 3, 8, 8)
    assert set(split.labels.tolist()) == set(range(10))
    assert torch.isfinite(split.inputs).all()
    assert ("JPEG" in split.name) == split.facts["lossy"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"train": 101}, ValueError, "train must be at most 100, the number of images there; got 101"),
        ({"test": 31}, ValueError, "test must be at most 30"),
        ({"train": 0}, ValueError, "train must be a whole number >= 1; got 0"),
        ({"size": 10}, ValueError, "size must be one of 32, 16, 8; got 10"),
        ({"images": 1}, TypeError, "images must be True or False"),
        ({"dtype": torch.int64}, TypeError, "floating-point torch.dtype"),
        ({"seed": -1}, ValueError, "seed must be"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_bad_arguments(original, arguments, error, message):
    with pytest.raises(error, match=message):
        data.cifar10(**{"train": 10, "test": 10, "folder": original, "verify": False} | arguments)


def test_missing(tmp_path):
    with pytest.raises(MissingFile, match="Fetch it with `python -m optbias.data cifar10`"):
        data.cifar10(folder=tmp_path)


def test_registry():
    assert set(data.DATASETS) >= {"digits", "generated-text", "penn-treebank", "shakespeare", "cifar10", "cifar100"}
    assert all(callable(loader) for loader in data.DATASETS.values())
    assert data.DATASETS["digits"]().facts == {}
