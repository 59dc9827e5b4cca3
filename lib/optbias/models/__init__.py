"""Networks, small enough to look into: plain ``torch.nn.Module`` with seeded initial weights."""

from optbias.models.mlp import ACTIVATIONS, MLP

__all__ = ["ACTIVATIONS", "MLP"]
