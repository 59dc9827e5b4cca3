"""Every update rule of the course, written once.

A rule is a frozen dataclass of hyper-parameters with two methods::

    state = rule.init(theta)
    theta, state = rule.update(theta, grad, state)

Read its ``equations`` method: it is the mathematics of the chapter, in the same symbols.
"""

from optbias.rules.adam import Adam, AdamW, AMSGrad
from optbias.rules.adam_variants import (
    ADOPT,
    AdaBelief,
    Adamax,
    AdEMAMix,
    CautiousAdamW,
    LaProp,
    NAdam,
    RAdam,
    Yogi,
    rectifier,
)
from optbias.rules.adaptive import Adadelta, AdaGrad, RMSProp, Rprop
from optbias.rules.averaged import ASGD, ScheduleFreeAdamW, ScheduleFreeSGD
from optbias.rules.base import Rule, State
from optbias.rules.layerwise import LAMB, LARS, Adafactor, AdamMini
from optbias.rules.matrix import SOAP, Shampoo
from optbias.rules.momentum import GradientDescent, Momentum
from optbias.rules.steepest import Lion, Muon, NormalizedSteepestDescent, SignGD, Signum

RULES: tuple[type[Rule], ...] = (
    GradientDescent,
    Momentum,
    NormalizedSteepestDescent,
    SignGD,
    Signum,
    Lion,
    Muon,
    AdaGrad,
    RMSProp,
    Adadelta,
    Rprop,
    Adam,
    AMSGrad,
    AdamW,
    NAdam,
    RAdam,
    Adamax,
    AdaBelief,
    Yogi,
    LaProp,
    ADOPT,
    AdEMAMix,
    CautiousAdamW,
    LARS,
    LAMB,
    AdamMini,
    Adafactor,
    Shampoo,
    SOAP,
    ASGD,
    ScheduleFreeSGD,
    ScheduleFreeAdamW,
)
"""Every rule, by families."""

__all__ = sorted([rule.__name__ for rule in RULES]) + ["RULES", "Rule", "State", "rectifier"]
