"""Data sets. Each loader returns tensors split into a training and a test part, by a seed.

- :func:`digits`: scikit-learn's handwritten digits, bundled with that package (nothing is downloaded).

A loader takes ``seed`` and ``dtype`` and returns a :class:`Split`, so that code written for one data
set of classes runs on another.
"""

from optbias.data.bundled import SCALES, digits
from optbias.data.split import Split

__all__ = ["SCALES", "Split", "digits"]
