"""Maps onto the values of parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfb = tfp.bijectors


def onto(low: float, high: float) -> Any:
    """The map from all numbers onto those between two ends, which may be infinite."""
    if np.isinf(low) and np.isinf(high):
        return tfb.Identity()
    if np.isinf(high):
        return tfb.Chain([tfb.Shift(np.float64(low)), tfb.Exp()]) if low else tfb.Exp()
    if np.isinf(low):
        return tfb.Chain([tfb.Shift(np.float64(high)), tfb.Scale(np.float64(-1)), tfb.Exp()])
    return tfb.Sigmoid(np.float64(low), np.float64(high))


class StickBreaking(tfb.IteratedSigmoidCentered):  # type: ignore[name-defined]
    """The map from n - 1 numbers onto n shares of 1, as Stan's.

    Shares are exponentials of their logarithms: in TFP's a share below 1e-16 may be 0, where a
    Dirichlet with concentrations below 1 is infinite.
    """

    def _logarithms(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of the shares, and of what is left of the stick after each, relative to before."""
        n = x.shape[-1]
        x -= np.log(np.arange(n, 0, -1.0))  # zeros give equal shares
        left = tf.math.log_sigmoid(-x)
        before = tf.cumsum(left, axis=-1, exclusive=True)
        last = tf.reduce_sum(left, axis=-1, keepdims=True)
        return tf.concat([tf.math.log_sigmoid(x) + before, last], axis=-1), left

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        return tf.exp(self._logarithms(x)[0])

    def _forward_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        shares, left = self._logarithms(x)
        return tf.reduce_sum(shares[..., :-1] + left, axis=-1)


class Outwards(tfb.Bijector):  # type: ignore[name-defined]
    """From numbers to ascending ones: one stays, the others are exponentials away from it.

    TFP's `Ascending` begins at the lowest, which may be the least known: all others would have to
    make up for its moves.
    """

    def __init__(self, anchor: int) -> None:
        self.anchor = anchor
        super().__init__(forward_min_event_ndims=1, name="Outwards")

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        low, fixed, high = tf.split(x, [self.anchor, 1, x.shape[-1] - self.anchor - 1], axis=-1)
        below = tf.cumsum(tf.exp(low), axis=-1, reverse=True)
        return tf.concat([fixed - below, fixed, fixed + tf.cumsum(tf.exp(high), axis=-1)], axis=-1)

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        gaps = tf.math.log(y[..., 1:] - y[..., :-1])
        a = self.anchor
        return tf.concat([gaps[..., :a], y[..., a : a + 1], gaps[..., a:]], axis=-1)

    def _forward_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(x, axis=-1) - x[..., self.anchor]


def sum_to_zero(z: tf.Tensor) -> tf.Tensor:
    """From n - 1 numbers to n that sum to zero, last axis: lengths and angles stay the same.

    The numbers with a zero behind them, reflected so that the direction of the last one becomes
    that of equal numbers (a Householder reflection): no matrix is needed. Independent standard
    normal numbers become the projection of n such numbers onto those that sum to zero.
    """
    n = z.shape[-1] + 1
    total = tf.reduce_sum(z, axis=-1, keepdims=True)
    shift = total / (np.sqrt(n) + n)
    return tf.concat([z - shift, -total / np.sqrt(n)], axis=-1)
