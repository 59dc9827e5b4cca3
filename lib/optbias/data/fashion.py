"""Fashion-MNIST, from its original four files."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optbias.data.download import DataError, MissingFile, RemoteFile, describe, locate
from optbias.data.images import _chosen, _pooled, check_request
from optbias.data.split import Split
from optbias.seeding import generator

CLASSES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
"""The classes in the order of their labels."""

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package ``dataset-fashion-mnist`` puts the files."""

_LICENCE = "MIT licence, Zalando SE."
FILES = {
    (part, kind): RemoteFile(
        f"{stem}-{kind}-idx{dimensions}-ubyte.gz",
        "",  # Debian has them as a package: apt-get install dataset-fashion-mnist
        f"sha256:{sha256}",
        size,
        ("", "fashion-mnist"),
        _LICENCE,
    )
    for part, stem, kind, dimensions, size, sha256 in (
        ("train", "train", "images", 3, 26_421_856, "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7"),
        ("train", "train", "labels", 1, 29_491, "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056"),
        ("test", "t10k", "images", 3, 4_422_079, "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa"),
        ("test", "t10k", "labels", 1, 5_125, "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05"),
    )
}
"""The four files, by part and kind."""


def fashion_mnist(
    train: int = 60_000,
    test: int = 10_000,
    *,
    size: int = 32,
    images: bool = True,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    verify: bool = True,
    dtype: torch.dtype = torch.float64,
) -> Split:
    """Fashion-MNIST: grey pictures of clothes in ten classes, 60,000 to train on and 10,000 to test on.

    ``train`` and ``test`` images of the two parts, drawn by ``seed``. The pictures have 28 x 28 pixels and get an empty
    border of two, as is common, so that they are 32 x 32; ``size`` 16 or 8 takes the mean over squares of 2 x 2 or
    4 x 4. They are shifted and scaled to mean 0 and variance 1 over the training images drawn. Inputs ``(n, 1, size,
    size)``, or ``(n, size^2)`` with ``images=False``.

    Reads the four original ``.gz`` files, from ``folder``, ``OPTBIAS_DATA``, the cache, or where Debian's package
    ``dataset-fashion-mnist`` puts them.

    Source: Xiao, Rasul and Vollgraf, arXiv 1708.07747. Raises ValueError for bad sizes and
    :class:`~optbias.data.DataError` for a missing or damaged file.

    >>> from optbias.data import MissingFile
    >>> try:
    ...     images = fashion_mnist(train=100, test=50).inputs  # (100, 1, 32, 32)
    ... except MissingFile:
    ...     images = None
    """
    check_request(train, test, size, images, dtype)
    random = generator(seed)
    drawn: list[tuple[Tensor, Tensor]] = []
    for part, count in (("train", train), ("test", test)):
        pixels, labels = (_read(_found(part, kind, folder, verify), kind) for kind in ("images", "labels"))
        index = _chosen(len(labels), part, count, random)
        bordered = torch.nn.functional.pad(torch.from_numpy(pixels[index])[:, None], (2, 2, 2, 2))
        drawn.append((_pooled(bordered, size, dtype), torch.from_numpy(labels[index].astype(np.int64))))
    (x, y), (test_x, test_y) = drawn
    mean, std = x.mean(), x.std(correction=0)
    x, test_x = (x - mean) / std, (test_x - mean) / std
    if not images:
        x, test_x = x.flatten(1), test_x.flatten(1)
    facts: dict[str, Any] = {**describe(FILES["train", "images"], verify), "size": size}
    facts |= {"train": train, "test": test, "seed": seed, "lossy": False}
    source = "Fashion-MNIST (Xiao et al. 2017)"
    return Split(f"fashion-mnist {size}x{size}", 10, x, y, test_x, test_y, source, facts, CLASSES)


def _found(part: str, kind: str, folder: str | os.PathLike[str] | None, verify: bool) -> Path:
    file = FILES[part, kind]
    try:
        return locate(file, folder, verify=verify)
    except MissingFile as error:
        if (DEBIAN / file.name).is_file():
            return locate(file, DEBIAN, verify=verify)
        raise MissingFile(
            f"{error} Debian and Ubuntu have it: apt-get install dataset-fashion-mnist (read from {DEBIAN})."
        ) from None


def _read(path: Path, kind: str) -> np.ndarray:
    """The array in a file of the idx format: images ``(n, 28, 28)`` or labels ``(n,)``, uint8."""
    dimensions = 3 if kind == "images" else 1
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(f"{path} is not a gzip file: {error}") from None
    head = 4 * (dimensions + 1)
    if len(content) < head or content[:4] != bytes([0, 0, 8, dimensions]):
        raise DataError(f"{path} does not begin like an idx file of {kind}")
    shape = np.frombuffer(content, ">i4", dimensions, 4)
    if len(content) != head + shape.prod():
        raise DataError(f"{path} should hold {'x'.join(map(str, shape))} bytes and holds {len(content) - head}")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)
