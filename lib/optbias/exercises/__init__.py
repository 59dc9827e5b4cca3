"""The public side of the exercises: ``check("adam-step")`` says what is right and what is not, and why.

A task asks for one function of plain data (numbers, lists, tensors; an optimizer is
``step(params, grads, state, hyper) -> params, state``). Its public checks stand in the module of its
assignment (``ps_adam.py``), beside the usual slips, each with the sentence that names it. The tests
that decide on points stand in the instructor's notebooks only; they use the same tools with other
numbers, through :func:`exam`.

Nothing here needs nbgrader: the checks run wherever the library is installed, Colab included.
"""

from optbias.exercises._answers import Answer, CheckFailed, Unexplained
from optbias.exercises._compare import Step, close, moved, numbers, same, same_run
from optbias.exercises._families import family
from optbias.exercises._tasks import Task, check, exam, get, task, tasks

__all__ = [
    "Answer",
    "CheckFailed",
    "Step",
    "Task",
    "Unexplained",
    "check",
    "close",
    "exam",
    "family",
    "get",
    "moved",
    "numbers",
    "same",
    "same_run",
    "task",
    "tasks",
]
