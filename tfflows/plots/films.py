"""Films: figures one after the other, of layers, of trajectories, and of flows while they train."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import keras
import numpy as np
from matplotlib.animation import FFMpegWriter, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tfflows.flow import Flow
from tfflows.plots.files import unfinished
from tfflows.plots.samples import figure_of_samples

_WRITERS = {".gif": PillowWriter, ".mp4": FFMpegWriter}


def save_film(
    path: str | os.PathLike, figures: Iterable[Figure], frames_per_second: float = 10
) -> Path:
    """Write figures of one size as the frames of a film and return its path.

    Args:
        path: ends with `.gif`, or with `.mp4`, which needs the program ffmpeg.
        figures: such as those of `figures_of_deformation`, drawn as they come.
        frames_per_second: how fast.

    Raises:
        ValueError: for another ending, or no figures.
        OSError: if the file cannot be written; nothing is left behind then.

    Source: Matplotlib's writers of animations,
    https://matplotlib.org/stable/users/explain/animations/animations.html.

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
        >>> figures = tfflows.plots.figures_of_deformation(flow, frames_per_layer=2)
        >>> tfflows.plots.save_film("film.gif", figures).name
        'film.gif'
    """
    return _save_frames(Path(path), map(_pixels_of, figures), frames_per_second)


class Film(keras.callbacks.Callback):
    """Keras callback that films a flow while it trains: a frame before it, one after each epoch.

    Args:
        path: of the film that is written at the end, see `save_film`.
        draw: the figure of a flow. The default picks the part of the plane that it shows anew for
            each frame; `lambda flow: figure_of_samples(flow, limits=...)` keeps it.
        frames_per_second: how fast.

    Raises:
        ValueError: for another ending of the path.
        OSError: if its folder does not exist. What `draw` raises comes before training, too.

    Example:
        >>> flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(8,))
        >>> flow.compile("adam")
        >>> film = tfflows.plots.Film("training.gif")
        >>> history = flow.fit(np.zeros([8, 2]), epochs=2, callbacks=[film], verbose=0)
        >>> from PIL import Image
        >>> Image.open("training.gif").n_frames
        3
    """

    def __init__(
        self,
        path: str | os.PathLike,
        draw: Callable[[Flow], Figure] = figure_of_samples,
        frames_per_second: float = 5,
    ):
        super().__init__()
        self.path, self.draw, self.frames_per_second = Path(path), draw, frames_per_second
        _writer_of(self.path)
        if not self.path.parent.is_dir():
            raise OSError(f"Cannot write {path}: the folder {self.path.parent} does not exist.")

    def on_train_begin(self, logs=None):
        self._frames = [_pixels_of(self.draw(self.model))]

    def on_epoch_end(self, epoch, logs=None):
        self._frames.append(_pixels_of(self.draw(self.model)))

    def on_train_end(self, logs=None):
        _save_frames(self.path, self._frames, self.frames_per_second)


def _writer_of(path: Path):
    if path.suffix not in _WRITERS:
        raise ValueError(f"A film is a .gif or an .mp4 file, but found the path {path}.")
    writer = _WRITERS[path.suffix]
    if not writer.isAvailable():
        raise ValueError("An .mp4 film needs the program ffmpeg, which was not found; try a .gif.")
    return writer


def _pixels_of(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _save_frames(path: Path, frames: Iterable[np.ndarray], frames_per_second: float) -> Path:
    writer = _writer_of(path)(fps=frames_per_second)
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"The film {path} has no figures.")
    height, width = first.shape[:2]
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    image = axes.imshow(first, interpolation="nearest")
    with unfinished(path, "film") as file, writer.saving(figure, file, dpi=100):
        for frame in itertools.chain([first], frames):
            image.set_data(frame)
            writer.grab_frame()
    return path
