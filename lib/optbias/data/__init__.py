"""Data sets. Each loader returns a :class:`Split`: tensors in a training and a test part.

- :func:`digits`: scikit-learn's handwritten digits, bundled with that package;
- :func:`generated_text`: a pseudo-language that is generated, so that text experiments need no file;
- :func:`penn_treebank`, :func:`shakespeare`, :func:`cifar10`, :func:`cifar100`: read from a folder (argument
  ``folder``, or the environment variable ``OPTBIAS_DATA``) or from the cache, which ``python -m optbias.data NAME`` or
  ``download=True`` fills (:mod:`optbias.data.download`);
- :func:`fashion_mnist`: likewise, and from Debian's package ``dataset-fashion-mnist``;
- :func:`text_file`: any text.

:data:`DATASETS` has the loaders by name. Code written for one data set of classes runs on another.
"""

from collections.abc import Callable

from optbias.data.bundled import SCALES, digits
from optbias.data.download import DataError, MissingFile
from optbias.data.fashion import fashion_mnist
from optbias.data.images import cifar10, cifar100
from optbias.data.split import Split
from optbias.data.text import generated_text, penn_treebank, shakespeare, text_file

DATASETS: dict[str, Callable[..., Split]] = {
    "digits": digits,
    "generated-text": generated_text,
    "penn-treebank": penn_treebank,
    "shakespeare": shakespeare,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "fashion-mnist": fashion_mnist,
}
"""The loaders by the name that the command line uses."""

__all__ = [
    "DATASETS",
    "SCALES",
    "DataError",
    "MissingFile",
    "Split",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "generated_text",
    "penn_treebank",
    "shakespeare",
    "text_file",
]
