"""The command line: ``python -m optbias COMMAND ...``. Without a command it shows what there is."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from optbias import __version__

COMMANDS = {
    "reproduce": ("optbias.experiments.reproduce", "reproduce an experiment of the two papers and check what it shows"),
    "grade": ("optbias.grading.command", "grade a folder of submissions in a sandbox, into nbgrader's gradebook"),
    "identify": ("optbias.conventions", "tell which of Adam's conventions an optimizer follows"),
    "restore": ("optbias.grading.restore", "rebuild a notebook that was handed in on its release"),
}
"""Name of each command: the module behind it and one line of help.

The module has ``configure(parser)``, which adds the arguments, and ``run(options) -> int``, which returns the exit
status. It is imported only when its command is given.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0 done, 1 a check failed, 2 wrong use or an error, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _main(given)
    except KeyboardInterrupt:
        # Also while a command's module is imported, which takes seconds.
        print("interrupted", file=sys.stderr)
        return 130


def _main(given: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m optbias", description="Adam and its variants: the course's tools.")
    parser.add_argument("--version", action="version", version=f"optbias {__version__}")
    parser.epilog = "python -m optbias COMMAND --help tells more about a command."
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    chosen = next((word for word in given if not word.startswith("-")), None)
    module = None
    for name, (path, line) in COMMANDS.items():
        command = commands.add_parser(name, help=line, description=line[0].upper() + line[1:] + ".")
        if name == chosen:
            module = importlib.import_module(path)
            module.configure(command)
    options = parser.parse_args(given)
    if options.command is None or module is None:
        parser.print_help()
        return 0
    try:
        return module.run(options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"python -m optbias {options.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
