"""The verbs that edit images: their pictures are those of `tfflows.edit`; wrong input is named."""

import functools
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import tfflows
import zoo
from tfflows import edit
from tfflows.cli import main
from zoo import catalog

SHAPE = (8, 8, 3)
VERBS = ("interpolate", "edit", "reconstruct", "inpaint", "neighbours")

# Each flow is loaded once: what loading does is tested with the other verbs.
load_model = functools.cache(keras.models.load_model)


def saved(path, shape=SHAPE, **settings):
    sizes = {"levels": 2, "steps": 1, "width": 4, "prior_width": 4, "num_bits": 5}
    flow = tfflows.Glow(shape, **sizes, **settings)
    rng = np.random.default_rng(3)
    for weight in flow.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.1, weight.shape))
    flow.save(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder of flows, images and data sets."""
    folder = tmp_path_factory.mktemp("cli_edit")
    saved(folder / "glow.keras")
    saved(folder / "classes.keras", num_classes=3)
    tfflows.RealNVP((2,), num_couplings=1, hidden=(4,)).save(folder / "plane.keras")
    tfflows.NICE(SHAPE, num_couplings=2, hidden=(4,), num_bits=5).save(folder / "nice.keras")
    rng = np.random.default_rng(0)
    for name, shape in {"a": SHAPE, "b": SHAPE, "grey": (8, 8), "small": (4, 8, 3)}.items():
        pixels = rng.integers(0, 256, shape).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "broken.png").write_text("no image")
    Image.fromarray(np.full([8, 8], 40000, "uint16")).save(folder / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the right side is at the top
    wide = Image.fromarray(np.full([24, 16, 3], [200, 40, 90], "uint8"))
    wide.save(folder / "turned.jpg", exif=exif)
    x = rng.integers(0, 32, [60, *SHAPE]).astype("uint8")
    y = rng.random([60, 2]) < 0.5
    y[0], y[1] = True, False
    np.savez(folder / "faces.npz", x=x, y=y, attribute_names=np.array(["Smiling", "Hat"]))
    np.savez(folder / "digits.npz", x=x, y=np.arange(60) % 3)
    np.savez(folder / "plain.npz", x=x)
    np.savez(folder / "grey.npz", x=x[..., :1], y=y)
    return folder


@pytest.fixture(autouse=True)
def here(made, monkeypatch):
    """Relative paths are those of the folder, which each test leaves as it was."""
    monkeypatch.chdir(made)
    monkeypatch.delenv("TFFLOWS_DATA", raising=False)
    monkeypatch.setattr(keras.models, "load_model", load_model)
    before = sorted(made.iterdir())
    yield
    for path in set(made.iterdir()) - set(before):
        path.unlink()


def glow(name="glow"):
    return load_model(f"{name}.keras")


def pixels(*names):
    """The files' images with the flow's 5 bits."""
    return np.stack([np.asarray(Image.open(f"{name}.png")) for name in names]) >> 3


def error_of(capsys, *arguments) -> str:
    """The one line on stderr of a command that fails and writes nothing."""
    files = sorted(p.name for p in Path().iterdir())
    assert main([str(argument) for argument in arguments]) == 1
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("tfflows: ") and printed.out == ""
    assert sorted(p.name for p in Path().iterdir()) == files
    return line


def check_picture(capsys, made, output, images, labels):
    """The command wrote a picture of these rows, and said where."""
    printed = capsys.readouterr().out
    assert str(made / output) in printed
    expected = tfflows.plots.save_rows("expected.png", images, num_bits=5, column_labels=labels)
    assert (made / output).read_bytes() == expected.read_bytes()
    return printed


def test_sample_with_a_temperature_for_each_level(capsys, made):
    arguments = ["sample", "glow.keras", "--n", "4", "--temperature", "0.9,0.1", "-o", "out.png"]
    assert main(arguments) == 0
    options = {"n": 4, "seed": 0, "temperature": [0.9, 0.1]}
    expected = tfflows.plots.save_samples(glow(), "expected.png", **options)
    assert (made / "out.png").read_bytes() == expected.read_bytes()
    capsys.readouterr()
    line = error_of(capsys, "sample", "glow.keras", "--temperature", "1,1,1")
    assert "2 levels" in line and "found 3" in line
    assert "has no levels" in error_of(capsys, "sample", "plane.keras", "--temperature", "1,1")


@pytest.mark.parametrize("kind", ["spherical", "linear"])
def test_interpolate(capsys, made, kind):
    command = ["interpolate", "glow.keras", "a.png", "b.png", "--steps", "3", "--kind", kind]
    assert main(command) == 0
    images = edit.interpolate(glow(), *pixels("a", "b"), 3, kind)
    output = "glow_interpolate.png"
    check_picture(capsys, made, output, images[None], ["0.00", "0.50", "1.00"])


def test_interpolate_within_a_class(capsys, made):
    command = ["interpolate", "classes.keras", "a.png", "b.png", "--steps", "2", "-o", "out.png"]
    assert main([*command, "--label", "2"]) == 0
    images = edit.interpolate(glow("classes"), *pixels("a", "b"), 2, context=2)
    check_picture(capsys, made, "out.png", images[None], ["0.00", "1.00"])
    assert "needs a context" in error_of(capsys, *command)


@pytest.mark.parametrize(
    ("data", "attribute", "column"), [("faces", "Hat", 1), ("faces", "0", 0), ("digits", "2", None)]
)
def test_edit_held_out_images(capsys, made, data, attribute, column):
    command = ["edit", "glow.keras", "--data", f"{data}.npz", "--attribute", attribute]
    options = ["--strength", "2", "--steps", "3", "--n", "4", "--examples", "40"]
    assert main([*command, *options]) == 0
    found = tfflows.data.load(f"{data}.npz", num_bits=5)
    x, y = (array[:40] for array in found.train)
    has = y == 2 if column is None else y[:, column]
    direction = edit.attribute_direction(glow(), x, has)
    x = found.test.x[:4]
    images = np.concatenate(
        [x[:, None], edit.manipulate(glow(), x, direction, [-2.0, 0, 2.0])], axis=1
    )
    labels = ["image", f"{attribute} -2", f"{attribute} +0", f"{attribute} +2"]
    check_picture(capsys, made, "glow_edit.png", images, labels)


def test_edit_images_of_files(capsys, made):
    command = ["edit", "glow.keras", "a.png", "b.png", "--data", "faces.npz", "--steps", "1"]
    assert main([*command, "--attribute", "Smiling", "--output", "out.png"]) == 0
    x, y = tfflows.data.load("faces.npz", num_bits=5).train
    direction = edit.attribute_direction(glow(), x, y[:, 0])
    x = pixels("a", "b")
    images = np.concatenate([x[:, None], edit.manipulate(glow(), x, direction, [-1.0])], axis=1)
    check_picture(capsys, made, "out.png", images, ["image", "Smiling -1"])


def test_edit_of_a_flow_that_knows_the_class(capsys, made):
    command = ["edit", "classes.keras", "--data", "digits.npz", "--attribute", "1", "--n", "2"]
    assert main([*command, "--steps", "2", "-o", "out.png"]) == 0
    data = tfflows.data.load("digits.npz", num_bits=5)
    (x, y), flow = data.train, glow("classes")
    direction = edit.attribute_direction(flow, x, y == 1, y)
    x, y = data.test.x[:2], data.test.y[:2]
    images = np.concatenate(
        [x[:, None], edit.manipulate(flow, x, direction, [-1.0, 1.0], y)], axis=1
    )
    check_picture(capsys, made, "out.png", images, ["image", "1 -1", "1 +1"])


def test_reconstruct(capsys, made):
    command = ["reconstruct", "glow.keras", "a.png", "b.png", "--temperature", "0.5", "--seed", "4"]
    assert main(command) == 0
    x = pixels("a", "b")
    made_of = [edit.reconstruct(glow(), x, levels, 0.5, seed=4) for levels in (1, 2)]
    images = np.stack([x, *made_of], axis=1)
    labels = ["image", "1 of 2 levels", "2 of 2 levels"]
    check_picture(capsys, made, "glow_reconstruct.png", images, labels)


def test_an_edit_that_is_no_number_and_a_file_that_is_a_folder(capsys, made):
    command = ["edit", "none.keras", "a.png", "--attribute", "Hat"]
    assert "--strength should be finite" in error_of(capsys, *command, "--strength", "nan")
    assert "it is a folder" in error_of(capsys, *command, "-o", made)


def test_an_edit_that_is_lost(capsys):
    command = ["edit", "glow.keras", "a.png", "b.png", "--attribute", "Hat", "--data", "faces.npz"]
    assert main([*command, "--steps", "2", "--strength", "100"]) == 0
    assert "Hat +1e+02: what row 1, 2 of the picture shows is noise" in capsys.readouterr().out


def test_data_of_a_run_that_are_not_at_hand(capsys):
    Path("recipe.json").write_text('{"flow": "Glow", "data": "faces_subset"}')
    line = error_of(capsys, "edit", "glow.keras", "--attribute", "Hat")
    assert "are not at hand: give --data, or image files. There is no data set" in line
    line = error_of(capsys, "neighbours", "glow.keras")
    assert "are not at hand: give --data. There is no data set 'faces_subset'" in line


@pytest.mark.slow
def test_inpaint(capsys, made):
    command = ["inpaint", "glow.keras", "a.png", "b.png", "--box", "1,2,4,7", "--n", "2"]
    assert main([*command, "--steps", "4", "--temperature", "0.5", "--seed", "6"]) == 0
    x, mask = pixels("a", "b"), np.zeros([8, 8], bool)
    mask[1:4, 2:7] = True
    known = np.where(mask[..., None], 16, x)
    fillings = [
        edit.inpaint(glow(), np.stack([image, image]), mask, 4, temperature=0.5, seed=6 + i)
        for i, image in enumerate(x)
    ]
    images = np.concatenate([np.stack([x, known], axis=1), np.stack(fillings)], axis=1)
    labels = ["image", "known", "filled 1", "filled 2"]
    printed = check_picture(capsys, made, "glow_inpaint.png", images, labels)
    assert "8/8" in printed


@pytest.mark.parametrize(
    ("box", "found"), [("0,0,9,8", "0,0,9,8"), ("3,3,3,5", "3,3,3,5"), ("0,5,8,2", "0,5,8,2")]
)
def test_a_box_outside_of_the_image(capsys, box, found):
    line = error_of(capsys, "inpaint", "glow.keras", "a.png", "--box", box)
    assert "within the 8 x 8 pixels" in line and f"found {found}" in line


def test_a_box_that_leaves_nothing(capsys):
    line = error_of(capsys, "inpaint", "glow.keras", "a.png", "--box", "0,0,8,8")
    assert "is True everywhere" in line


@pytest.mark.parametrize("name", ["glow", "classes"])
def test_neighbours(capsys, made, name):
    command = ["neighbours", f"{name}.keras", "--data", "digits.npz", "--n", "4", "--k", "2"]
    assert main([*command, "--temperature", "0.7", "--seed", "2"]) == 0
    data = tfflows.data.load("digits.npz", num_bits=5)
    context = data.test.y[:4] if name == "classes" else None
    samples = np.clip(np.floor(glow(name).sample(4, 0.7, seed=2, context=context)), 0, 31)

    def distances(x):
        return np.sqrt(np.mean((x[:, None] - data.train.x[None].astype(float)) ** 2, (2, 3, 4)))

    nearest = np.argsort(distances(samples), axis=1)[:, :2]
    images = np.concatenate([samples[:, None], data.train.x[nearest]], axis=1)
    labels = ["sample", "nearest 1", "nearest 2"]
    printed = check_picture(capsys, made, f"{name}_neighbours.png", images, labels)
    of_samples, of_test = (np.median(distances(x).min(axis=1)) for x in (samples, data.test.x[:4]))
    assert "nearest of 48 training images" in printed
    assert f"{of_samples:.2f} of 4 samples, {of_test:.2f} of 4 test images" in printed


@pytest.mark.parametrize("file", ["broken", "missing", "deep"])
@pytest.mark.parametrize("verb", ["interpolate", "edit", "reconstruct", "inpaint"])
def test_bad_image_files_are_refused_before_the_flow_is_loaded(capsys, verb, file):
    options = {"edit": ["--attribute", "Hat"], "inpaint": ["--box", "0,0,2,2"]}
    line = error_of(capsys, verb, "none.keras", "a.png", f"{file}.png", *options.get(verb, []))
    found = {"deep": "the mode I", "missing": "There is no image file", "broken": "cannot be read"}
    assert found[file] in line
    assert f"{file}.png" in line


def test_images_of_any_size_and_mode(capsys, made):
    assert main(["reconstruct", "glow.keras", "turned.jpg", "grey.png", "small.png"]) == 0
    wide = Image.open("turned.jpg").transpose(Image.Transpose.ROTATE_270)
    turned = np.asarray(wide)[4:12].reshape(8, 1, 8, 3, 3).mean((1, 3))  # its middle, averaged
    grey = np.repeat(np.asarray(Image.open("grey.png"))[..., None], 3, axis=2)
    small = np.asarray(Image.open("small.png"))[:, 2:6].repeat(2, axis=0).repeat(2, axis=1)
    x = np.stack([np.rint(turned).astype(int), grey, small]) >> 3
    made_of = [edit.reconstruct(glow(), x, levels, 0.0) for levels in (1, 2)]
    labels = ["image", "1 of 2 levels", "2 of 2 levels"]
    images = np.stack([x, *made_of], axis=1)
    check_picture(capsys, made, "glow_reconstruct.png", images, labels)


@pytest.fixture
def entry(monkeypatch, made):
    """The flow as an entry "faces", whose zoo has the direction of one attribute."""
    direction = np.random.default_rng(4).normal(size=192).astype("float32")
    monkeypatch.setattr(catalog, "_registered", {"faces": made})
    monkeypatch.setattr(zoo, "load", lambda name: glow())
    monkeypatch.setattr(zoo, "directions", lambda name: {"Smiling": direction})
    return direction


def test_edit_with_the_direction_of_the_zoo(capsys, made, entry):
    command = ["edit", "faces", "a.png", "--steps", "3", "--strength", "2"]
    assert main([*command, "--attribute", "Smiling"]) == 0
    x = pixels("a")
    edited = edit.manipulate(glow(), x, entry, [-2.0, 0, 2.0])
    images = np.concatenate([x[:, None], edited], axis=1)
    labels = ["image", "Smiling -2", "Smiling +0", "Smiling +2"]
    printed = check_picture(capsys, made, "faces_edit.png", images, labels)
    # How far each of them leaves the 32 values of a pixel.
    lines = printed.splitlines()[1:]
    for strength, moved in (("-2", edited[0, 0]), ("+2", edited[0, 2])):
        low, high = -np.min(moved), np.max(moved) - 32
        share = np.mean((moved < 0) | (moved > 32))
        expected = f"Smiling {strength}: {share:.1%} of the values leave the range of the pixels, 0"
        (line,) = [line for line in lines if line.startswith(expected)]
        assert f" 32, by up to {max(low, high):.3g};" in line and share > 0
    assert not any("Smiling +0" in line for line in lines)
    line = error_of(capsys, *command, "--attribute", "Hat")
    assert "no direction of 'Hat' for faces, only of Smiling: give one" in line


def test_edit_with_data_in_place_of_the_zoos_direction(capsys, made, entry):
    command = ["edit", "faces", "a.png", "--attribute", "Smiling", "--steps", "1"]
    assert main([*command, "--data", "faces.npz", "-o", "out.png"]) == 0
    x, y = tfflows.data.load("faces.npz", num_bits=5).train
    direction = edit.attribute_direction(glow(), x, y[:, 0])
    edited = edit.manipulate(glow(), pixels("a"), direction, [-1.0])
    images = np.concatenate([pixels("a")[:, None], edited], axis=1)
    check_picture(capsys, made, "out.png", images, ["image", "Smiling -1"])


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("edit --attribute hat --data faces.npz", "'hat' (did you mean 'Hat'?): its attributes"),
        ("edit --attribute Hut --data faces.npz", "'Hut' (did you mean 'Hat'?): its attributes"),
        ("edit --attribute 2 --data faces.npz", "no attribute '2': its attributes are Smiling"),
        ("edit --attribute 3 --data digits.npz", "no attribute '3': its classes are 0 to 2"),
        ("edit --attribute 1 --data plain.npz", "neither attributes nor labels"),
        ("edit --attribute 1 --data grey.npz", "shape (8, 8, 1), but the flow's have shape (8, 8"),
        ("edit --attribute Hat --data faces.npz --examples 1", "the values found are"),
        ("edit --attribute Hat --data faces.npz --steps 0", "--steps should be at least 1"),
        ("edit --attribute Hat", "no recipe.json beside it; give --data"),
        ("neighbours", "no recipe.json beside it; give --data"),
        ("neighbours --data grey.npz", "shape (8, 8, 1), but the flow's have shape (8, 8, 3)"),
        ("neighbours --data plain.npz --k 49", "48 training images, but found 49"),
        ("neighbours --data plain.npz --n 0", "--n should be at least 1, but found 0"),
        ("neighbours --data plain.npz --label 1", "not conditional"),
        ("interpolate a.png b.png --steps 1", "at least 2, but found 1"),
        ("interpolate a.png b.png -o missing/out.png", "the folder missing does not exist"),
        ("interpolate a.png b.png -o .", "Cannot write"),
        ("reconstruct a.png --temperature -1", "at least 0, but found -1"),
        ("inpaint a.png --box 0,0,2,2 --n 0", "--n should be at least 1, but found 0"),
        ("inpaint a.png --box 0,0,2,2 --steps 0", "num_steps of at least 1, but found 0"),
    ],
)
def test_refused(capsys, command, message):
    verb, *arguments = command.split()
    assert message in error_of(capsys, verb, "glow.keras", *arguments)


def test_flows_that_cannot_be_edited(capsys):
    line = error_of(capsys, "interpolate", "plane.keras", "a.png", "b.png")
    assert "plane.keras should be a flow of grey or RGB images" in line and "(2,)" in line
    assert "has no levels" in error_of(capsys, "reconstruct", "nice.keras", "a.png")
    assert "no saved flow none.keras" in error_of(capsys, "neighbours", "none.keras", "--data", "x")


@pytest.mark.parametrize(
    "command",
    [
        "interpolate glow.keras a.png",
        "interpolate glow.keras a.png b.png --kind cubic",
        "edit glow.keras --data faces.npz",
        "reconstruct glow.keras",
        "inpaint glow.keras a.png",
        "inpaint glow.keras a.png --box 1,2,3",
        "inpaint glow.keras a.png --box a,b,c,d",
        "sample glow.keras --temperature 1,",
    ],
)
def test_wrong_usage(capsys, command):
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    assert caught.value.code == 2
    assert "usage: tfflows" in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    code = f"""
import sys
import tfflows.cli
for verb in {VERBS}:
    try:
        tfflows.cli.main([verb, "--help"])
    except SystemExit as end:
        assert end.code == 0
heavy = {{"tensorflow", "keras", "tensorflow_probability", "matplotlib", "sklearn", "numpy"}}
print("imported", sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported []"
    assert all(f"usage: tfflows {verb} " in done.stdout for verb in VERBS)
