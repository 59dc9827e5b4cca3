"""What every network keeps: shapes, seeds, gradients, independence of the examples; and the errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, hessian

from optbias.models import CNN, LSTM, MLP, ResidualMLP, ResNet, Transformer, VisionTransformer
from optbias.seeding import generator

VECTORS = torch.randn(6, 5, generator=generator(0), dtype=torch.float64)
IMAGES = torch.randn(6, 3, 8, 8, generator=generator(1), dtype=torch.float64)
TOKENS = torch.randint(0, 11, (6, 7), generator=generator(2))

Case = tuple[Callable[..., nn.Module], Tensor, tuple[int, ...]]
"""A network that takes ``seed`` and ``dtype``, inputs for it, and the shape of the logits."""

INDEPENDENT: dict[str, Case] = {
    "MLP": (lambda **k: MLP((5, 4, 3), **k), VECTORS, (6, 3)),
    "ResidualMLP-layer": (lambda **k: ResidualMLP(5, 8, 2, 3, **k), VECTORS, (6, 3)),
    "ResidualMLP-none": (lambda **k: ResidualMLP(5, 8, 2, 3, norm="none", **k), VECTORS, (6, 3)),
    "Transformer-pre": (lambda **k: Transformer(11, 7, 8, 2, **k), TOKENS, (6, 7, 11)),
    "Transformer-none": (lambda **k: Transformer(11, 7, 8, 2, norm="none", **k), TOKENS, (6, 7, 11)),
    "LSTM": (lambda **k: LSTM(11, 8, **k), TOKENS, (6, 7, 11)),
    "CNN-none": (lambda **k: CNN(8, 3, (4, 8), 16, **k), IMAGES, (6, 3)),
    "CNN-group": (lambda **k: CNN(8, 3, (4, 8), 16, norm="group", **k), IMAGES, (6, 3)),
    "ResNet-group": (lambda **k: ResNet((1, 1), 8, 3, **k), IMAGES, (6, 3)),
    "ResNet-none": (lambda **k: ResNet((1, 1), 8, 3, norm="none", **k), IMAGES, (6, 3)),
    "ResNet-bottleneck": (lambda **k: ResNet((2, 1), 8, 3, block="bottleneck", **k), IMAGES, (6, 3)),
    "VisionTransformer-pre": (lambda **k: VisionTransformer(8, 3, 4, 16, 2, 2, 8, **k), IMAGES, (6, 3)),
    "VisionTransformer-none": (lambda **k: VisionTransformer(8, 3, 4, 16, 2, 2, 8, norm="none", **k), IMAGES, (6, 3)),
}
"""Networks that treat each example by itself."""

BATCHED: dict[str, Case] = {
    "ResidualMLP-batch": (lambda **k: ResidualMLP(5, 8, 2, 3, norm="batch", **k), VECTORS, (6, 3)),
    "CNN-batch": (lambda **k: CNN(8, 3, (4, 8), 16, norm="batch", **k), IMAGES, (6, 3)),
    "ResNet-batch": (lambda **k: ResNet((1, 1), 8, 3, norm="batch", **k), IMAGES, (6, 3)),
}
"""Networks with batch normalisation, which mixes the examples."""

ALL = INDEPENDENT | BATCHED


def loss(net: nn.Module, inputs: Tensor, classes: int) -> Tensor:
    """Mean cross-entropy for labels that are made up from the inputs' places."""
    logits = net(inputs).reshape(-1, classes)
    labels = torch.arange(len(inputs) * (logits.shape[0] // len(inputs))) % classes
    return nn.functional.cross_entropy(logits, labels)


def flat(tensors: Any) -> Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])


@pytest.mark.parametrize("name", ALL)
def test_shape_and_gradient(name):
    make, inputs, shape = ALL[name]
    net = make(seed=0)
    assert net(inputs).shape == shape
    gradients = torch.autograd.grad(loss(net, inputs, shape[-1]), list(net.parameters()))
    for (parameter, _), gradient in zip(net.named_parameters(), gradients, strict=True):
        assert torch.isfinite(gradient).all(), parameter
        assert gradient.abs().max() > 0, parameter


