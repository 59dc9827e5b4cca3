"""The library under the course *Adam and Its Variants: from momentum to implicit bias*.

Start with :mod:`optbias.rules` (every update rule, written once) and :mod:`optbias.simulate`
(run a rule on a loss). The modules form floors; each imports only from the floors below it:

1. ``seeding``, ``figures``, ``claims``, ``show``
2. ``norms``, ``losses``, ``models``, ``data``
3. ``rules``
4. ``simulate``, ``torch_optimizer``, ``conventions``
5. ``training``, ``theory``
6. ``experiments``, ``widgets``
7. ``exercises``, ``grading``, the command line
"""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """``optbias.identify``, loaded only when it is asked for: this file imports nothing."""
    if name == "identify":
        return __import__("optbias.conventions", fromlist=["identify"]).identify
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
