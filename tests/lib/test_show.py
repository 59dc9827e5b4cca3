"""The code that pages show is the code that runs."""

import inspect

from optbias.rules import Adam
from optbias.show import source


def test_a_method_is_shown_without_its_indent():
    shown = source(Adam.equations).data
    assert shown.startswith("def equations(self")
    assert "    m = beta1 * state" in shown
    assert len(shown.splitlines()) == len(inspect.getsource(Adam.equations).splitlines())
