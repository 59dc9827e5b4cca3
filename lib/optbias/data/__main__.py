"""``python -m optbias.data penn-treebank shakespeare cifar10``: fetch data sets into the cache, verified."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from optbias.data.download import FILES, FILES_OF, DataError, cache_folder, fetch


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch the named data sets; return 0, or 1 if one could not be had."""
    parser = argparse.ArgumentParser(prog="python -m optbias.data", description="Fetch data sets into the cache.")
    parser.add_argument("names", nargs="+", choices=list(FILES_OF), metavar="NAME", help=", ".join(FILES_OF))
    options = parser.parse_args(arguments)
    print(f"into {cache_folder()}")
    failed = 0
    for name in options.names:
        files = [FILES[key] for key in FILES_OF[name]]
        print(f"{name}: {sum(file.size for file in files) / 1e6:.1f} MB. {files[0].licence}", flush=True)
        try:
            for file in files:
                print(f"  {fetch(file)}")
        except DataError as error:
            print(f"  {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
