"""Tables, from files as their sources have them."""

import h5py
import numpy as np
import pytest

from tfflows import data

HEADER = "RMSD,F1,F2,F3,F4,F5,F6,F7,F8,F9"


@pytest.fixture
def rows():
    """1,000 rows, of which every tenth is there twice."""
    random = np.random.default_rng(0)
    x = random.normal(size=(1000, 10)) @ random.normal(size=(10, 10)) * 1000 + 5
    x[:, 8] = random.integers(0, 350, 1000)
    return np.concatenate([x, x[::10]])


def write(folder, rows, header=HEADER):
    np.savetxt(folder / "CASP.csv", rows, fmt="%.10g", delimiter=",", header=header, comments="")


def test_protein_is_standardised_without_repeated_rows(tmp_path, rows):
    write(tmp_path, rows)
    table = data.load("protein", root=tmp_path)
    assert (table.name, table.event_shape, table.num_bits) == ("protein", (10,), None)
    assert ",".join(table.column_names) == HEADER
    assert (len(table.train), len(table.validation), len(table.test)) == (800, 100, 100)
    np.testing.assert_allclose(table.train.x.mean(0), np.zeros(10), atol=1e-6)
    np.testing.assert_allclose(table.train.x.std(0), np.ones(10), rtol=1e-5)
    x = np.concatenate([table.train.x, table.validation.x, table.test.x])
    assert len(np.unique(x[:, 0])) == 1000
    # All columns but F8 are those of the file, up to their scale.
    kept = [i for i in range(10) if i != 8]
    found, expected = (np.corrcoef(a[:, kept], rowvar=False) for a in (x, rows[:1000]))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for name in ("CC BY 4.0", "800 train", "noise"):
        assert name in table.description


def test_the_whole_numbers_of_protein_are_dequantised(tmp_path, rows):
    write(tmp_path, rows)
    table = data.load("protein", root=tmp_path)
    x = np.concatenate([table.train.x, table.validation.x, table.test.x])[:, [0, 8]]
    x, truth = (a[np.argsort(a[:, 0]), 1] for a in (x, rows[:1000, [0, 8]]))
    slope, start = np.polyfit(x, truth, 1)
    noise = slope * x + start - truth
    assert 0.95 < np.ptp(noise) < 1.05 and len(np.unique(x)) == 1000


def test_protein_is_the_same_every_time(tmp_path, rows):
    write(tmp_path, rows)
    first = data.load("protein", root=tmp_path)
    write(tmp_path, rows[::-1])
    second = data.load("protein", root=tmp_path)
    np.testing.assert_array_equal(first.test.x, second.test.x)


