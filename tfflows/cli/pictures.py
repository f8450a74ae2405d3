"""Pictures that the verbs of the command line write: rows of images under labels."""

from __future__ import annotations


def beside(images, others, flow):
    """Rows of an image `[h, w, c]` and what was made of it `[k, h, w, c]`, as pixels."""
    import numpy as np

    from tfflows.distributions.dequantization import quantize

    others = quantize(others, flow.num_bits or 8)
    return np.concatenate([images[:, None], others], axis=1)


def save(name: str, output, flow, images, labels):
    """Write rows of images of a flow, and say where they are."""
    from tfflows import plots

    plots.save_rows(output, images, num_bits=flow.num_bits or 8, column_labels=labels)
    print(f"Picture of {name}: {output.resolve()}")


def say_range(flow, made, labels):
    """Print for each column of `made`, `[rows, columns, ...]`, how far it leaves the range.

    Where it is by more than the range is wide, the flow was led where it has seen nothing.
    """
    import numpy as np

    highest = 2 ** (flow.num_bits or 8)
    for label, column in zip(labels, np.moveaxis(made, 1, 0), strict=True):
        beyond = np.maximum(-column, column - highest)
        if beyond.max() > 0:
            print(
                f"{label}: {np.mean(beyond > 0):.1%} of the values leave the range of the pixels, "
                f"0 to {highest}, by up to {beyond.max():.3g}; the picture has them at its ends."
            )
        lost = np.flatnonzero(beyond.reshape(len(beyond), -1).max(axis=1) > highest)
        if len(lost):
            rows = ", ".join(str(row + 1) for row in lost)
            print(
                f"{label}: what row {rows} of the picture shows is noise; the edit is too strong "
                "for an image like that. A weaker one may do, or an image more like the data."
            )
