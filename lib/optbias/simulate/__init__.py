"""Any rule on any loss: :func:`trajectory`, batched over starts and settings."""

from optbias.simulate.trajectories import Gradient, HasGradient, Loss, broadcast_shape, gradient_of, trajectory

__all__ = ["Gradient", "HasGradient", "Loss", "broadcast_shape", "gradient_of", "trajectory"]
