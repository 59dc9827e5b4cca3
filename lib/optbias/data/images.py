"""Images that do not ship with a package: CIFAR-10."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optbias import _checks
from optbias.data.download import FILES, DataError, MissingFile, RemoteFile, describe, locate
from optbias.data.split import Split
from optbias.seeding import generator

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""The classes of CIFAR-10 in the order of their labels."""

SIZES = (32, 16, 8)
"""The sides of the images that :func:`cifar10` makes, in pixels."""


def cifar10(
    train: int = 50_000,
    test: int = 10_000,
    *,
    size: int = 32,
    images: bool = True,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    download: bool = False,
    verify: bool = True,
    dtype: torch.dtype = torch.float64,
) -> Split:
    """CIFAR-10: colour photographs of 32 x 32 pixels in ten classes, 50,000 to train on and 10,000 to test on.

    ``train`` and ``test`` images of the two parts, drawn by ``seed``; ``size`` 16 or 8 takes the mean over
    squares of 2 x 2 or 4 x 4 pixels. Each colour channel is shifted and scaled to mean 0 and variance 1 over the
    training images that were drawn. Inputs ``(n, 3, size, size)``, or ``(n, 3 size^2)`` with ``images=False``.

    Reads ``cifar-10-python.tar.gz``, the original, or else ``cifar10.zip``, in which each image is a JPEG file: a
    lossy re-encoding, in which case ``facts["lossy"]`` is True and the name says "JPEG re-encoding". The file
    comes from ``folder``, ``OPTBIAS_DATA`` or the cache, or with ``download=True`` the original from its public
    address.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009). Raises ValueError for
    bad sizes and :class:`~optbias.data.DataError` for a missing or damaged file.
    """
    _checks.one_of("size", size, SIZES)
    _checks.flag("images", images)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating-point torch.dtype; got {dtype!r}")
    for name, value in (("train", train), ("test", test)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number >= 1; got {value!r}")
    path, file = _found(folder, download, verify)
    lossy = file == FILES["cifar10-jpeg"]
    read = _jpegs if lossy else _batches
    random = generator(seed)
    (pixels, labels), (test_pixels, test_labels) = (
        read(path, part, count, random) for part, count in (("train", train), ("test", test))
    )
    # All of CIFAR-10 is 1.2 GB in float64: computed in the precision asked for, and in place.
    working = dtype if dtype == torch.float64 else torch.float32
    x, y = (_pooled(part, size, working) for part in (pixels, test_pixels))
    mean, std = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), correction=0, keepdim=True)
    x, y = (part.sub_(mean).div_(std).to(dtype) for part in (x, y))
    if not images:
        x, y = x.flatten(1), y.flatten(1)
    facts: dict[str, Any] = {**describe(file, verify), "size": size}
    facts |= {"train": train, "test": test, "seed": seed, "lossy": lossy}
    name = f"cifar10 {size}x{size}" + (", JPEG re-encoding" if lossy else "")
    source = "CIFAR-10 (Krizhevsky 2009)" + (", JPEG re-encoding" if lossy else "")
    return Split(name, 10, x, labels, y, test_labels, source, facts, CLASSES)


def _found(folder: str | os.PathLike[str] | None, download: bool, verify: bool) -> tuple[Path, RemoteFile]:
    """The original where there is one, else the JPEG files, else the original from its address."""
    for key in ("cifar10", "cifar10-jpeg"):
        try:
            return locate(FILES[key], folder, verify=verify), FILES[key]
        except MissingFile:
            continue
    return locate(FILES["cifar10"], folder, download=download, verify=verify), FILES["cifar10"]


def _chosen(available: int, part: str, count: int, random: torch.Generator) -> list[int]:
    if count > available:
        raise ValueError(f"{part} must be at most {available}, the number of images there; got {count}")
    return torch.randperm(available, generator=random)[:count].tolist()


class _ArraysOnly(pickle.Unpickler):
    """Reads numpy arrays, and refuses everything else that a pickle could run."""

    ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"): np.ndarray.__reduce__(np.empty(0))[0],
        ("numpy._core.multiarray", "_reconstruct"): np.ndarray.__reduce__(np.empty(0))[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        """The allowed class or function of this name; raises UnpicklingError for any other."""
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of images")
        return self.ALLOWED[module, name]


def _batches(path: Path, part: str, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """``count`` images ``(count, 3, 32, 32)`` uint8 and their labels, from the original archive."""
    names = [f"data_batch_{i}" for i in range(1, 6)] if part == "train" else ["test_batch"]
    wanted = {f"cifar-10-batches-py/{name}" for name in names}
    contents = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:  # one pass: a compressed archive cannot be read backwards cheaply
                stream = archive.extractfile(member) if member.name in wanted else None
                if stream is not None:
                    contents[member.name] = _ArraysOnly(stream, encoding="bytes").load()
    except (tarfile.TarError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"{path} is not the original archive of CIFAR-10: {error}") from None
    if set(contents) != wanted:
        raise DataError(f"{path} lacks {', '.join(sorted(wanted - set(contents)))}")
    batches = [contents[name] for name in sorted(contents)]
    pixels = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([np.asarray(batch[b"labels"]) for batch in batches])
    index = _chosen(len(labels), part, count, random)
    return torch.from_numpy(pixels[index]), torch.from_numpy(labels[index]).to(torch.int64)


def _jpegs(path: Path, part: str, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """The same from the JPEG files in a zip, ``train|test/<class>/NNNN.jpg``."""
    from PIL import Image

    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(n for n in archive.namelist() if n.startswith(f"{part}/") and n.endswith(".jpg"))
            chosen = [names[i] for i in _chosen(len(names), part, count, random)]
            pixels = [np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("RGB")) for n in chosen]
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is not a zip file: {error}") from None
    labels = torch.tensor([CLASSES.index(name.split("/")[1]) for name in chosen])
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2), labels


def _pooled(pixels: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    scaled = pixels.to(dtype).div_(255)
    return scaled if size == 32 else torch.nn.functional.avg_pool2d(scaled, 32 // size)
