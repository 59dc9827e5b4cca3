"""The library under the course *Adam and Its Variants: from momentum to implicit bias*.

Start with :mod:`optbias.rules` (every update rule, written once) and :mod:`optbias.simulate`
(run a rule on a loss). The modules form floors; each imports only from the floors below it:

1. ``norms``, ``landscapes``, ``claims``, ``figures``, ``show``, ``seeding``
2. ``rules``
3. ``simulate``, ``torch_optimizer``
4. the theory: ``step_size``, ``quadratic_dynamics``, ``online``, ``limit_cycles``, ``proximal``, ``box``,
   ``constrained``, ``margins``, ``modified_equations``
5. networks: ``data``, ``models``, ``curvature``, ``surfaces``
6. ``experiments``
"""

__version__ = "0.1.0"
