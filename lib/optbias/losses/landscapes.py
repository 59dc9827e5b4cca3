"""Analytic losses, by name: value, gradient, Hessian, minimisers and a window for plots.

``landscapes.get("ravine", steep=20.0)`` is the same as ``Ravine(steep=20.0)``. Every landscape is a
function of points: ``theta`` has shape ``(..., dim)`` and any number of leading axes is a batch.

==============  ===  ===================================================  ======================
name            dim  f(theta)                                             what it is for
==============  ===  ===================================================  ======================
``bowl``        2    x^2 + y^2                                            perfect conditioning
``ravine``      2    flat x^2 + steep y^2                                 differential curvature
``saddle``      2    (up x^2 - down y^2) / 2                              escape times
``plateau``     2    r^2 / (width^2 + r^2)                                vanishing slope
``cliff``       2    gentle slope into a steep wall                       exploding steps
``rosenbrock``  2    (a - x)^2 + b (y - x^2)^2                            a curved valley
``bilinear``    2    (target - factor x y)^2 / 2                          a curve of minimisers
``generic``     3    a smooth function without symmetry                   orders of accuracy
``quadratic``   any  (theta - minimiser)^T H (theta - minimiser) / 2      everything linear
==============  ===  ===================================================  ======================
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from optbias import _checks

Domain = tuple[tuple[float, float], ...]
"""One interval ``(low, high)`` for each coordinate."""


@dataclass(frozen=True, eq=False)
class Landscape:
    """What every landscape has. Constants are float64; results have the dtype and device of ``theta``.

    :meth:`__call__`, :meth:`gradient` and :meth:`hessian` raise TypeError if ``theta`` is not a
    floating-point tensor and ValueError if its last axis is not ``dim`` long.

    >>> [get(name).dim for name in ("bowl", "generic")]
    [2, 3]
    """

    name: ClassVar[str]
    dim: ClassVar[int] = 2

    def __call__(self, theta: Tensor) -> Tensor:
        """The loss at each point: ``(..., dim)`` to ``(...)``."""
        raise NotImplementedError

    def gradient(self, theta: Tensor) -> Tensor:
        """The gradient at each point: ``(..., dim)`` to ``(..., dim)``."""
        raise NotImplementedError

    def hessian(self, theta: Tensor) -> Tensor:
        """The Hessian at each point: ``(..., dim)`` to ``(..., dim, dim)``."""
        raise NotImplementedError

    @property
    def minimisers(self) -> Tensor:
        """Minimisers, ``(count, dim)``; the class says whether these are all. No rows: there is none."""
        return torch.zeros(1, self.dim, dtype=torch.float64)

    @property
    def minimiser(self) -> Tensor | None:
        """The minimiser, ``(dim,)``, where there is exactly one; otherwise None."""
        return self.minimisers[0] if len(self.minimisers) == 1 else None

    @property
    def minimum(self) -> float:
        """The smallest value (``-inf`` if the loss is not bounded below)."""
        return 0.0

    @property
    def domain(self) -> Domain:
        """A window for plots that holds ``start``, ``minimisers`` and what is to be seen: one interval each."""
        return self._domain()

    @property
    def start(self) -> Tensor:
        """A sensible start, ``(dim,)``."""
        return self._start()

    def parameters(self) -> dict[str, Any]:
        """Name and value of each parameter."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}

    def _domain(self) -> Domain:
        raise NotImplementedError

    def _start(self) -> Tensor:
        raise NotImplementedError

    def _coordinates(self, theta: Tensor) -> tuple[Tensor, ...]:
        return self._checked(theta).unbind(-1)

    def _checked(self, theta: Tensor) -> Tensor:
        if not isinstance(theta, Tensor) or not theta.is_floating_point():
            _checks.tensor("theta", theta)
        if theta.ndim == 0 or theta.shape[-1] != self.dim:
            raise ValueError(
                f"theta must have shape (..., {self.dim}) on the landscape {self.name!r}; got {tuple(theta.shape)}"
            )
        return theta


def _point(*coordinates: float) -> Tensor:
    return torch.tensor(coordinates, dtype=torch.float64)


