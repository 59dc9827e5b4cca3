"""The training loop: gradient, measurements, step; its history, its end, its checkpoints."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from optbias.training import checkpoints, probes
from optbias.training.gradients import Data, Work
from optbias.training.penalty import Weights
from optbias.training.plan import Order, Plan, described
from optbias.training.probes import Meter, Numbers
from optbias.training.run import Run, TrainingError
from optbias.training.sharpness import sharpness
from optbias.training.updates import Update, updates
from optbias.training.world import World

LAG = 32
"""Steps between two looks at the numbers on a GPU: each look waits for the device."""

ESTIMATE_AFTER = 0.5
"""Seconds of training after which the time of the whole run is estimated."""


class Engine:
    """Trains the ``K`` networks of one :class:`Work` to the end. ``build(rows)`` makes the Work of some of them."""

    def __init__(self, build: Callable[[Sequence[int]], Work], plan: Plan, data: Data, world: World) -> None:
        self.build, self.plan, self.data, self.world = build, plan, data, world
        self.columns = {name: i for i, name in enumerate(plan.columns)}
        own = (
            plan.evaluate_every,
            plan.full_gradient_every,
            plan.probes[0].sharpness_every,
            plan.probes[0].slope_every,
        )
        self.rhythms = [plan.probes[0].every, *(every for every in own if every)]
        self.times: list[int] = []
        self.rows: list[np.ndarray] = []
        self.ended: dict[int, tuple[int, str, str]] = {}
        self.final: dict[int, Tensor] = {}
        self.t, self.resumed_at, self.seconds_before = 0, 0, 0.0
        self.set_alive(range(len(plan.rules)))
        self.orders = [Order(len(data), plan.batch_size, seed) for seed in plan.seeds] if plan.batch_size else []
        self.lag = LAG if plan.stop_below is None else 1
        self.pending: list[tuple[int, bool, Tensor]] = []
        self._fingerprint: dict[str, Any] = {}
        self._layers: tuple[dict[str, Tensor], list[Tensor]] | None = None

    # -- the networks ---------------------------------------------------------------------------------------------

    def set_alive(self, rows: Sequence[int]) -> None:
        """Build buffers and updates for the given networks."""
        self.alive = list(rows)
        self.work = self.build(self.alive)
        flat = self.work.flat
        self.world.from_first(flat.theta)
        self.host = probes.on_host(self.work.device)
        if not self.host:
            # Ends are noticed late there: the parameters of each network's last step are kept on the device.
            self.held, self.going = (
                flat.theta.clone(),
                torch.ones(flat.rows, dtype=torch.bool, device=flat.theta.device),
            )
        rules = [self.plan.rules[row] for row in self.alive]
        merge = len(self.plan.rules) > 1
        self.updates = updates(rules, flat.theta, flat.grads, flat.shapes, self.plan.fused, merge)
        own = [self.plan.probes[row] for row in self.alive]
        self.meter = Meter(own, rules, flat.theta)
        penalties = [self.plan.penalties[row] for row in self.alive] if self.plan.penalties else []
        self.weights = Weights(penalties, flat.theta) if any(penalties) else None

    def shrink(self) -> None:
        """Leave out networks that have ended, once they are half of those that are computed."""
        living = [k for k, row in enumerate(self.alive) if row not in self.ended]
        if 2 * len(living) > len(self.alive):
            return
        self.flush()
        before = {self.alive[k]: (self.work.flat.theta[k], self.work.flat.grads[k], self.state_of(k)) for k in living}
        self.set_alive(list(before))
        for k, (theta, grads, (t, state)) in enumerate(before.values()):
            self.work.flat.theta[k] = theta
            self.work.flat.grads[k] = grads
            part, made = self.update_of(k)
            made.t = t
            for name, value in state.items():
                made.state[name][k - part.start] = value
        if not self.host:
            self.held.copy_(self.work.flat.theta)

    def update_of(self, k: int) -> tuple[slice, Update]:
        """The rows and the update that the ``k``-th living network belongs to."""
        return next((part, made) for part, made in self.updates if part.start <= k < part.stop)

    def state_of(self, k: int) -> tuple[int, dict[str, Tensor]]:
        """The optimizer's state of the ``k``-th living network."""
        part, made = self.update_of(k)
        return made.t, {name: value[k - part.start] for name, value in made.state.items()}

    # -- the loop -------------------------------------------------------------------------------------------------

    def run(self) -> list[Run]:
        """Train to the end; returns one run per network. Raises TrainingError if a checkpoint fails."""
        plan = self.plan
        if plan.checkpoint is not None:
            self.fingerprint()  # while all networks are there
            self.resume(plan.checkpoint)
        self.started = self.saved = time.perf_counter()
        self.cpu_started = time.process_time()
        bar = tqdm(
            total=plan.steps, initial=self.t, desc=plan.label or None, unit="step", mininterval=0.5,
            disable=not plan.progress or self.world.rank > 0,
        )  # fmt: skip
        estimated = False
        with bar:
            while len(self.ended) < len(plan.rules):
                self.save_now_and_then()
                self.look()
                if self.t == plan.steps or len(self.ended) == len(plan.rules):
                    break
                self.shrink()
                with torch.no_grad(), self.work.unreached_kept():
                    for _, made in self.updates:
                        made.step()
                self.t += 1
                bar.update()
                if plan.progress and not estimated and time.perf_counter() - self.started > ESTIMATE_AFTER:
                    estimated = True
                    self.estimate(bar)
        self.flush()
        for k in range(len(self.alive)):
            self.end(k, self.t, "finished", "")
        if plan.checkpoint is not None:
            self.save(plan.checkpoint)
        return self.results()

    def look(self) -> None:
        """Compute the gradient at the present parameters, measure what is due, find what has ended."""
        plan, work, t = self.plan, self.work, self.t
        last = t == plan.steps
        measured: dict[str, Numbers] = {}
        if last and plan.checkpoint is not None:
            # What this look changes is put into the last checkpoint as it was: a longer run will look again.
            self._layers = {name: buffer.clone() for name, buffer in work.buffers().items()}, self.random_states()
        kept = last or any(t % every == 0 for every in self.rhythms)
        if plan.batch_size is None:
            self.gradient(None)
            measured["loss"] = self.losses()
        else:
            if plan.full_gradient_every and (t % plan.full_gradient_every == 0 or last):
                self.full_gradient(measured)
            if not last:
                self.gradient(self.batch(t))
                measured["batch_loss"] = self.losses()
        ends = self.ends(measured)
        kept = kept or ends
        if kept:
            if plan.batch_size is None:
                measured |= self.meter.gradient(work.flat.theta, work.flat.grads)
            self.measure_rest(measured)
        if not self.host:
            self.hold(measured)
        if kept or not self.host:
            self.record(t, measured, kept, ends)
        if work.extra is not None:
            # After all measuring: what is measured is the gradient of the loss alone.
            work.flat.grads.add_(work.extra)
            work.extra = None

    def gradient(self, indices: Tensor | None) -> None:
        """The gradients that the next step needs, and the penalties' apart from them."""
        if self.weights is None or self.t == self.plan.steps:
            self.work.gradient(indices)
        else:
            self.work.penalised(self.weights, self.t, indices)

    def full_gradient(self, into: dict[str, Numbers]) -> None:
        """The loss of the whole training set, and its gradient, in a run with mini-batches."""
        before = {name: buffer.clone() for name, buffer in self.work.buffers().items()}
        self.work.gradient()
        for name, buffer in self.work.buffers().items():
            buffer.copy_(before[name])
        into["loss"] = self.losses()
        into |= self.meter.gradient(self.work.flat.theta, self.work.flat.grads)

    def losses(self) -> Numbers:
        """The losses that belong to the gradients just computed."""
        losses = self.work.flat.losses
        return losses.tolist() if self.host else losses.clone()

    def ends(self, measured: dict[str, Numbers]) -> bool:
        """Whether some network ends here (on a CPU; elsewhere :meth:`note` finds out some steps later)."""
        low = -math.inf if self.plan.stop_below is None else self.plan.stop_below
        return self.host and any(
            not math.isfinite(value) or (name == "loss" and value < low)
            for name, values in measured.items()
            if name in ("loss", "batch_loss")
            for value in values
        )

    def batch(self, t: int) -> Tensor:
        """The indices of the mini-batch of step ``t + 1``: one for all networks, or one for each."""
        seeds = {self.plan.seeds[row] for row in self.alive}
        if len(seeds) == 1:
            return self.orders[self.alive[0]](t).to(self.work.device)
        return torch.stack([self.orders[row](t) for row in self.alive]).to(self.work.device)

    # -- measuring ------------------------------------------------------------------------------------------------

    def measure_rest(self, into: dict[str, Numbers]) -> None:
        """What depends on the parameters alone, and what is asked for from time to time."""
        plan, theta, t = self.plan, self.work.flat.theta, self.t
        last = t == plan.steps
        first = plan.probes[0]
        into |= self.meter.parameters(theta)
        if first.quantiles_every and (t % first.quantiles_every == 0 or last):
            into |= self.meter.quantiles(theta)
        if plan.evaluate_every and (t % plan.evaluate_every == 0 or last):
            into["test_loss"], into["test_accuracy"] = self.work.test()
        if first.sharpness_every and t > 0 and (t % first.sharpness_every == 0 or last):
            into["sharpness"] = [self.sharpness(k) for k in range(len(self.alive))]
        if first.slope_every and plan.batch_size is None and (t % first.slope_every == 0 or last):
            into["norm_slope"] = [self.norm_slope(k) for k in range(len(self.alive))]

    def sharpness(self, k: int) -> float:
        """The preconditioned sharpness of the ``k``-th living network."""
        part, made = self.update_of(k)
        diagonal = made.preconditioner()
        own = None if diagonal is None else diagonal[k - part.start]
        return sharpness(self.work, k, own, self.plan.probes[0].sharpness_tol)

    def norm_slope(self, k: int) -> float:
        """The one-norm of the gradient of the perturbed one-norm of the ``k``-th living network."""
        grad = self.work.flat.grads[k]
        return float(self.work.product(k, grad / (grad.square() + self.meter.eps[k]).sqrt()).abs().double().sum())

    def record(self, t: int, measured: dict[str, Numbers], kept: bool, ends: bool) -> None:
        """Note the row of step ``t``; on a GPU it waits there for :meth:`flush`. ``ends``: as :meth:`ends` found."""
        if self.host:
            nothing = [math.nan] * len(self.alive)
            row = np.array([measured.get(name, nothing) for name in self.columns])
            if ends or len(self.alive) < len(self.plan.rules) or not math.isfinite(sum(measured.get("one_norm", ()))):
                self.note(t, row, kept)
            else:
                # The common case, of all networks going on, without a look at each.
                self.times.append(t)
                self.rows.append(row)
            return
        nan = torch.full((len(self.alive),), math.nan, dtype=torch.float64, device=self.work.device)
        parts = [torch.as_tensor(measured.get(name, nan), dtype=nan.dtype, device=nan.device) for name in self.columns]
        self.pending.append((t, kept, torch.stack(parts)))
        if len(self.pending) >= self.lag:
            self.flush()

    def hold(self, measured: dict[str, Numbers]) -> None:
        """On a device: keep the parameters of the networks that go on; those that end here are kept no more.

        What :meth:`note` will find out from the numbers some steps later, found without waiting for them.
        """
        torch.where(self.going[:, None], self.work.flat.theta, self.held, out=self.held)
        found = {name: torch.as_tensor(value, device=self.going.device) for name, value in measured.items()}
        step_loss = found.get("loss" if self.plan.batch_size is None else "batch_loss")
        if step_loss is not None:
            self.going &= step_loss.isfinite()
        if "loss" in found:
            if "one_norm" in found:
                self.going &= found["one_norm"].isfinite() | ~found["loss"].isfinite()
            if self.plan.stop_below is not None:
                self.going &= ~(found["loss"] < self.plan.stop_below)

    def flush(self) -> None:
        """Bring the waiting rows from the device."""
        waiting, self.pending = self.pending, []
        if waiting:
            for (t, kept, _), row in zip(waiting, torch.stack([row for *_, row in waiting]).cpu().numpy(), strict=True):
                self.note(t, row, kept)

    def note(self, t: int, row: np.ndarray, kept: bool) -> None:
        """Write a row, ``(columns, K)``, into the history if it is to be ``kept``; end networks that end with it."""
        loss = row[self.columns["loss"]]
        step_loss = loss if self.plan.batch_size is None else row[self.columns["batch_loss"]]
        no_step = self.plan.batch_size is not None and t == self.plan.steps
        wrong = ~(np.isfinite(step_loss) | no_step)
        cure = "lower the learning rate, or look for an overflow in the loss"
        for k in np.flatnonzero(wrong).tolist():
            self.end(k, t, "diverged", f"the loss became {step_loss[k]} at step {t}; {cure}")
        if kept:
            norm = row[self.columns["one_norm"]]
            for k in np.flatnonzero(~np.isfinite(norm) & np.isfinite(loss) & ~wrong).tolist():
                self.end(k, t, "diverged", f"the gradient was not finite at step {t}; {cure}")
        low = -math.inf if self.plan.stop_below is None else self.plan.stop_below
        for k in np.flatnonzero(loss < low).tolist():
            self.end(k, t, f"loss below {low:g}", "")
        if kept or wrong.any() or (loss < low).any():
            full = np.full((len(self.columns), len(self.plan.rules)), np.nan)
            full[:, self.alive] = row
            self.times.append(t)
            self.rows.append(full)

    def end(self, k: int, t: int, how: str, error: str) -> None:
        """The ``k``-th of the living networks goes no further; what it had ended with before stands."""
        row = self.alive[k]
        if row not in self.ended:
            self.ended[row] = (t, how, error)
            if not self.host:
                self.work.flat.theta[k] = self.held[k]
            self.final[row] = self.work.flat.theta[k].cpu().clone()

    # -- results --------------------------------------------------------------------------------------------------

    def results(self) -> list[Run]:
        """The runs of all networks up to here."""
        return [self.result(row) for row in range(len(self.plan.rules))]

    def result(self, row: int) -> Run:
        """The run of one network up to here."""
        t, how, error = self.ended.get(row, (self.t, "interrupted", ""))
        theta = self.final.get(row)
        if theta is None:
            theta = self.work.flat.theta[self.alive.index(row)].detach().cpu().clone()
        count = sum(time <= t for time in self.times)
        table = np.array([full[:, row] for full in self.rows[:count]]).reshape(count, len(self.columns))
        history = pd.DataFrame(table, columns=list(self.columns))
        history.insert(0, "step", np.array(self.times[:count], dtype=np.int64))
        return Run(history, theta, self.facts(row, t, how), self.plan.label, error)

    def facts(self, row: int, t: int, how: str) -> dict[str, Any]:
        """How the run was made."""
        plan, flat, device = self.plan, self.work.flat, self.work.device
        seconds = time.perf_counter() - self.started
        done = self.t - self.resumed_at
        made = next((u for part, u in self.updates if row in self.alive[part]), self.updates[0][1])
        return {
            "device": str(device),
            "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
            "dtype": str(flat.theta.dtype).removeprefix("torch."),
            "precision": str(flat.theta.dtype).removeprefix("torch.")
            if plan.precision == "float32"
            else plan.precision,
            "update": made.how,
            "fused": made.how.startswith("_fused"),
            "compiled": getattr(self.work, "compiled", "no"),
            "stacked": len(plan.rules),
            "processes": self.world.size,
            "threads": torch.get_num_threads(),
            "parameters": flat.size,
            "examples": len(self.data),
            "batch_size": plan.batch_size,
            "micro_batch": plan.micro_batch,
            "rule": described(plan.rules[row]),
            "seed": plan.seeds[row],
            "radius": plan.probes[row].radius_of(plan.rules[row]),
            "eps": plan.probes[row].eps_of(plan.rules[row]),
            "steps": t,
            "ended": how,
            "resumed_at": self.resumed_at,
            "seconds": round(self.seconds_before + seconds, 3),
            "cpu_seconds": round(time.process_time() - self.cpu_started, 4),
            "steps_per_second": round(done / seconds, 3) if done and seconds > 0 else math.nan,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }

    def estimate(self, bar: tqdm[Any]) -> None:
        """Say how long the run will take."""
        rate = (self.t - self.resumed_at) / (time.perf_counter() - self.started)
        left = (self.plan.steps - self.t) / rate
        name = f"{self.plan.label}: " if self.plan.label else ""
        bar.write(
            f"{name}{self.plan.steps} steps, {rate:.3g} steps/s on {self.work.device}: about {duration(left)} to go"
        )

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def fingerprint(self) -> dict[str, Any]:
        """What must be the same when a run is resumed."""
        if not self._fingerprint:
            flat = self.work.flat
            self._fingerprint = self.plan.fingerprint(self.data) | {
                "dtype": str(flat.theta.dtype),
                "parameters": {name: list(shape) for name, shape in flat.shapes.items()},
                "update": sorted({made.how for _, made in self.updates}),
            }
        return self._fingerprint

    def save_now_and_then(self) -> None:
        """Write a checkpoint if it is time."""
        path = self.plan.checkpoint
        due = time.perf_counter() - self.saved >= self.plan.checkpoint_seconds
        if path is not None and due and self.t > self.resumed_at:
            self.save(path)

    def save(self, path: Path) -> None:
        """Write a checkpoint (the first process does). Raises TrainingError if it cannot be written."""
        self.flush()
        self.saved = time.perf_counter()
        if self.world.rank > 0:
            return
        rows = np.array(self.rows).reshape(len(self.rows), len(self.columns), len(self.plan.rules))
        layers = self._layers or (self.work.buffers(), self.random_states())
        content = {
            "fingerprint": self.fingerprint(),
            "t": self.t,
            "alive": self.alive,
            "ended": {row: list(what) for row, what in self.ended.items()},
            "final": self.final,
            "theta": self.work.flat.theta.detach(),
            "states": [{"t": made.t} | made.state for _, made in self.updates],
            "buffers": layers[0],
            "random": layers[1],
            "times": self.times,
            "rows": torch.from_numpy(rows),
            "seconds": self.seconds_before + time.perf_counter() - self.started,
        }
        try:
            checkpoints.save(path, content)
        except OSError as error:
            message = (
                f"the checkpoint {path} could not be written at step {self.t} ({error}); "
                "the one before it is untouched. Make room, then go on with resume=True"
            )
            raise TrainingError(message, self.results()) from error

    def random_states(self) -> list[Tensor]:
        """Torch's random states, which networks with dropout draw from."""
        device = self.work.device
        own = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
        return [torch.get_rng_state(), *own]

    def resume(self, path: Path) -> None:
        """Go on from the checkpoint, if that is asked for and there is one."""
        plan = self.plan
        # The first process reads it: the others may be on machines that do not see the file.
        content: Any = self.world.object_from_first(self._load(path) if self.world.rank == 0 else None)
        if isinstance(content, Exception):
            raise content
        if content is None:
            return
        self.t = self.resumed_at = content["t"]
        self.seconds_before = content["seconds"]
        self.ended = {row: tuple(what) for row, what in content["ended"].items()}
        self.final = content["final"]
        self.times = list(content["times"])
        self.rows = list(content["rows"].numpy())
        # A run that had finished may be asked for more steps.
        for row, (t, how, _) in list(self.ended.items()):
            if how == "finished" and t < plan.steps:
                del self.ended[row], self.final[row]
                keep = sum(time < t for time in self.times)
                self.times, self.rows = self.times[:keep], self.rows[:keep]
        if content["alive"] != self.alive:
            self.set_alive(content["alive"])
        self.work.flat.theta.copy_(content["theta"])
        if not self.host:
            self.held.copy_(self.work.flat.theta)
        for (_, made), state in zip(self.updates, content["states"], strict=True):
            made.t = state.pop("t")
            for name, value in state.items():
                made.state[name].copy_(value)
        for name, buffer in self.work.buffers().items():
            buffer.copy_(content["buffers"][name])
        torch.set_rng_state(content["random"][0])
        for own in content["random"][1:]:
            torch.cuda.set_rng_state(own, self.work.device)

    def _load(self, path: Path) -> dict[str, Any] | None | Exception:
        """The content of the checkpoint, None to start from the beginning, or the error that ends the run."""
        if not self.plan.resume:
            if path.exists() or checkpoints.previous(path).exists():
                return ValueError(f"there is already a checkpoint {path}; go on with resume=True, or delete it")
            return None
        try:
            content, problems = checkpoints.load(path)
        except checkpoints.CheckpointError as error:
            return TrainingError(str(error))
        if content is None:
            return None
        for problem in problems:
            tqdm.write(f"{problem}; going on from {checkpoints.previous(path)}")
        mine = self.fingerprint()
        different = [name for name in mine if mine[name] != content["fingerprint"].get(name)]
        if different:
            shown = "; ".join(f"{n}: {content['fingerprint'].get(n)} there, {mine[n]} here" for n in different)
            return ValueError(f"the checkpoint {path} belongs to another run ({shown[:600]})")
        if content["t"] > self.plan.steps:
            return ValueError(f"the checkpoint {path} is at step {content['t']}, beyond steps={self.plan.steps}")
        return content


def duration(seconds: float) -> str:
    """``75`` becomes ``1 min 15 s``."""
    whole_seconds = max(0, round(seconds))
    hours, rest = divmod(whole_seconds, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"
