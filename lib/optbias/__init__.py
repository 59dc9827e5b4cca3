"""The library under the course *Adam and Its Variants: from momentum to implicit bias*.

Start with :mod:`optbias.rules` (every update rule, written once) and :mod:`optbias.simulate`
(run a rule on a loss). The modules form floors; each imports only from the floors below it:

1. ``norms``, ``landscapes``, ``claims``, ``seeding``
2. ``rules``
3. ``simulate``, ``torch_optimizer``, ``modified_equations``, ``online``, ``margins``
4. ``data``, ``models``, ``training``
5. ``experiments``, ``exercises``, ``figures``, ``widgets``
"""

__version__ = "0.1.0"