@pytest.mark.parametrize("name", ALL)
def test_seed_and_precision(name):
    make, _, _ = ALL[name]
    one, again, other = (flat(make(seed=s).parameters()) for s in (4, 4, 5))
    assert torch.equal(one, again)
    assert (one != other).double().mean() > 0.5
    single = make(seed=4, dtype=torch.float32)
    assert {p.dtype for p in single.parameters()} == {torch.float32}
    # A drawn number is rounded once. (Convolutions of ResNet-none are rounded again when they are scaled.)
    torch.testing.assert_close(flat(single.parameters()).double(), one, rtol=2e-7, atol=0)


@pytest.mark.parametrize("name", ALL)
def test_default_dtype_has_no_say(name):
    make, _, _ = ALL[name]
    in_double = flat(make(seed=1).parameters())
    torch.set_default_dtype(torch.float32)
    assert torch.equal(flat(make(seed=1).parameters()), in_double)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_gradients_of_micro_batches_add_up(name):
    make, inputs, shape = INDEPENDENT[name]
    net = make(seed=0)

    def gradient(part: slice) -> Tensor:
        logits = net(inputs[part])
        labels = (torch.arange(len(inputs))[part] % shape[-1]).reshape(-1, *[1] * (logits.dim() - 2))
        labels = labels.expand(logits.shape[:-1])
        total = nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="sum")
        return flat(torch.autograd.grad(total, list(net.parameters())))

    together = gradient(slice(None))
    torch.testing.assert_close(gradient(slice(0, 2)) + gradient(slice(2, None)), together, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", BATCHED)
def test_batch_normalisation_mixes_examples(name):
    make, inputs, _ = BATCHED[name]
    net = make(seed=0)
    assert (net(inputs)[:3] - net(inputs[:3])).abs().max() > 1e-3
    net.eval()
    torch.testing.assert_close(net(inputs)[:3], net(inputs[:3]))


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("CNN-group", "ResNet-bottleneck")])
def test_second_derivative(name):
    """The sharpness probes differentiate twice: the Hessian times a vector against finite differences."""
    make, inputs, shape = ALL[name]
    net = make(seed=0)
    parameters = list(net.parameters())
    direction = [torch.randn(p.shape, generator=generator(7), dtype=torch.float64) for p in parameters]

    def gradient() -> tuple[Tensor, ...]:
        return torch.autograd.grad(loss(net, inputs, shape[-1]), parameters, create_graph=True)

    slope = sum((g * d).sum() for g, d in zip(gradient(), direction, strict=True))
    product = flat(torch.autograd.grad(slope, parameters))
    h, ends = 1e-5, []
    for sign in (1, -1):
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p.add_(d, alpha=sign * h)
        ends.append(flat(gradient()).detach())
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p.sub_(d, alpha=sign * h)
    assert (product - (ends[0] - ends[1]) / (2 * h)).abs().max() < 1e-5 * product.abs().max()


@pytest.mark.parametrize("name", ["Transformer-pre", "Transformer-none", "LSTM"])
def test_a_token_changes_only_what_comes_after_it(name):
    make, tokens, _ = INDEPENDENT[name]
    net = make(seed=0)
    before = net(tokens)
    for t in range(tokens.shape[1]):
        changed = tokens.clone()
        changed[:, t] = (changed[:, t] + 1) % 11
        difference = (net(changed) - before).abs().amax((0, 2))
        assert (difference[:t] == 0).all()
        assert difference[t] > 1e-6
        assert (difference[t:] > 0).all()


def test_shorter_sequences_are_the_beginning_of_longer_ones():
    for net in (Transformer(11, 7, 8, 2), LSTM(11, 8)):
        torch.testing.assert_close(net(TOKENS[:, :3]), net(TOKENS)[:, :3])


@pytest.mark.parametrize("norm", ["layer", "none", "batch"])
@pytest.mark.parametrize("each", [False, True], ids=["shared inputs", "own inputs"])
def test_stacked_residual_networks(norm, each):
    nets = [ResidualMLP(5, 8, 3, 4, norm=norm, seed=s) for s in range(3)]
    stacked_as_single(nets, each)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("each", [False, True], ids=["shared inputs", "own inputs"])
def test_stacked_mlp(bias, each):
    stacked_as_single([MLP((5, 4, 4, 3), "gelu", bias=bias, seed=s) for s in range(3)], each)


