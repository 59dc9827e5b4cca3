"""Show the library's own code in a page, so that text and code cannot drift apart."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any


def source(thing: Any) -> Any:
    """The source of a function, method or class of the library, highlighted in a notebook.

    In a page: ``source(Adam.equations)`` as the last line of a cell.

    >>> from optbias.rules import SignGD
    >>> "theta" in str(source(SignGD.equations))
    True
    """
    from IPython.display import Code

    return Code(data=textwrap.dedent(inspect.getsource(thing)), language="python")