def _symmetric(xx: Tensor, xy: Tensor, yy: Tensor) -> Tensor:
    """The matrices ``[[xx, xy], [xy, yy]]``, shape ``(..., 2, 2)``."""
    return torch.stack((torch.stack((xx, xy), -1), torch.stack((xy, yy), -1)), -2)


def _positive(**values: Any) -> None:
    for name, value in values.items():
        if isinstance(value, Tensor):
            raise TypeError(f"{name} must be a number; got a tensor")
        _checks.number(name, value, low=0.0, open_low=True, high=math.inf, open_high=True)


def _finite(**values: Any) -> None:
    for name, value in values.items():
        if isinstance(value, Tensor):
            raise TypeError(f"{name} must be a number; got a tensor")
        _checks.number(name, value, open_low=True, open_high=True)


@dataclass(frozen=True, eq=False)
class _Diagonal(Landscape):
    """A loss ``sum_i c_i theta_i^2 / 2``, with the constant diagonal Hessian ``c``."""

    _diagonal: Tensor = dataclasses.field(init=False, repr=False)

    def _set_diagonal(self, *entries: float) -> None:
        object.__setattr__(self, "_diagonal", _point(*entries))

    def __call__(self, theta: Tensor) -> Tensor:
        return 0.5 * (self._diagonal.to(theta) * self._checked(theta) ** 2).sum(-1)

    def gradient(self, theta: Tensor) -> Tensor:
        """``c theta``, coordinate by coordinate."""
        return self._diagonal.to(self._checked(theta)) * theta

    def hessian(self, theta: Tensor) -> Tensor:
        """``diag(c)`` at every point."""
        matrix = torch.diag(self._diagonal.to(self._checked(theta)))
        return matrix.expand(*theta.shape, self.dim).clone()


