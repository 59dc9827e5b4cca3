"""Training a network with any rule: full batch or mini-batches, probed at every step, resumable, exact.

- :func:`train` trains one network and returns a :class:`Run`: its history, its final parameters and the
  facts of the run;
- :func:`train_many` trains one network per setting, stacked in one pass where that pays;
- :class:`Probes` says what is measured at each step;
- :class:`OneNormPenalty` adds a multiple of the gradient's norm to the loss;
- :class:`TrainingError` ends a run that cannot go on, and carries everything up to there.

How it works. All parameters live in one flat buffer and all gradients in another; the module's
parameters and their ``.grad`` are views into them. So a rule, a norm or an all-reduce is a few operations
on one long vector, whatever the network.
"""

from optbias.training.penalty import OneNormPenalty
from optbias.training.probes import Probes
from optbias.training.run import Run, TrainingError
from optbias.training.single import train
from optbias.training.sweep import train_many

__all__ = ["OneNormPenalty", "Probes", "Run", "TrainingError", "train", "train_many"]
