"""Lighthouse on pages of the built book: ``python -m benchmarks.lighthouse [page ...]``.

Needs Node and a Chromium; Lighthouse itself is installed into ``.cache/lighthouse`` on the first run. Each page is
measured several times with Lighthouse's own settings for a phone (slow network, slow processor) and for a desktop,
on a local server that compresses as GitHub Pages does. Medians are printed. Performance depends on how busy the
machine is; the other three scores do not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "book" / "_tools"), str(ROOT / "tests" / "book")]

from browser import chromium, served  # noqa: E402

VERSION = "12.8.2"
FOLDER = ROOT / ".cache" / "lighthouse"
PROGRAM = FOLDER / "node_modules" / ".bin" / "lighthouse"
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
TARGETS = {"mobile": 60, "desktop": 95}


def install() -> None:
    """Install Lighthouse into the project's cache, if it is not there."""
    if PROGRAM.exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("Lighthouse needs Node with npm; neither the book nor its tests do.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--prefix", str(FOLDER), "--no-audit", "--no-fund", f"lighthouse@{VERSION}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measure(url: str, form: str, categories: tuple[str, ...] = CATEGORIES) -> dict:
    """One report on one page; ``form`` is ``mobile`` or ``desktop``."""
    program = chromium()
    if program is None:
        raise SystemExit("Lighthouse needs a Chromium.")
    command = [
        str(PROGRAM), url, "--quiet", "--output=json", "--output-path=stdout",
        f"--only-categories={','.join(categories)}",
        "--chrome-flags=--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage",
    ]  # fmt: skip
    if form == "desktop":
        command.append("--preset=desktop")
    done = subprocess.run(command, env={**os.environ, "CHROME_PATH": program}, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"lighthouse failed on {url}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def scores(report: dict) -> dict[str, int]:
    """The scores of a report, out of 100."""
    return {name: round(100 * (part["score"] or 0)) for name, part in report["categories"].items()}


def failed(report: dict) -> list[str]:
    """What cost points in accessibility, best practices and SEO."""
    return [
        f"{part['id']}/{item['id']}: {report['audits'][item['id']]['title']}"
        for part in report["categories"].values()
        if part["id"] != "performance"
        for item in part["auditRefs"]
        if item["weight"] and (report["audits"][item["id"]]["score"] or 0) < 1
        and report["audits"][item["id"]]["scoreDisplayMode"] not in ("notApplicable", "manual", "informative")
    ]  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("pages", nargs="*", default=["momentum"], help="names of pages (default: momentum)")
    parser.add_argument("--site", type=Path, default=ROOT / "_build" / "html", help="the folder of the built book")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)
    install()
    missed = 0
    with served(options.site) as base:
        for page in options.pages:
            for form, target in TARGETS.items():
                reports = [measure(f"{base}/book/{page}.html", form) for _ in range(options.runs)]
                found = [scores(report) for report in reports]
                medians = {name: round(statistics.median(one[name] for one in found)) for name in CATEGORIES}
                spread = [one["performance"] for one in found]
                kilobytes = reports[0]["audits"]["total-byte-weight"]["numericValue"] / 1024
                print(
                    f"{page:16} {form:8}"
                    + "".join(f" {name} {value:3}" for name, value in medians.items())
                    + f"   performance of the runs {spread} (target {target}), {kilobytes:.0f} KB",
                    flush=True,
                )
                for line in failed(reports[0]):
                    print("  ", line)
                missed += medians["performance"] < target or min(medians[n] for n in CATEGORIES[1:]) < 100
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
