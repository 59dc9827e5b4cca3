"""Networks, small enough to look into: plain ``torch.nn.Module`` with seeded initial weights.

- vectors: :class:`MLP`, :class:`ResidualMLP`; both also run many networks at once (``stacked``);
- images: :class:`CNN`, :class:`ResNet`, :class:`VisionTransformer`;
- text (tokens in, logits of the next token at each position out): :class:`Transformer`, :class:`LSTM`.

Each takes ``seed`` and ``dtype`` and draws nothing from torch's global random state. None has dropout: with
a normalisation other than ``"batch"`` the loss of a batch is the mean over its examples, so that gradients of
micro-batches add up to the gradient of the full batch.
"""

from optbias.models._parts import ACTIVATIONS
from optbias.models.convolutional import CNN, ResNet
from optbias.models.lstm import LSTM
from optbias.models.mlp import MLP
from optbias.models.residual_mlp import ResidualMLP
from optbias.models.transformer import Transformer, VisionTransformer

__all__ = ["ACTIVATIONS", "CNN", "LSTM", "MLP", "ResNet", "ResidualMLP", "Transformer", "VisionTransformer"]
