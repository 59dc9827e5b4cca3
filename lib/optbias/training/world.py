"""One process or several, as ``torchrun`` starts them."""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor


class World:
    """This process among all that train the same network.

    ``torchrun --nproc-per-node=4 program.py`` starts four of them on one machine (its other options name more
    machines); ``program.py`` calls :func:`optbias.training.train` as ever. They share the work of one gradient:
    each takes its share of the micro-batches, one all-reduce over the flat gradient buffer sums the parts, and
    each takes the same step. The first process writes checkpoints and shows progress. If one fails, ``torchrun``
    ends the others.

    This is what ``DistributedDataParallel`` does when all gradients fit one bucket. The wrapper itself is not
    used: it owns the gradient buckets (ours is the flat buffer already), averages over processes (we sum parts
    that are weighted exactly), and starts to communicate before the last micro-batch unless told otherwise.
    """

    def __init__(self, device: torch.device) -> None:
        if not dist.is_available() or _by_itself:
            self.rank, self.size = 0, 1
            return
        if not dist.is_initialized() and several():
            # On GPUs both: tensors there go by NCCL, what is said in Python objects by gloo, without a device.
            dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
            atexit.register(_leave)
        self.rank, self.size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

    def sum(self, tensor: Tensor) -> None:
        """Replace ``tensor`` by its sum over the processes."""
        if self.size > 1:
            dist.all_reduce(tensor)

    def from_first(self, tensor: Tensor) -> None:
        """Replace ``tensor`` by that of the first process."""
        if self.size > 1:
            dist.broadcast(tensor, 0)

    def object_from_first(self, value: object) -> object:
        """The ``value`` of the first process (it must be picklable)."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, 0)
        return box[0]


def several() -> bool:
    """Whether ``torchrun`` started this process beside others."""
    return dist.is_available() and int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


_by_itself = False


@contextlib.contextmanager
def by_itself() -> Iterator[None]:
    """Training inside is this process's alone, and the others need not take part."""
    global _by_itself
    before, _by_itself = _by_itself, True
    try:
        yield
    finally:
        _by_itself = before


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
