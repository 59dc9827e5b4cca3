"""What the two labs run on: a network and its data as one flat vector of weights and a gradient, at four sizes.

The same code of the student runs at every size. ``smoke`` takes seconds, ``cpu`` minutes, ``gpu`` and ``paper``
want an accelerator, which :func:`problem` chooses by itself. A large run leaves a record (JSON) beside the
notebook; :func:`reproduce` reads it the next time instead of running again, and the graders check that it is
consistent (:func:`inconsistencies`).
"""

from __future__ import annotations

import datetime
import functools
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from optbias import data, models
from optbias.experiments import store

PRESETS = ("smoke", "cpu", "gpu", "paper")
"""The sizes, from seconds to days."""

History = dict[str, list[float]]
Train = Callable[[str, dict[str, Any], int], History]


@dataclass(frozen=True, eq=False)
class Problem:
    """A network with its data: a function of one flat vector of weights.

    ``steps`` is the length of the experiment at this size and ``lr`` its learning rate. ``parts`` are the
    micro-batches into which the data are cut: ``(first, last)`` positions, the last one may be shorter.
    """

    name: str
    preset: str
    steps: int
    lr: float
    model: nn.Module
    inputs: Tensor
    labels: Tensor
    parts: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        """The number of weights."""
        return sum(p.numel() for p in self.model.parameters())

    def start(self) -> Tensor:
        """The initial weights: one vector ``(size,)``, a new copy each time."""
        return torch.cat([p.detach().reshape(-1) for p in self.model.parameters()])

    def gradient(self, theta: Tensor, part: int = 0) -> tuple[float, Tensor, int]:
        """Mean loss and mean gradient ``(size,)`` of the examples of one part, and how many examples these are.

        ``part`` is the number of the part, its position in ``parts``. Raises ValueError for a vector of another
        shape and for a part that does not exist.
        """
        if theta.shape != (self.size,):
            raise ValueError(f"theta must have the shape ({self.size},); got {tuple(theta.shape)}")
        if part not in range(len(self.parts)):
            raise ValueError(f"part must be the number of a micro-batch, 0 ... {len(self.parts) - 1}; got {part!r}")
        first, last = self.parts[part]
        leaf = theta.detach().to(self.inputs.device).requires_grad_(True)
        pieces = leaf.split([p.numel() for p in self.model.parameters()])
        named = {n: piece.view(p.shape) for (n, p), piece in zip(self.model.named_parameters(), pieces, strict=True)}
        logits = torch.func.functional_call(self.model, named, (self.inputs[first:last],))
        loss = functional.cross_entropy(logits.flatten(0, -2), self.labels[first:last].flatten())
        (gradient,) = torch.autograd.grad(loss, leaf)
        return loss.item(), gradient, last - first


