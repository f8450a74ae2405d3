"""Films have the frames that they say, and fail before training does."""

import keras
import numpy as np
import pytest
from matplotlib.animation import FFMpegWriter
from matplotlib.figure import Figure
from PIL import Image
from test_figures import plane_flow

import tfflows
from tfflows import plots


def filled(grey):
    return Figure(figsize=(0.4, 0.2), dpi=100, facecolor=str(grey))


def test_frames_are_the_figures(tmp_path):
    greys = [0.0, 0.5, 1.0, 0.25]
    path = plots.save_film(tmp_path / "a.gif", map(filled, greys), frames_per_second=5)
    with Image.open(path) as film:
        assert film.n_frames == 4 and film.size == (40, 20)
        for i, grey in enumerate(greys):
            film.seek(i)
            assert film.info["duration"] == 200  # milliseconds
            np.testing.assert_allclose(np.asarray(film.convert("L")), 255 * grey, atol=3)
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]


def test_points_move_from_layer_to_layer():
    figures = [*plots.figures_of_deformation(plane_flow(), frames_per_layer=4)]
    titles = [figure.axes[0].get_title() for figure in figures]
    assert titles[:6] == ["layer 0 of 3"] + ["layer 1 of 3"] * 4 + ["layer 2 of 3"]
    assert len(figures) == 13
    lines = [np.stack([line.get_xydata() for line in figure.axes[0].lines]) for figure in figures]
    stages = plots.figure_of_deformation(plane_flow(), panels=4).axes
    for k in range(4):
        expected = np.stack([line.get_xydata() for line in stages[k].lines])
        np.testing.assert_allclose(lines[4 * k], expected, rtol=1e-6)
    np.testing.assert_allclose(lines[5], 0.75 * lines[4] + 0.25 * lines[8], rtol=1e-6)
    # The plane that is shown stays where it is.
    assert len({figure.axes[0].get_xlim() for figure in figures}) == 1


def test_training_is_filmed(tmp_path):
    drawn = []

    def draw(flow):
        drawn.append([weight.numpy() for weight in flow.trainable_weights])
        return filled(len(drawn) / 4)  # equal frames are written as one

    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(4,))
    flow.compile(keras.optimizers.SGD(0.1))
    film = plots.Film(tmp_path / "training.gif", draw)
    flow.fit(np.ones([8, 2], "float32"), epochs=3, callbacks=[film], verbose=0)
    with Image.open(tmp_path / "training.gif") as written:
        assert written.n_frames == len(drawn) == 4
    for before, after in zip(drawn[:-1], drawn[1:], strict=True):
        assert any(np.any(a != b) for a, b in zip(before, after, strict=True))


def test_samples_are_shown_within_limits():
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(4,))
    figure = plots.figure_of_samples(flow, n=10, limits=[[-3, 4], [-5, 6]])
    assert all(panel.get_xlim() == (-3, 4) for panel in figure.axes)
    assert all(panel.get_ylim() == (-5, 6) for panel in figure.axes)


def test_what_cannot_be_filmed_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="a .gif or an .mp4 file, but found the path .*film.png"):
        plots.Film("film.png")
    with pytest.raises(OSError, match="the folder .*missing does not exist"):
        plots.Film(tmp_path / "missing" / "film.gif")
    with pytest.raises(ValueError, match="has no figures"):
        plots.save_film(tmp_path / "a.gif", [])
    with pytest.raises(OSError, match="Cannot write the film .*missing"):
        plots.save_film(tmp_path / "missing" / "a.gif", [filled(0.5)])
    with pytest.raises(ValueError, match="frames_per_layer must be at least 1, but found 0"):
        plots.figures_of_deformation(plane_flow(), frames_per_layer=0)
    with pytest.raises(ValueError, match="frames must be at least 2, but found 1"):
        plots.figures_of_trajectory(plane_flow(), frames=1)
    monkeypatch.setattr(FFMpegWriter, "isAvailable", classmethod(lambda cls: False))
    with pytest.raises(ValueError, match="needs the program ffmpeg, which was not found"):
        plots.Film("film.mp4")