@dataclass(frozen=True, eq=False)
class Bowl(_Diagonal):
    """``f = x^2 + y^2``. Hessian ``2 I``, condition number 1: one gradient step of 1/2 solves it.

    >>> Bowl()(torch.tensor([1.0, 2.0]))
    tensor(5.)
    """

    name: ClassVar[str] = "bowl"

    def __post_init__(self) -> None:
        self._set_diagonal(2.0, 2.0)

    def _domain(self) -> Domain:
        return ((-1.5, 1.5), (-1.5, 1.5))

    def _start(self) -> Tensor:
        return _point(1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Ravine(_Diagonal):
    """``f = flat x^2 + steep y^2``. Hessian ``diag(2 flat, 2 steep)``; by default ``x^2 + 5 y^2``.

    >>> Ravine().gradient(torch.tensor([1.0, 1.0]))
    tensor([ 2., 10.])
    """

    flat: float = 1.0
    steep: float = 5.0

    name: ClassVar[str] = "ravine"

    def __post_init__(self) -> None:
        _positive(flat=self.flat, steep=self.steep)
        self._set_diagonal(2.0 * self.flat, 2.0 * self.steep)

    def _domain(self) -> Domain:
        return ((-1.5, 1.5), (-1.25, 1.25))

    def _start(self) -> Tensor:
        return _point(1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Saddle(_Diagonal):
    """``f = (up x^2 - down y^2) / 2``: a saddle at 0, unbounded below along y, no minimiser.

    >>> Saddle(down=2.0)(torch.tensor([1.0, 1.0]))
    tensor(-0.5000)
    """

    up: float = 1.0
    down: float = 1.0

    name: ClassVar[str] = "saddle"

    def __post_init__(self) -> None:
        _positive(up=self.up, down=self.down)
        self._set_diagonal(self.up, -self.down)

    @property
    def minimisers(self) -> Tensor:
        """None: the loss is not bounded below."""
        return torch.zeros(0, self.dim, dtype=torch.float64)

    @property
    def minimum(self) -> float:
        """``-inf``."""
        return -math.inf

    def _domain(self) -> Domain:
        return ((-1.5, 1.5), (-1.5, 1.5))

    def _start(self) -> Tensor:
        return _point(1.0, 1e-3)


@dataclass(frozen=True, eq=False)
class Plateau(Landscape):
    """``f = r^2 / (width^2 + r^2)`` with ``r^2 = x^2 + y^2``: a well in a plain of height 1.

    The slope is ``2 width^2 r / (width^2 + r^2)^2``, so it falls like ``2 width^2 / r^3`` far out.

    >>> Plateau(width=2.0)(torch.tensor([2.0, 0.0]))
    tensor(0.5000)
    """

    width: float = 1.0

    name: ClassVar[str] = "plateau"

    def __post_init__(self) -> None:
        _positive(width=self.width)

    def __call__(self, theta: Tensor) -> Tensor:
        r2 = (self._checked(theta) ** 2).sum(-1)
        return r2 / (self.width**2 + r2)

    def gradient(self, theta: Tensor) -> Tensor:
        """``2 width^2 theta / (width^2 + r^2)^2``."""
        depth = self.width**2 + (self._checked(theta) ** 2).sum(-1, keepdim=True)
        return (2.0 * self.width**2) * theta / depth**2

    def hessian(self, theta: Tensor) -> Tensor:
        """``2 width^2 (I / q^2 - 4 theta theta^T / q^3)`` with ``q = width^2 + r^2``."""
        depth = (self.width**2 + (self._checked(theta) ** 2).sum(-1))[..., None, None]
        identity = torch.eye(self.dim, dtype=theta.dtype, device=theta.device)
        outer = theta[..., :, None] * theta[..., None, :]
        return 2.0 * self.width**2 * (identity / depth**2 - 4.0 * outer / depth**3)

    def _domain(self) -> Domain:
        return ((-5.0 * self.width, 5.0 * self.width), (-5.0 * self.width, 5.0 * self.width))

    def _start(self) -> Tensor:
        return _point(4.0 * self.width, 2.0 * self.width)


@dataclass(frozen=True, eq=False)
class Cliff(Landscape):
    """``f = a x + b sqrt(x^2 + width^2) + curvature y^2 / 2 - constant``: a valley at the foot of a wall.

    With ``a = (steep - gentle) / 2`` and ``b = (steep + gentle) / 2`` the slope along x goes from
    ``-gentle`` (far left, a gentle descent to the right) to ``steep`` (the wall) over a strip of a few
    ``width``. The constant makes the minimum 0. The function is convex.

    >>> cliff = Cliff()
    >>> [round(float(cliff(torch.tensor([x, 0.0]))), 2) for x in (-1.0, 0.0, 1.0)]
    [0.93, 0.18, 49.93]
    """

    gentle: float = 1.0
    steep: float = 50.0
    width: float = 0.01
    curvature: float = 0.5

    name: ClassVar[str] = "cliff"

    def __post_init__(self) -> None:
        _positive(gentle=self.gentle, steep=self.steep, width=self.width, curvature=self.curvature)

    @property
    def _slopes(self) -> tuple[float, float]:
        return (self.steep - self.gentle) / 2, (self.steep + self.gentle) / 2

    def __call__(self, theta: Tensor) -> Tensor:
        x, y = self._coordinates(theta)
        a, b = self._slopes
        constant = self.width * math.sqrt(self.gentle * self.steep)
        return a * x + b * torch.sqrt(x**2 + self.width**2) + 0.5 * self.curvature * y**2 - constant

    def gradient(self, theta: Tensor) -> Tensor:
        """``(a + b x / sqrt(x^2 + width^2), curvature y)``."""
        x, y = self._coordinates(theta)
        a, b = self._slopes
        return torch.stack((a + b * x / torch.sqrt(x**2 + self.width**2), self.curvature * y), -1)

    def hessian(self, theta: Tensor) -> Tensor:
        """``diag(b width^2 / (x^2 + width^2)^(3/2), curvature)``."""
        x, y = self._coordinates(theta)
        xx = self._slopes[1] * self.width**2 * (x**2 + self.width**2) ** -1.5
        return _symmetric(xx, torch.zeros_like(x), torch.full_like(y, self.curvature))

    @property
    def minimisers(self) -> Tensor:
        """The one minimiser, ``x = -width a / sqrt(gentle steep)``, ``y = 0``."""
        x = -self.width * self._slopes[0] / math.sqrt(self.gentle * self.steep)
        return _point(x, 0.0)[None]

    def _domain(self) -> Domain:
        return ((min(-6.0, 2.0 * float(self.minimisers[0, 0])), 0.5), (-2.0, 2.0))

    def _start(self) -> Tensor:
        return _point(-2.0, 1.5)


@dataclass(frozen=True, eq=False)
class Rosenbrock(Landscape):
    """``f = (a - x)^2 + b (y - x^2)^2``: a curved valley, minimiser ``(a, a^2)``.

    >>> Rosenbrock().gradient(torch.tensor([1.0, 1.0]))
    tensor([0., 0.])
    """

    a: float = 1.0
    b: float = 100.0

    name: ClassVar[str] = "rosenbrock"

    def __post_init__(self) -> None:
        _finite(a=self.a)
        _positive(b=self.b)

    def __call__(self, theta: Tensor) -> Tensor:
        x, y = self._coordinates(theta)
        return (self.a - x) ** 2 + self.b * (y - x**2) ** 2

    def gradient(self, theta: Tensor) -> Tensor:
        """``(2 (x - a) - 4 b x (y - x^2), 2 b (y - x^2))``."""
        x, y = self._coordinates(theta)
        side = (2.0 * self.b) * torch.addcmul(y, x, x, value=-1.0)
        # Stacked along the first axis in memory: a compiler can then fuse this with the steps around it.
        return torch.stack((torch.addcmul(2.0 * (x - self.a), x, side, value=-2.0), side)).movedim(0, -1)

    def hessian(self, theta: Tensor) -> Tensor:
        """``[[2 + 12 b x^2 - 4 b y, -4 b x], [-4 b x, 2 b]]``."""
        x, y = self._coordinates(theta)
        xx = 2.0 + self.b * (12.0 * x**2 - 4.0 * y)
        return _symmetric(xx, -4.0 * self.b * x, torch.full_like(y, 2.0 * self.b))

    @property
    def minimisers(self) -> Tensor:
        """The one minimiser, ``(a, a^2)``."""
        return _point(self.a, self.a**2)[None]

    def _domain(self) -> Domain:
        reach = max(2.0, abs(self.a) + 1.0)
        return ((-reach, reach), (-1.0, max(3.0, self.a**2 + 1.0)))

    def _start(self) -> Tensor:
        return _point(-1.2, 1.0)


@dataclass(frozen=True, eq=False)
class Bilinear(Landscape):
    """``f = (target - factor x y)^2 / 2``: minimal on the hyperbola ``x y = target / factor``; a saddle at 0.

    The toy model of Cattaneo, Klusowski and Shigida (2024), ``(3/2 - 2 x y)^2 / 2``: a linear network
    with one hidden unit. Its minimisers differ in sharpness; the balanced ones, ``x = y``, are flattest.

    >>> Bilinear()(torch.tensor([0.5, 1.5]))
    tensor(0.)
    """

    target: float = 1.5
    factor: float = 2.0

    name: ClassVar[str] = "bilinear"

    def __post_init__(self) -> None:
        _positive(target=self.target, factor=self.factor)

    def __call__(self, theta: Tensor) -> Tensor:
        x, y = self._coordinates(theta)
        return 0.5 * (self.target - self.factor * x * y) ** 2

    def gradient(self, theta: Tensor) -> Tensor:
        """``factor (factor x y - target) (y, x)``."""
        x, y = self._coordinates(theta)
        pull = self.factor * (self.factor * x * y - self.target)
        return pull[..., None] * theta.flip(-1)

    def hessian(self, theta: Tensor) -> Tensor:
        """``[[c^2 y^2, c (2 c x y - target)], [c (2 c x y - target), c^2 x^2]]`` with ``c = factor``."""
        x, y = self._coordinates(theta)
        c = self.factor
        return _symmetric((c * y) ** 2, c * (2.0 * c * x * y - self.target), (c * x) ** 2)

    @property
    def minimisers(self) -> Tensor:
        """The two balanced points of the hyperbola, the flattest of its minimisers (all of it is minimal)."""
        side = math.sqrt(self.target / self.factor)
        return torch.stack((_point(side, side), _point(-side, -side)))

    def _domain(self) -> Domain:
        side = math.sqrt(self.target / self.factor) + 0.5
        interval = (-max(1.5, side), max(4.0, side))
        return (interval, interval)

    def _start(self) -> Tensor:
        return _point(2.8, 3.5)


@dataclass(frozen=True, eq=False)
class Generic(Landscape):
    """A smooth function of three variables with no symmetry, for checks of orders of accuracy.

    ``f = log cosh(x + y/2) + (y z - 1)^2 / 2 + z^2 / 4 + sin(x z) / 3 + x^2 / 10``. It is not convex.
    It is bounded below and has minimisers, but none in closed form: ``minimisers`` is empty and
    ``minimum`` raises ValueError.

    >>> Generic().dim
    3
    """

    name: ClassVar[str] = "generic"
    dim: ClassVar[int] = 3

    def __call__(self, theta: Tensor) -> Tensor:
        x, y, z = self._coordinates(theta)
        u = (x + 0.5 * y).abs()
        # log cosh u without overflow: |u| + log(1 + exp(-2|u|)) - log 2.
        log_cosh = u + torch.log1p(torch.exp(-2.0 * u)) - math.log(2.0)
        return log_cosh + 0.5 * (y * z - 1.0) ** 2 + 0.25 * z**2 + torch.sin(x * z) / 3.0 + 0.1 * x**2

    def gradient(self, theta: Tensor) -> Tensor:
        """``(t + z w + x/5, t/2 + z r, y r + z/2 + x w)``; t = tanh(x + y/2), w = cos(x z)/3, r = y z - 1."""
        x, y, z = self._coordinates(theta)
        tanh, wave, residual = torch.tanh(x + 0.5 * y), torch.cos(x * z) / 3.0, y * z - 1.0
        return torch.stack(
            (tanh + z * wave + 0.2 * x, 0.5 * tanh + z * residual, y * residual + 0.5 * z + x * wave), -1
        )

    def hessian(self, theta: Tensor) -> Tensor:
        """The derivative of :meth:`gradient`, entry by entry."""
        x, y, z = self._coordinates(theta)
        bend = 1.0 - torch.tanh(x + 0.5 * y) ** 2
        cos, sin = torch.cos(x * z) / 3.0, torch.sin(x * z) / 3.0
        xx, xy, xz = bend - z**2 * sin + 0.2, 0.5 * bend, cos - x * z * sin
        yy, yz, zz = 0.25 * bend + z**2, 2.0 * y * z - 1.0, y**2 + 0.5 - x**2 * sin
        rows = ((xx, xy, xz), (xy, yy, yz), (xz, yz, zz))
        return torch.stack([torch.stack(row, -1) for row in rows], -2)

    @property
    def minimisers(self) -> Tensor:
        """Empty: no minimiser is known in closed form."""
        return torch.zeros(0, self.dim, dtype=torch.float64)

    @property
    def minimum(self) -> float:
        """Not known in closed form: raises ValueError."""
        raise ValueError("the minimum of the landscape 'generic' has no closed form")

    def _domain(self) -> Domain:
        return ((-2.0, 2.0), (-2.5, 2.5), (-2.0, 2.0))

    def _start(self) -> Tensor:
        return _point(1.5, 2.0, 1.5)


@dataclass(frozen=True, eq=False)
class Quadratic(Landscape):
    """``f = (theta - minimiser)^T H (theta - minimiser) / 2`` with a symmetric matrix ``H``, ``(d, d)``.

    The second argument is the point where the gradient is zero, ``(d,)``, by default 0. It is kept as
    ``centre``. It deserves its name, and the attribute ``minimiser`` is set, only if ``H`` is positive
    definite. If ``H`` is positive semi-definite and singular, ``centre`` is one minimiser of infinitely
    many; if ``H`` has a negative eigenvalue (below ``-1e-12`` of the largest in size) there is none.

    Raises ValueError if ``H`` is not square, symmetric and finite, or the point does not fit.

    >>> Quadratic([[2.0, 0.0], [0.0, 10.0]])(torch.tensor([1.0, 1.0], dtype=torch.float64))
    tensor(6., dtype=torch.float64)
    """

    H: Any = ((1.0, 0.0), (0.0, 1.0))
    minimiser: Any = None

    name: ClassVar[str] = "quadratic"
    centre: Tensor = dataclasses.field(init=False, repr=False)
    dim: int = dataclasses.field(init=False, repr=False)  # type: ignore[misc]
    _lowest: float = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        matrix = _float64("H", self.H)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
            raise ValueError(f"H must be a square matrix; got shape {tuple(matrix.shape)}")
        if not torch.allclose(matrix, matrix.T, rtol=1e-12, atol=1e-12 * float(matrix.abs().max())):
            raise ValueError("H must be symmetric; use (H + H.T) / 2, which gives the same loss")
        centre = torch.zeros(len(matrix), dtype=torch.float64)
        if self.minimiser is not None:
            centre = _float64("minimiser", self.minimiser)
        if centre.shape != (len(matrix),):
            raise ValueError(f"minimiser must have shape ({len(matrix)},) to fit H; got {tuple(centre.shape)}")
        eigenvalues = torch.linalg.eigvalsh(matrix)
        # The smallest eigenvalue relative to the largest in size; 1e-12 is the resolution of float64 here.
        lowest = float(eigenvalues[0] / eigenvalues.abs().max().clamp_min(1e-300))
        unique = centre if lowest > 1e-12 else None
        values = {"H": matrix, "centre": centre, "minimiser": unique, "dim": len(matrix), "_lowest": lowest}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __call__(self, theta: Tensor) -> Tensor:
        away = self._checked(theta) - self.centre.to(theta)
        return 0.5 * ((away @ self.H.to(theta)) * away).sum(-1)

    def gradient(self, theta: Tensor) -> Tensor:
        """``H (theta - centre)``."""
        return (self._checked(theta) - self.centre.to(theta)) @ self.H.to(theta)

    def hessian(self, theta: Tensor) -> Tensor:
        """``H`` at every point."""
        return self.H.to(self._checked(theta)).expand(*theta.shape, self.dim).clone()

    @property
    def minimisers(self) -> Tensor:
        """``centre`` if ``H`` has no negative eigenvalue (all minimisers only if it has no zero one either)."""
        return self.centre[None] if self.minimum == 0.0 else torch.zeros(0, self.dim, dtype=torch.float64)

    @property
    def minimum(self) -> float:
        """0, or ``-inf`` if ``H`` has a negative eigenvalue."""
        return 0.0 if self._lowest >= -1e-12 else -math.inf

    def _domain(self) -> Domain:
        return tuple((c - 2.5, c + 2.5) for c in self.centre.tolist())

    def _start(self) -> Tensor:
        return self.centre + 1.0

    def parameters(self) -> dict[str, Any]:
        """``H`` and the point that was given as ``minimiser``."""
        return {"H": self.H, "minimiser": self.centre}


def _float64(name: str, value: Any) -> Tensor:
    try:
        tensor = torch.as_tensor(value).detach().to("cpu", torch.float64, copy=True)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be a tensor of real numbers or nested lists of them; got {value!r}") from error
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{name} must hold finite numbers; got NaN or infinity")
    return tensor


_CLASSES = {cls.name: cls for cls in (Bowl, Ravine, Saddle, Plateau, Cliff, Rosenbrock, Bilinear, Generic, Quadratic)}

NAMES = tuple(_CLASSES)
"""The names that :func:`get` knows."""


def get(name: str, **parameters: Any) -> Landscape:
    """The landscape called ``name``, with its parameters: ``get("ravine", steep=20.0)``.

    Raises ValueError for an unknown name or a parameter out of range and TypeError for a parameter
    that the landscape does not have; both say what is allowed.

    >>> get("ravine", steep=20.0)(torch.tensor([0.0, 1.0]))
    tensor(20.)
    """
    _checks.one_of("name", name, NAMES)
    cls = _CLASSES[name]
    allowed = [f.name for f in dataclasses.fields(cls) if f.init]
    for given in parameters:
        if given not in allowed:
            listed = ", ".join(map(repr, allowed)) or "none"
            raise TypeError(f"the landscape {name!r} has no parameter {given!r}; its parameters: {listed}")
    return cls(**parameters)