def stacked_as_single(nets: list[nn.Module], each: bool) -> None:
    """Outputs and gradients of the stack are those of the networks one by one."""
    random = generator(3)
    with torch.no_grad():  # so that biases and normalisations count too
        for net in nets:
            for p in net.parameters():
                p.add_(0.3 * torch.randn(p.shape, generator=random, dtype=torch.float64))
    names = [name for name, _ in nets[0].named_parameters()]
    parameters = {
        name: torch.stack([net.get_parameter(name).detach() for net in nets]).requires_grad_() for name in names
    }
    inputs = torch.stack([VECTORS + k for k in range(len(nets))]) if each else VECTORS
    outputs = nets[0].stacked(parameters, inputs)
    single = [net(inputs[k] if each else inputs) for k, net in enumerate(nets)]
    torch.testing.assert_close(outputs, torch.stack(single), rtol=1e-11, atol=1e-12)
    gradients = torch.autograd.grad(outputs.square().sum(), list(parameters.values()))
    for k, net in enumerate(nets):
        alone = torch.autograd.grad(single[k].square().sum(), list(net.parameters()))
        for a, b in zip(gradients, alone, strict=True):
            torch.testing.assert_close(a[k], b, rtol=1e-9, atol=1e-10)


def test_residual_mlp_is_its_formula():
    net = ResidualMLP(5, 8, 1, 3, seed=2)
    p = dict(net.named_parameters())

    def normalised(h: Tensor) -> Tensor:
        centred = h - h.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()

    h = VECTORS @ p["first.weight"].T + p["first.bias"]
    inner = nn.functional.gelu(normalised(h) @ p["blocks.0.inner.weight"].T + p["blocks.0.inner.bias"])
    h = h + inner @ p["blocks.0.outer.weight"].T + p["blocks.0.outer.bias"]
    torch.testing.assert_close(net(VECTORS), normalised(h) @ p["last.weight"].T + p["last.bias"])


def test_attention_is_torchs():
    from optbias.models.transformer import Attention

    for causal in (False, True):
        with torch.device("meta"):
            net = Attention(8, 2, causal)
        net.to_empty(device="cpu")
        with torch.no_grad():
            for p in net.parameters():
                p.copy_(torch.randn(p.shape, generator=generator(1), dtype=torch.float64))
        x = torch.randn(3, 5, 8, generator=generator(2), dtype=torch.float64)
        query, key, value = (part.view(3, 5, 2, 4).transpose(1, 2) for part in net.query_key_value(x).split(8, dim=-1))
        attended = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        torch.testing.assert_close(net(x), net.out(attended.transpose(1, 2).reshape(3, 5, 8)))


def test_patches_are_squares_of_the_image():
    net = VisionTransformer(8, 3, 4, 16, 2, 1, 8, channels=2, seed=0)
    image = torch.randn(2, 2, 8, 8, generator=generator(0), dtype=torch.float64)
    # Upper and lower, or left and right, patches exchanged: only the positions tell the difference.
    exchanged = [image.roll(4, dims=d) for d in (-2, -1)]
    assert min((net(image) - net(other)).abs().max() for other in exchanged) > 1e-4
    net.positions.zero_()
    assert max((net(image) - net(other)).abs().max() for other in exchanged) < 1e-12
    shifted = image.roll(1, dims=-1)  # no longer the same patches
    assert (net(image) - net(shifted)).abs().max() > 1e-4


def test_positions_differ():
    from optbias.models.transformer import waves

    marks = waves(4, 16)
    assert torch.cdist(marks, marks).add(torch.eye(16) * 9).min() > 0.1


# torchvision states these counts for 1,000 classes and the ImageNet stem (7 x 7); the CIFAR stem (3 x 3) and 10
# classes change them by known numbers. (docs.pytorch.org/vision/stable/models.html)
TORCHVISION = {18: (11_689_512, 512), 34: (21_797_672, 512), 50: (25_557_032, 2048), 101: (44_549_160, 2048)}


@pytest.mark.parametrize("depth", TORCHVISION)
def test_residual_networks_have_the_published_size(depth):
    published, features = TORCHVISION[depth]
    expected = published - 3 * 64 * (7 * 7 - 3 * 3) - 990 * (features + 1)
    norm = "batch" if depth == 18 else "group"
    assert sum(p.numel() for p in ResNet(depth, norm=norm, dtype=torch.float32).parameters()) == expected


def test_residual_stages_halve_the_image():
    net, shapes = ResNet((1, 2, 1), 4, 3), []
    for block in net.blocks:
        block.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    net(IMAGES)
    assert shapes == [(4, 8, 8), (8, 4, 4), (8, 4, 4), (16, 2, 2)]


