"""Every public name has a docstring with an example, and every example of the library does what it shows."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import api_reference
import optbias

PUBLIC = [(module, name) for module in api_reference.MODULES for name in api_reference.public_names(module)]
HIDDEN = {
    "optbias.rules": "the reference shows the package",
    "optbias.exercises": "for those who write tasks",
    "optbias.experiments": "the command line's",
    "optbias.grading": "the command line's",
    "optbias.training": "the package's names are the public ones",
    "optbias.simulate": "the package's names are the public ones",
    "optbias.models": "the package's names are the public ones",
    "optbias.data": "the package's names are the public ones",
    "optbias.widgets": "the package's names are the public ones",
    "optbias.theory.theorems": "the package's names are the public ones",
}
"""Packages whose modules are not shown one by one, and why."""


def test_no_public_module_is_forgotten() -> None:
    found = {info.name for info in pkgutil.walk_packages(optbias.__path__, "optbias.")}
    inside = {name for name in found for package in HIDDEN if name.startswith(f"{package}.")}
    packages = {"optbias.losses", "optbias.theory", "optbias.experiments", "optbias.grading"}
    private = {name for name in found if any(part.startswith("_") for part in name.split("."))}
    assert found - inside - packages - private == set(api_reference.MODULES)


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda value: value.removeprefix("optbias."))
def test_a_public_name_says_what_it_is(module: str, name: str) -> None:
    if api_reference.kind(module, name) == "data":
        assert len(api_reference.data_doc(module, name)) > 20, "write a text below the assignment"
        return
    text = inspect.getdoc(getattr(importlib.import_module(module), name)) or ""
    assert len(text.split()) > 4
    assert ">>> " in text, "give an example"


def examples() -> list[tuple[str, str]]:
    """The modules in which public names are made, each with the public module that shows it."""
    homes = {}
    for module, name in PUBLIC:
        thing = getattr(importlib.import_module(module), name)
        homes.setdefault((getattr(thing, "__module__", module) or module, module), None)
    return [pair for pair in homes if pair[0].startswith("optbias")]


@pytest.mark.parametrize(("home", "module"), examples(), ids=lambda value: value.removeprefix("optbias."))
def test_the_examples_do_what_they_show(home: str, module: str) -> None:
    """With torch, the public module's names and those of the module itself, as the reference says."""
    import matplotlib.pyplot as plt
    import torch

    public = importlib.import_module(module)
    names = {name: getattr(public, name) for name in api_reference.public_names(module)}
    shown = {"torch": torch} | names
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    finder = doctest.DocTestFinder(exclude_empty=True)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    said: list[str] = []
    try:
        for test in finder.find(importlib.import_module(home), home, globs={}):
            test.globs = dict(shown)
            runner.run(test, out=said.append)
    finally:
        torch.set_default_dtype(default)
        plt.close("all")
    assert not runner.failures, "".join(said)


def test_a_wrong_example_is_noticed() -> None:
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert doctest.DocTestRunner().run(test, out=lambda text: None).failed == 1
