"""The theory of the course, one subject a module, each with the formulas as they are computed.

:mod:`~optbias.theory.step_size` (how long a step can be), :mod:`~optbias.theory.quadratic_dynamics` (stability on a
quadratic), :mod:`~optbias.theory.online` (games and regret), :mod:`~optbias.theory.limit_cycles`,
:mod:`~optbias.theory.proximal` (decay), :mod:`~optbias.theory.box` and :mod:`~optbias.theory.constrained` (AdamW's
box), :mod:`~optbias.theory.margins`, :mod:`~optbias.theory.modified_equations` (backward error analysis).
:mod:`~optbias.theory.theorems` holds each theorem of the book once, with hypotheses that can be asked of a run.
"""