def test_without_normalisation_depth_does_not_blow_up_the_signal():
    shallow, deep = ((ResNet((n,), 8, 3, norm="none")(IMAGES).std().item()) for n in (1, 24))
    assert deep < 10 * shallow


def test_initial_weights():
    net = ResidualMLP(400, 300, 1, 10)
    for layer in (net.first, net.last):
        bound = layer.in_features**-0.5
        for p in layer.parameters():
            assert bound * (1 - 20 / p.numel()) < p.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    text = LSTM(500, 40)
    assert text.tokens.weight.std().item() == pytest.approx(1.0, rel=0.02)
    assert 3.5 < text.tokens.weight.abs().max() < 5  # outside the box of radius 1 at the start
    assert text.recurrent.weight_hh_l1.abs().max() <= 40**-0.5
    convolution = ResNet((1,), 64, 3).blocks[0].convolutions[0]
    assert convolution.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


def test_a_new_kind_of_layer_is_not_left_undrawn():
    from optbias.models._parts import draw

    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(2, 2), nn.PReLU())
    with pytest.raises(TypeError, match="no rule for the initial weights of PReLU"):
        draw(net, 0, torch.float64)


def test_functional_call():
    """The parameters may come from outside, as stacks and probes want it."""
    for name in ("ResidualMLP-layer", "Transformer-pre", "LSTM", "ResNet-group"):
        make, inputs, _ = INDEPENDENT[name]
        net, other = make(seed=0), make(seed=1)
        torch.testing.assert_close(functional_call(net, dict(other.named_parameters()), (inputs,)), other(inputs))
    net = MLP((2, 2), seed=0)
    matrix = hessian(lambda w: functional_call(net, {"layers.0.weight": w}, (torch.ones(1, 2),)).square().sum())
    assert matrix(net.layers[0].weight.detach()).shape == (2, 2, 2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ResidualMLP(5, 0, 2, 3), "width must be a whole number >= 1; got 0"),
        (lambda: ResidualMLP(5, 8, 2.0, 3), "blocks must be a whole number >= 1; got 2.0"),
        (lambda: ResidualMLP(5, 8, 2, 3, "swish"), "activation must be one of 'tanh', .*; got 'swish'"),
        (lambda: ResidualMLP(5, 8, 2, 3, norm="group"), "norm must be one of 'layer', 'none', 'batch'; got 'group'"),
        (lambda: ResidualMLP(5, 8, 2, 3, seed=-1), "seed must be a non-negative integer"),
        (lambda: Transformer(11, 7, 10, 4), "width must be a multiple of heads; got width=10, heads=4"),
        (lambda: Transformer(11, True), "context must be a whole number >= 1; got True"),
        (lambda: Transformer(11, 7, norm="post"), "norm must be one of 'pre', 'none'; got 'post'"),
        (lambda: Transformer(11, 7)(TOKENS.repeat(1, 2)), r"length <= 7; got \(6, 14\)"),
        (lambda: Transformer(11, 7)(TOKENS[0]), r"shape \(n, length\)"),
        (lambda: LSTM(0), "vocabulary must be a whole number >= 1; got 0"),
        (lambda: LSTM(11)(TOKENS[0]), r"tokens must have shape \(n, length\); got \(7,\)"),
        (lambda: CNN(12), "size must be a multiple of 8 for 3 widths; got 12"),
        (lambda: CNN(8, 3, ()), "widths must name at least one stage"),
        (lambda: CNN(8, 3, (4, 0)), r"widths\[1\] must be a whole number >= 1; got 0"),
        (lambda: CNN(8, norm="layer"), "norm must be one of 'group', 'batch', 'none'"),
        (lambda: ResNet(19), "depth must be one of 18, 34, 50, 101; got 19"),
        (lambda: ResNet(()), "blocks per stage"),
        (lambda: ResNet((1, 0)), r"depth\[1\] must be a whole number"),
        (lambda: ResNet((1,), block="wide"), "block must be one of 'basic', 'bottleneck'; got 'wide'"),
        (lambda: VisionTransformer(30), "patch must divide size; got size=30, patch=4"),
        (lambda: VisionTransformer(width=66), "width must be a multiple of heads and of 4; got width=66"),
        (lambda: VisionTransformer(8)(torch.zeros(2, 3, 8, 9)), r"shape \(n, 3, 8, 8\); got \(2, 3, 8, 9\)"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
