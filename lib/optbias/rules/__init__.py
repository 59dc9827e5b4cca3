"""Every update rule of the course, written once.

A rule is a frozen dataclass of hyper-parameters with two methods::

    state = rule.init(theta)
    theta, state = rule.update(theta, grad, state)

Read its ``equations`` method: it is the mathematics of the chapter, in the same symbols.
"""

from optbias.rules.adam import Adam, AdamW, AMSGrad
from optbias.rules.adaptive import AdaGrad, RMSProp
from optbias.rules.base import Rule, State
from optbias.rules.momentum import GradientDescent, Momentum
from optbias.rules.steepest import Lion, Muon, NormalizedSteepestDescent, SignGD

__all__ = [
    "AMSGrad",
    "AdaGrad",
    "Adam",
    "AdamW",
    "GradientDescent",
    "Lion",
    "Momentum",
    "Muon",
    "NormalizedSteepestDescent",
    "RMSProp",
    "Rule",
    "SignGD",
    "State",
]
