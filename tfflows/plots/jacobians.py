"""Pictures of what each dimension of the noise depends on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tfflows.flow import Flow
from tfflows.plots.files import save


def figure_of_jacobian(flow: Flow, x: ArrayLike, context: ArrayLike | None = None) -> Figure:
    """Heat map of dz/dx at an example: a row for each dimension of z, a column for each of x.

    A masked autoregressive flow has a triangle, one coupling an identity and a block, and the
    logarithm of the determinant, which the title has, is what `log_prob` adds.

    Args:
        flow: any flow.
        x: one example, `[*event_shape]`.
        context: its context, if the flow has one: `[context_dim]`, or an integer label.

    Raises:
        ValueError: if x is no single example, and as `Flow.encode` does.

    Example:
        >>> flow = tfflows.MAF((3,), num_layers=1, hidden=(8,))
        >>> figure = tfflows.plots.figure_of_jacobian(flow, [1.0, 2.0, 3.0])
        >>> figure.axes[0].images[0].get_array().shape
        (3, 3)
    """
    x = tf.convert_to_tensor(np.asarray(x, flow.compute_dtype))
    if x.shape != flow.event_shape:
        raise ValueError(
            f"The Jacobian is that of one example of shape {flow.event_shape}, but found "
            f"{tuple(x.shape)}."
        )
    context = None if context is None else np.asarray(context)[np.newaxis]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        z = tf.reshape(flow.encode(x[tf.newaxis], context), [-1])
    # One dimension after the other, since not all solvers can be vectorised.
    rows = tape.jacobian(z, x, experimental_use_pfor=False)
    jacobian = np.reshape(rows, (len(z), -1))
    figure = Figure(figsize=(5.2, 4.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    largest = np.max(np.abs(jacobian))
    image = axes.imshow(jacobian, cmap="RdBu", vmin=-largest, vmax=largest, interpolation="nearest")
    log_det = np.linalg.slogdet(jacobian.astype("float64"))[1]
    axes.set(xlabel="x", ylabel="z", title=f"dz/dx, log |det| = {log_det:.3f}")
    figure.colorbar(image)
    return figure


def save_jacobian(
    flow: Flow, path: str | os.PathLike, x: ArrayLike, context: ArrayLike | None = None
) -> Path:
    """Write `figure_of_jacobian(flow, x, context)` as a PNG file and return its path.

    Raises:
        OSError: if the file cannot be written; nothing is left behind then.
    """
    return save(figure_of_jacobian(flow, x, context), path)