def problem(name: str, preset: str = "smoke") -> Problem:
    """The problem of a lab, ``"linf-constraint"`` or ``"one-norm-hill"``, at one of :data:`PRESETS`.

    The first is a language model: the Penn Treebank where it is at hand (``OPTBIAS_DATA``), else the course's
    generated text; at the size ``smoke`` always the latter, so that all students have the same numbers. The
    second classifies images: scikit-learn's digits at ``smoke``, CIFAR-10 above it where it is at hand.
    ``smoke`` and ``cpu`` compute in float64 on the CPU, the others in float32 on a GPU if there is one. Raises
    ValueError for an unknown name or preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}; got {preset!r}")
    if name not in _BUILD:
        raise ValueError(f"name must be one of {', '.join(_BUILD)}; got {name!r}")
    return _made(name, preset)


@functools.lru_cache(maxsize=2)
def _made(name: str, preset: str) -> Problem:
    large = preset in ("gpu", "paper")
    if not large:
        torch.set_num_threads(1)  # networks as small as these are slower on several threads
    device = torch.device("cuda" if large and torch.cuda.is_available() else "cpu")
    dtype = torch.float32 if large else torch.float64
    steps, lr, model, split, per_part = _BUILD[name](preset, dtype)
    inputs = split.inputs if not split.inputs.is_floating_point() else split.inputs.to(dtype)
    count = len(inputs)
    parts = tuple((i, min(i + per_part, count)) for i in range(0, count, per_part))
    return Problem(name, preset, steps, lr, model.to(device), inputs.to(device), split.labels.to(device), parts)


Built = tuple[int, float, nn.Module, data.Split, int]


def _text(preset: str, sequences: int, context: int) -> data.Split:
    if preset != "smoke":
        try:
            return data.penn_treebank(sequences=sequences, context=context)
        except data.DataError:
            pass
    return data.generated_text(sequences=sequences, context=context)


def _language(preset: str, dtype: torch.dtype) -> Built:
    if preset == "smoke":
        split = _text(preset, 16, 16)
        return 240, 2e-2, models.LSTM(split.classes, 16, seed=0, dtype=dtype), split, 6
    if preset == "cpu":
        split = _text(preset, 32, 16)
        return 1250, 1e-2, models.LSTM(split.classes, 32, seed=0, dtype=dtype), split, 32
    if preset == "gpu":
        split = _text(preset, 908, 64)
        return 2500, 5e-3, models.LSTM(split.classes, 128, seed=0, dtype=dtype), split, 227
    split = _text(preset, 14_524, 64)
    return 12_800, 1e-3, models.Transformer(split.classes, 64, width=200, seed=0, dtype=dtype), split, 512


def _photographs(count: int, size: int, dtype: torch.dtype, flat: bool) -> data.Split | None:
    try:
        return data.cifar10(count, 1000, size=size, images=not flat, dtype=dtype)
    except data.DataError:
        return None


def _images(preset: str, dtype: torch.dtype) -> Built:
    if preset == "smoke":
        digits = data.digits(train=300, seed=0)
        return 150, 1e-3, models.ResidualMLP(64, 24, 3, 10, seed=0, dtype=dtype), digits, 120
    if preset == "cpu":
        small = _photographs(1000, 8, dtype, flat=True)
        if small is None:
            digits = data.digits(train=1000, seed=0)
            return 500, 3e-4, models.ResidualMLP(64, 32, 4, 10, seed=0, dtype=dtype), digits, 400
        return 400, 3e-4, models.ResidualMLP(192, 48, 6, 10, seed=0, dtype=dtype), small, 400
    count, depth = (5000, 18) if preset == "gpu" else (50_000, 50)
    photographs = _photographs(count, 32, dtype, flat=False)
    if photographs is None:
        raise data.MissingFile(f"the size {preset!r} needs CIFAR-10: set OPTBIAS_DATA to a folder that holds it")
    return 1000, 1e-4, models.ResNet(depth, seed=0, dtype=dtype), photographs, 500


_BUILD: dict[str, Callable[[str, torch.dtype], Built]] = {"linf-constraint": _language, "one-norm-hill": _images}


# -- records ---------------------------------------------------------------------------------------------------


def record_path(name: str, preset: str) -> Path:
    """Where the record of a run lies: beside the notebook."""
    return Path(f"{name}-{preset}.json")


def reproduce(name: str, preset: str, train: Train, settings: Mapping[str, dict[str, Any]]) -> dict[str, History]:
    """Run ``train(preset, hyper, steps)`` for each setting, or read the record of an earlier run of this size.

    What ran is written to :func:`record_path` (not for ``smoke``, which takes seconds). While a notebook is
    being graded nothing larger than ``smoke`` runs: without a record of the larger size, ``smoke`` is used.
    """
    at = problem(name, "smoke") if preset == "smoke" else None
    path = record_path(name, preset)
    if at is None and path.is_file():
        made = json.loads(path.read_text(encoding="utf-8"))
        print(f"read from {path}: {made['device']}, {made['date']}")
        return made["histories"]
    if at is None and os.environ.get("NBGRADER_EXECUTION"):
        print(f"there is no {path}: the size smoke instead")
        preset = "smoke"
    at = problem(name, preset)
    print(f"{name}, {preset}: {len(settings)} runs of {at.steps} steps, {at.size:,} weights, on {at.inputs.device}")
    histories: dict[str, History] = {}
    for label, hyper in settings.items():
        histories[label] = {key: [float(x) for x in row] for key, row in train(preset, hyper, at.steps).items()}
        print(f"  {label}: done", flush=True)
    if preset != "smoke":
        record = {
            "experiment": name,
            "preset": preset,
            "steps": at.steps,
            "lr": at.lr,
            "weights": at.size,
            "settings": {label: dict(hyper) for label, hyper in settings.items()},
            "histories": store.plain(histories),
            "device": store.describe_device(at.inputs.device),
            "torch": torch.__version__,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }
        store.save_json(record, path)
    return histories


def records(name: str, folder: Path | None = None) -> list[dict[str, Any]]:
    """The records of larger runs that lie in ``folder`` (default: beside the notebook); a broken one is empty."""
    found = []
    for preset in PRESETS[1:]:
        path = (folder or Path()) / record_path(name, preset)
        if path.is_file():
            try:
                made = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                made = {}
            found.append(made if isinstance(made, dict) else {})
    return found


def inconsistencies(record: Mapping[str, Any], name: str, series: Sequence[str]) -> list[str]:
    """What in a record contradicts itself, in words; an empty list if nothing does.

    Checks the size and the length, that every number of every ``series`` is there and finite, that the losses
    start near that of guessing, and that the runs share their start. It cannot tell an honest run from a
    carefully invented one: that is what an oral question is for.
    """
    wrong: list[str] = []
    if record.get("experiment") != name or record.get("preset") not in PRESETS[1:]:
        return [f"it is not the record of a run of {name} at one of the sizes {', '.join(PRESETS[1:])}"]
    steps, histories, settings = record.get("steps"), record.get("histories"), record.get("settings")
    if not isinstance(steps, int) or not isinstance(histories, dict) or not isinstance(settings, dict):
        return ["it has no steps, histories or settings"]
    if set(histories) != set(settings) or not histories:
        wrong.append("the runs and their settings do not belong together")
    starts: dict[str, set[float]] = {key: set() for key in series}
    for label, history in histories.items():
        for key in series:
            row = history.get(key) if isinstance(history, dict) else None
            if not isinstance(row, list) or len(row) != steps + 1:
                wrong.append(f"{label}: {key} must have {steps + 1} numbers, the start and one for each step")
            elif not all(isinstance(x, (int, float)) and math.isfinite(x) for x in row):
                wrong.append(f"{label}: {key} holds something that is not a finite number")
            else:
                starts[key].add(round(float(row[0]), 9))
    for key, values in starts.items():
        if len(values) > 1:
            wrong.append(f"the runs start from different {key}: they must share their initial weights")
    return wrong
