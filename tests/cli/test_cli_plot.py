"""`tfflows plot`: the pictures of `tfflows.plots`, of saved flows."""

import pytest

import tfflows
from tfflows import plots
from tfflows.cli import main


@pytest.fixture(scope="module")
def flow_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("plot") / "plane.keras"
    tfflows.RealNVP((2,), num_couplings=2, hidden=(4,)).save(path)
    return path


def test_a_picture_is_that_of_plots(flow_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", str(flow_file)]) == 0
    assert "plane_deformation.png" in capsys.readouterr().out
    flow = tfflows.RealNVP((2,), num_couplings=2, hidden=(4,))
    expected = plots.save_deformation(flow, "expected.png")
    assert (tmp_path / "plane_deformation.png").read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("kind", ["jacobian", "masks", "samples"])
def test_kinds_of_pictures(kind, flow_file, tmp_path, capsys):
    output = tmp_path / "picture.png"
    assert main(["plot", str(flow_file), "--kind", kind, "-o", str(output)]) == 0
    assert output.read_bytes().startswith(b"\x89PNG")
    assert f"{kind.capitalize()} of {flow_file}" in capsys.readouterr().out


def test_a_film(flow_file, tmp_path, capsys):
    output = tmp_path / "film.gif"
    assert main(["plot", str(flow_file), "-o", str(output)]) == 0
    assert output.read_bytes().startswith(b"GIF")
    assert main(["plot", str(flow_file), "--kind", "masks", "-o", str(output)]) == 1
    assert "films of deformation and trajectory, but none of masks" in capsys.readouterr().err


def test_what_cannot_be_drawn_ends_in_a_sentence(flow_file, tmp_path, capsys):
    output = tmp_path / "picture.png"
    assert main(["plot", str(flow_file), "--kind", "trajectory", "-o", str(output)]) == 1
    assert "drawn of an unconditional continuous flow" in capsys.readouterr().err
    assert not output.exists()
