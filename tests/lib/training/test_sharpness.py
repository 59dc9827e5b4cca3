"""The sharpness probe is the largest eigenvalue of the preconditioned Hessian."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from optbias.losses.curvature import NetworkLoss
from optbias.rules import Adam, AdamW, GradientDescent, RMSProp
from optbias.training import Probes, train


def dense(model, split, preconditioner):
    """By the whole Hessian, at the model's present parameters."""
    loss = NetworkLoss(model, split.inputs, split.labels)
    hessian = loss.hessian(loss.theta0)
    return torch.linalg.eigvals(hessian / preconditioner.unsqueeze(1)).real.max().item()


@pytest.mark.parametrize("micro_batch", [None, 25])
@pytest.mark.parametrize(
    "rule",
    [
        GradientDescent(lr=0.1),
        Adam(lr=0.02, eps=1e-4),
        Adam(lr=0.02, eps=1e-6, eps_inside=True),
        AdamW(lr=0.02, eps=1e-4, bias_correction=False),
        RMSProp(lr=0.02, eps=1e-4),
    ],
    ids=["GradientDescent", "Adam", "Adam_inside", "AdamW_uncorrected", "RMSProp"],
)
def test_it_is_the_dense_eigenvalue(vectors, network, rule, micro_batch):
    probes = Probes(sharpness_every=7, sharpness_tol=1e-9)
    model = network()
    run = train(model, vectors, rule, 7, probes=probes, micro_batch=micro_batch)
    # The preconditioner by hand, from the readable rule along the same gradients.
    loss = NetworkLoss(network(), vectors.inputs, vectors.labels)
    theta, state = loss.theta0, rule.init(loss.theta0)
    for _ in range(7):
        theta, state = rule.update(theta, loss.gradient(theta), state)
    diagonal = torch.ones_like(theta)
    if "v" in state:
        beta = getattr(rule, "rho", None) or rule.betas[1]
        v = state["v"] / (1 - beta**7) if rule.bias_correction else state["v"]
        diagonal = (v + rule.eps).sqrt() if rule.eps_inside else v.sqrt() + rule.eps
    assert run.history["sharpness"].notna().tolist() == [False] * 7 + [True]
    assert run.history["sharpness"].iloc[-1] == pytest.approx(dense(model, vectors, diagonal), rel=1e-6)


def test_a_coordinate_without_gradient_is_left_out(text, words):
    """Word 0 is taken out of the text: its embedding never has a gradient, and eps is 0."""
    import dataclasses

    split = dataclasses.replace(text, inputs=text.inputs.clamp(min=1))
    run = train(words(), split, Adam(lr=0.01, eps=0.0), 5, probes=Probes(sharpness_every=5))
    assert np.isfinite(run.history["sharpness"].iloc[-1])
    assert run.history["sharpness"].iloc[-1] > 0


@pytest.mark.parametrize("kind", ["attention", "lstm"])
def test_networks_with_fused_kernels_have_a_sharpness_too(text, kind):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            random = torch.Generator().manual_seed(0)
            self.embedding = nn.Parameter(torch.randn(7, 4, generator=random))
            self.lstm = nn.LSTM(4, 7, batch_first=True)
            with torch.no_grad():
                for parameter in self.lstm.parameters():
                    parameter.copy_(torch.randn(parameter.shape, generator=random) / 3)

        def forward(self, inputs):
            hidden = self.embedding[inputs]
            if kind == "attention":
                heads = hidden.unsqueeze(1)
                hidden = nn.functional.scaled_dot_product_attention(heads, heads, heads, is_causal=True).squeeze(1)
            return self.lstm(hidden)[0]

    with torch.random.fork_rng():
        model = Net().to(torch.float32)
    run = train(model, text, Adam(lr=0.01), 2, probes=Probes(sharpness_every=2))
    assert np.isfinite(run.history["sharpness"].iloc[-1])
