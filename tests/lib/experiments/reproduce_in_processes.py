"""``torchrun ... reproduce_in_processes.py ARGUMENTS``: the command ``reproduce`` on small float64 runs of the hill."""

import sys

from optbias.__main__ import main
from optbias.experiments import one_norm_hill
from optbias.experiments.runs import Setting
from optbias.experiments.sweep import grid

BASE = Setting(
    "order-rho", "digits", "residual-mlp", lr=1e-3, eps_inside=True, train_size=61, width=8, steps=12, norm="layer",
    evaluate_every=6, precision="float64",
)  # fmt: skip
STUDIES = {
    "order-rho": grid(BASE, rho=(0.9, 0.999), seed=(0, 1)),
    "order-beta": [
        Setting(**{**vars(BASE), "study": "order-beta", "model": "mlp", "micro_batch": 7, "seed": 3}),
        Setting(**{**vars(BASE), "study": "order-beta", "batch_size": 9, "full_gradient_every": 4}),
    ],
}

if __name__ == "__main__":
    one_norm_hill._smoke = lambda: [s for study in STUDIES.values() for s in study]
    sys.exit(main(["reproduce", "one-norm-hill", "--preset", "smoke", *sys.argv[1:]]))
