"""Unconstrained vectors, and the parts that they are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def cut(position: tf.Tensor, shapes: Sequence[Sequence[int]]) -> list[tf.Tensor]:
    """Parts of these shapes, each (..., *shape), of positions (..., dimensions), in one operation.

    Examples
    --------
    >>> intercept, slopes = cut(tf.zeros([4, 7]), [(), (2, 3)])
    >>> intercept.shape, slopes.shape
    (TensorShape([4]), TensorShape([4, 2, 3]))
    """
    pieces = tf.split(position, [int(np.prod(shape)) for shape in shapes], axis=-1)
    lead = list(position.shape[:-1])
    return [tf.reshape(p, [*lead, *shape]) for p, shape in zip(pieces, shapes, strict=True)]
