"""Data that ships inside installed packages: no network, no account."""

from __future__ import annotations

import torch
from torch import Tensor

from optbias import _checks
from optbias.data.split import Split
from optbias.seeding import generator

SCALES = ("raw", "unit", "standard")
"""How pixels are scaled: ``raw`` as stored, ``unit`` to [0, 1], ``standard`` to mean 0 and variance 1."""

DIGITS = 1797
"""The number of images in scikit-learn's digits."""


def digits(
    train: int = 1000,
    *,
    seed: int = 0,
    scale: str = "standard",
    images: bool = False,
    dtype: torch.dtype = torch.float64,
) -> Split:
    """Scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, in ten classes.

    ``train`` images, drawn by ``seed``, make the training part; the other ``1797 - train`` make the test
    part. The same seed gives the same split whatever the other arguments are. ``scale``:

    - ``"raw"``: pixels as stored, whole numbers 0 ... 16;
    - ``"unit"``: divided by 16;
    - ``"standard"``: each pixel minus its mean over the training part, divided by its standard deviation
      there (a pixel that is constant in the training part is only centred). The test part is moved by
      the same numbers.

    Inputs have shape ``(n, 64)``, or ``(n, 1, 8, 8)`` with ``images=True``. Raises ValueError if ``train``
    leaves either part empty, or for an unknown ``scale``.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI repository (1998),
    test part, as bundled in ``sklearn.datasets.load_digits``.

    >>> split = digits(train=100)
    >>> split.inputs.shape, split.labels.shape, len(split.test_labels)
    (torch.Size([100, 64]), torch.Size([100]), 1697)
    """
    from sklearn.datasets import load_digits

    if isinstance(train, bool) or not isinstance(train, int) or not 0 < train < DIGITS:
        raise ValueError(f"train must be a whole number in [1, {DIGITS - 1}]; got {train!r}")
    _checks.one_of("scale", scale, SCALES)
    _checks.flag("images", images)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating-point torch.dtype; got {dtype!r}")
    stored = load_digits()
    pixels = torch.as_tensor(stored.data, dtype=torch.float64)
    labels = torch.as_tensor(stored.target, dtype=torch.int64)
    order = torch.randperm(DIGITS, generator=generator(seed))
    pixels, labels = _scaled(pixels[order], train, scale), labels[order]
    if images:
        pixels = pixels.reshape(-1, 1, 8, 8)
    pixels = pixels.to(dtype)
    return Split("digits", 10, pixels[:train], labels[:train], pixels[train:], labels[train:])


def _scaled(pixels: Tensor, train: int, scale: str) -> Tensor:
    if scale == "raw":
        return pixels
    if scale == "unit":
        return pixels / 16.0
    mean, std = pixels[:train].mean(0), pixels[:train].std(0, correction=0)
    return (pixels - mean) / torch.where(std > 0, std, 1.0)