def test_a_missing_table_is_refused_with_its_source(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no CASP.csv in .*dataset/265"):
        data.load("protein", root=tmp_path)
    monkeypatch.delenv("TFFLOWS_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="TFFLOWS_DATA"):
        data.load("protein")


@pytest.mark.parametrize(
    ("header", "change", "message"),
    [
        ("a,b", lambda rows: rows, "begins with 'a,b': expected the columns RMSD,F1"),
        (HEADER, lambda rows: rows[:, :9], "shape .*, 9.: expected .*10 finite numbers"),
        (HEADER, lambda rows: rows[:5], "expected at least 10 rows"),
        (HEADER, lambda rows: np.where(rows == rows[0, 0], np.nan, rows), "finite numbers"),
    ],
)
def test_another_table_is_refused(tmp_path, rows, header, change, message):
    write(tmp_path, change(rows), header)
    with pytest.raises(ValueError, match=message):
        data.load("protein", root=tmp_path)


def test_text_in_the_table_is_refused(tmp_path):
    (tmp_path / "CASP.csv").write_text(HEADER + "\n" + ",".join(["a"] * 10))
    with pytest.raises(ValueError, match="is no table of numbers"):
        data.load("protein", root=tmp_path)


def write_power(folder, rows, gaps=()):
    """`household_power_consumption.txt` of rows of seven measurements, one a minute."""
    header = (
        "Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity;"
        "Sub_metering_1;Sub_metering_2;Sub_metering_3"
    )
    lines = [header]
    for i, row in enumerate(rows):
        clock = f"{i // 60 % 24:02d}:{i % 60:02d}:00"
        values = "?;?;?;?;?;?;" if i in gaps else ";".join(f"{value:.3f}" for value in row)
        lines.append(f"16/12/2006;{clock};{values}")
    (folder / "household_power_consumption.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def minutes():
    """3,000 minutes: kilowatts, reactive ones, volts, amperes and three whole watt-hours."""
    random = np.random.default_rng(0)
    scale = [4.0, 0.3, 240.0, 10.0]
    watt_hours = random.integers(0, 40, size=(3000, 3))
    return np.concatenate([scale * random.random((3000, 4)).round(2), watt_hours], axis=1)


def test_power_is_mafs_recipe(tmp_path, minutes):
    gaps = {5, 700}
    write_power(tmp_path, minutes, gaps)
    table = data.load("power", root=tmp_path)
    assert (table.name, table.event_shape, table.num_bits) == ("power", (6,), None)
    parts = table.train.x, table.validation.x, table.test.x
    assert [len(part) for part in parts] == [2430, 269, 299]
    seen = np.concatenate(parts[:2])
    np.testing.assert_allclose(seen.mean(0), np.zeros(6), atol=1e-5)
    np.testing.assert_allclose(seen.std(0), np.ones(6), rtol=1e-5)
    # Scaled back by the first and last minute of the day, the rows are those of the file.
    x = np.concatenate(parts).astype("float64")
    minute = np.array([i % 1440 for i in range(3000) if i not in gaps])
    truth = np.column_stack([np.delete(minutes[:, [0, 2, 4, 5, 6]], [*gaps], axis=0), minute])
    for column, width in enumerate((0.001, 0.01, 1, 1, 1, 0)):
        found, expected = np.sort(x[:, column]), np.sort(truth[:, column])
        slope, start = np.polyfit(found, expected, 1)
        assert np.abs(slope * found + start - expected).max() <= width + 2e-3
    assert "CC BY 4.0" in table.description and "another order" in table.description


def test_noise_of_power_is_as_wide_as_the_sensors_resolve(tmp_path, minutes):
    minutes[:, 4] = 7.0
    minutes[0, 4] = 8.0  # a column that is constant has no deviation
    write_power(tmp_path, minutes)
    table = data.load("power", root=tmp_path)
    x = np.concatenate([table.train.x, table.validation.x, table.test.x])[:, 2]
    x = np.sort(x)[:-1]
    # A uniform density: quantiles at equal distances.
    quantiles = np.quantile(x, [0.0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(np.diff(quantiles) / np.ptp(x), 0.25, atol=0.03)


def test_power_and_bsds300_are_read_from_arrays(tmp_path):
    for name, dim in (("power", 6), ("bsds300", 63)):
        random = np.random.default_rng(0)
        parts = {key: random.normal(size=(20, dim)) for key in ("train", "val", "test")}
        np.savez(tmp_path / f"{name}.npz", **parts)
        table = data.load(name, root=tmp_path)
        for split, key in (("train", "train"), ("validation", "val"), ("test", "test")):
            x = getattr(table, split).x
            np.testing.assert_array_equal(x, parts[key].astype("float32"))


def test_bsds300_is_read_from_the_table_of_mafs_authors(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 63)).astype("float32")
    with h5py.File(tmp_path / "BSDS300.hdf5", "w") as file:
        for split, part in zip(("train", "validation", "test"), np.split(x, 3), strict=True):
            file[split] = part
    table = data.load("bsds300", root=tmp_path)
    np.testing.assert_array_equal(table.test.x, x[20:])
    assert "non-commercial" in table.description


def test_what_is_no_table_of_power_or_bsds300_is_refused(tmp_path, minutes):
    with pytest.raises(FileNotFoundError, match="no power.npz or household_power_consumption.txt"):
        data.load("power", root=tmp_path)
    with pytest.raises(FileNotFoundError, match="no bsds300.npz or BSDS300.hdf5 .*zenodo.org"):
        data.load("bsds300", root=tmp_path)
    file = tmp_path / "household_power_consumption.txt"
    file.write_text("Date,Time\n")
    with pytest.raises(ValueError, match="begins with 'Date,Time': expected the columns Date;"):
        data.load("power", root=tmp_path)
    write_power(tmp_path, minutes[:5])
    with pytest.raises(ValueError, match="has 5 rows: expected at least 20"):
        data.load("power", root=tmp_path)
    write_power(tmp_path, minutes)
    file.write_text(file.read_text().replace("00:07:00;", "00:07:00;x", 1))
    with pytest.raises(ValueError, match="is no table of numbers: could not convert"):
        data.load("power", root=tmp_path)
    np.savez(tmp_path / "power.npz", train=np.ones([20, 4]))
    with pytest.raises(ValueError, match="expected train, validation and test, of 6 columns"):
        data.load("power", root=tmp_path)
    (tmp_path / "BSDS300.hdf5").write_bytes(b"no table")
    with pytest.raises(ValueError, match="BSDS300.hdf5' cannot be read"):
        data.load("bsds300", root=tmp_path)
    np.savez(tmp_path / "bsds300.npz", train=np.ones([20, 64]))
    with pytest.raises(ValueError, match="expected train, validation and test, of 63 columns"):
        data.load("bsds300", root=tmp_path)
