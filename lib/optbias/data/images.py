"""Images that do not ship with a package: CIFAR-10 and CIFAR-100."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from dataclasses import dataclass
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

    >>> from optbias.data import MissingFile
    >>> try:
    ...     images = cifar10(train=100, test=50).inputs  # (100, 3, 32, 32)
    ... except MissingFile:  # it is not here, and nothing is fetched without download=True
    ...     images = None
    """
    return _cifar(CIFAR10, train, test, size, images, seed, folder, download, verify, dtype)


def cifar100(
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
    """CIFAR-100: the same kind of photographs in a hundred classes (the fine labels), 50,000 and 10,000.

    Arguments, scaling and errors as :func:`cifar10`. Reads ``cifar-100-python.tar.gz``, the original.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).

    >>> from optbias.data import MissingFile
    >>> try:
    ...     images = cifar100(train=100, test=50).inputs  # (100, 3, 32, 32)
    ... except MissingFile:  # it is not here, and nothing is fetched without download=True
    ...     images = None
    """
    return _cifar(CIFAR100, train, test, size, images, seed, folder, download, verify, dtype)


@dataclass(frozen=True)
class Archive:
    """One of Krizhevsky's archives: its files, by part, and where the labels lie in them."""

    title: str
    name: str
    """In :data:`~optbias.data.download.FILES`."""
    folder: str
    parts: dict[str, tuple[str, ...]]
    labels: bytes
    classes: int
    words: tuple[str, ...] = ()


CIFAR10 = Archive(
    "CIFAR-10",
    "cifar10",
    "cifar-10-batches-py",
    {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)},
    b"labels",
    10,
    CLASSES,
)
CIFAR100 = Archive(
    "CIFAR-100", "cifar100", "cifar-100-python", {"train": ("train",), "test": ("test",)}, b"fine_labels", 100
)


def check_request(train: int, test: int, size: int, images: bool, dtype: torch.dtype) -> None:
    """Refuse what no set of images can give: TypeError for a dtype that is no floating-point one, else ValueError."""
    _checks.one_of("size", size, SIZES)
    _checks.flag("images", images)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating-point torch.dtype; got {dtype!r}")
    for name, value in (("train", train), ("test", test)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number >= 1; got {value!r}")


def _cifar(
    archive: Archive,
    train: int,
    test: int,
    size: int,
    images: bool,
    seed: int,
    folder: str | os.PathLike[str] | None,
    download: bool,
    verify: bool,
    dtype: torch.dtype,
) -> Split:
    check_request(train, test, size, images, dtype)
    path, file = _found(archive, folder, download, verify)
    lossy = file == FILES["cifar10-jpeg"]
    random = generator(seed)
    (pixels, labels), (test_pixels, test_labels) = (
        _jpegs(path, part, count, random) if lossy else _batches(archive, path, part, count, random)
        for part, count in (("train", train), ("test", test))
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
    name = f"{archive.name} {size}x{size}" + (", JPEG re-encoding" if lossy else "")
    source = f"{archive.title} (Krizhevsky 2009)" + (", JPEG re-encoding" if lossy else "")
    return Split(name, archive.classes, x, labels, y, test_labels, source, facts, archive.words)


def _found(
    archive: Archive, folder: str | os.PathLike[str] | None, download: bool, verify: bool
) -> tuple[Path, RemoteFile]:
    """The original where there is one, else (CIFAR-10) the JPEG files, else the original from its address."""
    for key in (archive.name, *(["cifar10-jpeg"] if archive is CIFAR10 else [])):
        try:
            return locate(FILES[key], folder, verify=verify), FILES[key]
        except MissingFile:
            continue
    return locate(FILES[archive.name], folder, download=download, verify=verify), FILES[archive.name]


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


def _batches(archive: Archive, path: Path, part: str, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """``count`` images ``(count, 3, 32, 32)`` uint8 and their labels, from the original archive."""
    wanted = {f"{archive.folder}/{name}" for name in archive.parts[part]}
    contents = {}
    try:
        with tarfile.open(path, "r:gz") as opened:
            for member in opened:  # one pass: a compressed archive cannot be read backwards cheaply
                stream = opened.extractfile(member) if member.name in wanted else None
                if stream is not None:
                    contents[member.name] = _ArraysOnly(stream, encoding="bytes").load()
    except (tarfile.TarError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"{path} is not the original archive of {archive.title}: {error}") from None
    if set(contents) != wanted:
        raise DataError(f"{path} lacks {', '.join(sorted(wanted - set(contents)))}")
    batches = [contents[name] for name in sorted(contents)]
    pixels = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([np.asarray(batch[archive.labels]) for batch in batches])
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
