"""The compiler of ``trajectory(..., compile=True)``: ``torch.compile``, told two facts that it does not see itself."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

OPTIONS: dict[str, Any] = {
    "cpp_wrapper": True,  # the memory of a chunk is allocated in C++: in Python it costs as much as the steps
    "cpp.min_chunk_size": 64,  # runs for each thread: a fused loop does enough on each to pay for the thread
}
"""What a chunk of steps on a CPU asks of torch's compiler."""


def backend(module: GraphModule, inputs: list[Tensor]) -> Any:
    """A backend for ``torch.compile``: the default one, after :func:`simplify`."""
    from torch._inductor.compile_fx import compile_fx

    simplify(module)
    on_cpu = all(value.device.type == "cpu" for value in inputs if isinstance(value, Tensor))
    compiled: Any = compile_fx(module, inputs, config_patches=OPTIONS if on_cpu else {})
    return compiled


def simplify(module: GraphModule) -> None:
    """Rewrite the graph of a chunk of steps in place, without a change to any number.

    - ``stack(xs, -1).unbind(-1)[i]`` becomes ``xs[i]``. Then nothing joins the coordinates of a point
      any more, and all steps become one loop over the runs, whose values stay in registers.
    - ``beta**t`` with a 0-d ``t`` is computed once, not again for each vector of that loop.
    """
    for node in list(module.graph.nodes):
        if (entry := _stacked_entry(node)) is not None:
            node.replace_all_uses_with(entry)
        elif _is_power_of_the_step(node):
            with module.graph.inserting_after(node):
                # The strides change nothing; but a tensor that is addressed by its strides has to exist in memory.
                once = module.graph.call_function(torch.as_strided, (node, (), ()))
            node.replace_all_uses_with(once, delete_user_cb=lambda user, once=once: user is not once)
    module.graph.lint()
    module.recompile()


def _stacked_entry(node: Any) -> Node | None:
    """For ``unbind(stack(xs, -1), -1)[i]``, also with the stack on axis 0 and moved: ``xs[i]``. Else None."""
    if node.target is not operator.getitem:
        return None
    unbound, index = node.args
    if not (_calls(unbound, "unbind", (-1,)) and isinstance(index, int)):
        return None
    stacked = unbound.args[0]
    if _calls(stacked, "movedim", (0, -1)) and _calls(stacked.args[0], torch.stack, ()):
        stacked = stacked.args[0]
    elif not _calls(stacked, torch.stack, (-1,)):
        return None
    entry = stacked.args[0][index]
    return entry if isinstance(entry, Node) else None


def _calls(node: Any, target: Any, rest: tuple[Any, ...]) -> bool:
    """Whether ``node`` is a call of ``target`` with ``rest`` after the first argument."""
    return isinstance(node, Node) and node.target == target and node.args[1:] == rest and not node.kwargs


def _is_power_of_the_step(node: Any) -> bool:
    if node.target is not operator.pow or not isinstance(node.args[1], Node):
        return False
    exponent = node.args[1].meta.get("example_value")
    power = node.meta.get("example_value")
    return all(isinstance(value, Tensor) and value.ndim == 0 for value in (exponent, power))
