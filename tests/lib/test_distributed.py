"""``as_torch`` where several processes train one network: DDP, ZeRO, distributed checkpoints."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

from optbias.models import MLP
from optbias.rules import AdamW, NAdam, Rule, ScheduleFreeAdamW, Shampoo
from optbias.seeding import generator
from optbias.torch_optimizer import RuleOptimizer, as_torch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# Moments like theta, of other shapes, and state that is no tensor.
RULES: dict[str, Rule] = {
    "AdamW": AdamW(0.01),
    "NAdam": NAdam(0.01, decoupled=True),
    "ScheduleFreeAdamW": ScheduleFreeAdamW(0.01),
    "Shampoo": Shampoo(0.01),
}
STEPS = 6


def network() -> nn.Module:
    return MLP([5, 4, 3], bias=False, seed=1)


def data() -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(STEPS, 8, 5, generator=generator(0), dtype=torch.float64)
    return inputs, torch.arange(8).remainder(3).expand(STEPS, 8)


def advance(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range, part: slice = slice(None)) -> None:
    inputs, labels = data()
    for step in steps:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[step, part]), labels[step, part]).backward()
        optimizer.step()


def alone(name: str) -> list[torch.Tensor]:
    """What one process with the whole batch computes."""
    model = network()
    advance(model, as_torch(RULES[name], model.parameters()), range(STEPS))
    return [param.detach() for param in model.parameters()]


def same(model: nn.Module, wanted: list[torch.Tensor]) -> None:
    for found, param in zip(model.parameters(), wanted, strict=True):
        torch.testing.assert_close(found.detach(), param, rtol=1e-11, atol=1e-12)


def ddp(rank: int, folder: str) -> None:
    for name, rule in RULES.items():
        model = DistributedDataParallel(network())
        advance(model, as_torch(rule, model.parameters()), range(STEPS), slice(4 * rank, 4 * rank + 4))
        same(model.module, alone(name))


def zero(rank: int, folder: str) -> None:
    """Each process keeps the state of its own part of the parameters; a saved state goes on to the same numbers."""
    for name, rule in RULES.items():
        model = DistributedDataParallel(network())
        make = functools.partial(RuleOptimizer, rule)
        sharded = ZeroRedundancyOptimizer(model.parameters(), optimizer_class=make)  # type: ignore[arg-type]
        part = slice(4 * rank, 4 * rank + 4)
        advance(model, sharded, range(3), part)
        sharded.consolidate_state_dict(to=0)
        saved = [sharded.state_dict() if rank == 0 else None]
        dist.broadcast_object_list(saved, src=0)
        again = ZeroRedundancyOptimizer(model.parameters(), optimizer_class=make)  # type: ignore[arg-type]
        again.load_state_dict(saved[0])
        advance(model, again, range(3, STEPS), part)
        same(model.module, alone(name))


def checkpoint(rank: int, folder: str) -> None:
    """Save after three steps, load into new objects, go on."""
    for name, rule in RULES.items():
        part = slice(4 * rank, 4 * rank + 4)
        first = DistributedDataParallel(network())
        optimizer = as_torch(rule, first.parameters())
        advance(first, optimizer, range(3), part)
        weights, state = get_state_dict(first, optimizer)
        dcp.save({"model": weights, "optimizer": state}, checkpoint_id=f"{folder}/{name}")
        second = DistributedDataParallel(network())
        fresh = as_torch(rule, second.parameters())
        weights, state = get_state_dict(second, fresh)
        dcp.load({"model": weights, "optimizer": state}, checkpoint_id=f"{folder}/{name}")
        set_state_dict(second, fresh, model_state_dict=weights, optim_state_dict=state)
        advance(second, fresh, range(3, STEPS), part)
        same(second.module, alone(name))


def start(rank: int, work: object, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    try:
        work(rank, folder)  # type: ignore[operator]
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("work", [ddp, zero, checkpoint])
def test_two_processes_compute_what_one_does(work: object, tmp_path: Path) -> None:
    torch.multiprocessing.spawn(start, args=(work, str(tmp_path)), nprocs=2, join=True)
