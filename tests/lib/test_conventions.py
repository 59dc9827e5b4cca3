"""Which of Adam's conventions an optimizer follows: torch's optimizers, our rules, and wrong AdamWs."""

import doctest
import subprocess
import sys

import pytest
import torch

import optbias
from optbias import __main__, conventions, rules
from optbias.conventions import identify
from optbias.torch_optimizer import as_torch


def ours(kind, **fixed):
    def make(params, lr, betas, eps, weight_decay):
        fields = kind.__dataclass_fields__
        numbers = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        return as_torch(kind(**{k: v for k, v in numbers.items() if k in fields}, **fixed), params)

    return make


@pytest.mark.parametrize(
    ("factory", "decay", "eps", "bias", "maximum", "rule"),
    [
        (torch.optim.Adam, "coupled", "beside", "both", "none", "Adam"),
        (torch.optim.AdamW, "decoupled", "beside", "both", "none", "AdamW"),
        (lambda p, **k: torch.optim.Adam(p, amsgrad=True, **k), "coupled", "beside", "both", "before", "AMSGrad"),
        (ours(rules.AdamW, eps_inside=True), "decoupled", "under", "both", "none", None),
        (ours(rules.Adam, bias_correction=False), "coupled", "beside", "none", "none", None),
        (ours(rules.AdamW, bias_correction=False, eps_inside=True), "decoupled", "under", "none", "none", None),
    ],
)
def test_conventions_are_told_apart(factory, decay, eps, bias, maximum, rule):
    found = identify(factory)
    assert found.is_adam
    assert conventions.DECAY[decay] == found.decay
    assert conventions.EPS[eps] in found.eps
    assert conventions.BIAS[bias] == found.bias_correction
    assert conventions.MAXIMUM[maximum] == found.maximum
    assert found.rules == (() if rule is None else (rule,))


def test_wrong_adamws():
    class Fixed(torch.optim.Adam):
        """Decays by wd itself, not by lr times wd."""

        def __init__(self, params, lr, betas, eps, weight_decay):
            super().__init__(params, lr, betas, eps)
            self.wd = weight_decay

        def step(self, closure=None):
            with torch.no_grad():
                for p in self.param_groups[0]["params"]:
                    p.mul_(1 - self.wd)
            return super().step(closure)

    assert identify(Fixed).decay == conventions.DECAY["fixed"]

    class After(Fixed):
        """Decays the weights that have already moved."""

        def step(self, closure=None):
            torch.optim.Adam.step(self, closure)
            with torch.no_grad():
                for p in self.param_groups[0]["params"]:
                    p.mul_(1 - self.param_groups[0]["lr"] * self.wd)

    assert identify(After).decay == conventions.DECAY["after"]
    none = identify(lambda params, lr, betas, eps: torch.optim.Adam(params, lr, betas, eps))
    assert none.decay == "not tried: the factory takes no weight_decay"


def test_what_is_no_adam_is_called_by_its_name_or_by_none():
    assert identify(torch.optim.NAdam).rules == ("NAdam",)
    assert not identify(torch.optim.NAdam).is_adam
    assert identify(ours(rules.Lion)).rules == ("Lion",)
    assert "not a form of Adam" in str(identify(torch.optim.RAdam))
    strange = identify(lambda params: torch.optim.SGD(params, lr=0.123, momentum=0.77))
    assert not strange.is_adam
    assert strange.rules == ()
    with pytest.raises(TypeError, match="factory must make an optimizer"):
        identify("AdamW")
    with pytest.raises(TypeError, match="an optimizer with a step method; got 3"):
        identify(lambda params: 3)


def test_the_command_line(capsys):
    assert __main__.main(["identify", "torch.optim:AdamW"]) == 0
    assert "decoupled, times the learning rate" in capsys.readouterr().out
    assert __main__.main(["identify", "torch.optim"]) == 2
    assert "MODULE:CLASS" in capsys.readouterr().err
    assert __main__.main(["identify", "torch.optim:Nothing"]) == 2
    assert "cannot find torch.optim:Nothing" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        __main__.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == f"optbias {optbias.__version__}"


def test_the_name_in_the_package():
    assert optbias.identify is identify
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = optbias.nothing


@pytest.mark.parametrize("module", [conventions, rules.base], ids=lambda m: m.__name__)
def test_examples_in_docstrings(module):
    with torch.random.fork_rng():
        torch.set_default_dtype(torch.float32)
        failed, tried = doctest.testmod(module)
    assert tried
    assert not failed


@pytest.mark.slow
def test_identify_from_a_shell():
    command = [sys.executable, "-m", "optbias", "identify", "torch.optim:NAdam"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "NAdam" in done.stdout
