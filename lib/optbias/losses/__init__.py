"""Losses to run a rule on: analytic :mod:`~optbias.losses.landscapes`, and networks as functions of one vector.

:mod:`~optbias.losses.curvature` makes a network such a function, with gradient and Hessian;
:mod:`~optbias.losses.surfaces` cuts slices through it for a picture.
"""
