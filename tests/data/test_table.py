"""Data frames as what a flow takes and back, and likelihoods of discrete values."""

import sys

import keras
import numpy as np
import pandas
import pytest
import scipy.stats

import tfflows
from tfflows.data import Table
from tfflows.layers import Column
from tfflows.layers.supports import (
    Categories,
    Constant,
    CopyOf,
    HeavyTails,
    Integers,
    Interval,
    Positive,
    Real,
)


def people(n=200, seed=0):
    """A frame with a column of each kind that pandas has."""
    rng = np.random.default_rng(seed)
    price = rng.lognormal(3, 1, n)
    towns = pandas.Categorical(rng.choice(["b", "a"], n), ["b", "a", "never"], ordered=True)
    return pandas.DataFrame(
        {
            "height": rng.normal(170, 10, n),
            "price": price,
            "share": rng.uniform(size=n).astype("float32"),
            "return": rng.standard_cauchy(n),
            "children": rng.poisson(2, n),
            "balance": rng.integers(-1000, 1000, n).astype("int16"),
            "member": rng.integers(0, 2, n).astype("uint8"),
            "age": pandas.array(rng.integers(0, 90, n), dtype="Int64"),
            "smokes": rng.random(n) < 0.3,
            "colour": rng.choice(["red", "green", "blue"], n),
            "mixed": np.array([[1, "one"][i] for i in rng.integers(0, 2, n)], object),
            "town": towns,
            "year": np.full(n, 2020),
            "country": np.full(n, "FR"),
            "cost": price,
        }
    )


SUPPORT = {"price": "positive", "share": Interval(0.0, 1.0)}


def test_supports_follow_from_dtypes_and_values():
    table = Table.from_frame(people(), SUPPORT)
    found = {column.name: column.support for column in table.columns}
    tails = found.pop("return")
    assert isinstance(tails, HeavyTails) and abs(tails.location) < 0.5
    # The quartiles of a Cauchy distribution are -1 and 1.
    assert tails.scale == pytest.approx(2 / 1.349, rel=0.3)
    assert found == {
        "height": Real(),
        "price": Positive(),
        "share": Interval(0.0, 1.0),
        "children": Integers(0),
        "balance": Integers(),
        "member": Integers(0, 1),
        "age": Integers(0),
        "smokes": Categories((False, True)),
        "colour": Categories(("blue", "green", "red")),
        "mixed": Categories((1, "one")),
        "town": Categories(("b", "a", "never"), ordered=True),
        "year": Constant(2020),
        "country": Constant("FR"),
        "cost": CopyOf("price"),
    }
    assert table.event_shape == (12,)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_come_back_as_they_were(dtype):
    frame = people()
    table = Table.from_frame(frame, SUPPORT)
    x = table.encode(frame, seed=3, dtype=dtype)
    assert (x.shape, x.dtype) == ((200, 12), dtype)
    again = table.decode(x)
    floats = ["height", "price", "share", "return", "cost"]
    pandas.testing.assert_frame_equal(again.drop(columns=floats), frame.drop(columns=floats))
    assert list(again) == list(frame) and list(again.dtypes) == list(frame.dtypes)
    rounding = 1e-6 if dtype == "float32" else 1e-15
    np.testing.assert_allclose(again[floats], frame[floats], rtol=rounding)


def test_noise_is_uniform_and_follows_from_the_seed():
    frame = {"n": np.repeat([0, 5, 2**20], 4000), "c": np.repeat(["a", "b", "c"], 4000)}
    table = Table.from_frame(frame)
    x = table.encode(frame, seed=1)
    np.testing.assert_array_equal(x, table.encode(frame, seed=1))
    assert np.all(x != table.encode(frame, seed=2), axis=1).mean() > 0.6
    noise = x - np.stack([frame["n"], np.repeat([0, 1, 2], 4000)], 1)
    assert noise.min() > 0 and noise.max() < 1
    assert scipy.stats.kstest(noise[:4000, 0], "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(noise[:4000].T)[0, 1]) < 0.06
    np.testing.assert_array_equal(np.floor(x[:, 0]), frame["n"])


def test_columns_are_found_by_name():
    frame = people()
    table = Table.from_frame(frame, SUPPORT)
    shuffled = frame[frame.columns[::-1]].assign(more=1.0)
    np.testing.assert_array_equal(table.encode(shuffled, 0), table.encode(frame, 0))
    mapping = {name: frame[name].to_numpy() for name in frame}
    np.testing.assert_array_equal(table.encode(mapping, 0), table.encode(frame, 0))


def test_missing_values_are_nan_and_come_back():
    frame = people(30).drop(columns=["smokes", "member", "children", "balance", "mixed"])
    table = Table.from_frame(frame, SUPPORT)
    for name in ("height", "age", "colour", "town", "year"):
        frame[name] = frame[name].where(np.arange(30) != 4)
    x = table.encode(frame, seed=0)
    assert np.isnan(x[4]).sum() == 4 and np.isnan(x).sum() == 4
    again = table.decode(x)
    for name in ("height", "age", "colour", "town"):
        assert list(again[name].isna()) == [row == 4 for row in range(30)]
    assert again["year"][4] == 2020
    flow = table.with_support(tfflows.RealNVP(table.event_shape, num_couplings=2, hidden=(4,)))
    flow.compile()
    with pytest.raises(ValueError, match="needs finite x, but 4 of 210 values are NaN"):
        flow.fit(x)


def test_a_flow_keeps_to_the_supports_and_its_file_holds_the_table(tmp_path):
    frame = people()
    table = Table.from_frame(frame, SUPPORT)
    inner = tfflows.RealNVP(
        table.event_shape, num_couplings=2, hidden=(8,), base=tfflows.distributions.StudentT(5.0)
    )
    flow = table.with_support(inner)
    flow.compile(keras.optimizers.Adam(1e-3))
    x = table.encode(frame, seed=0)
    history = flow.fit(x, epochs=2, batch_size=100, verbose=0).history
    assert np.all(np.isfinite(history["nll"]))
    samples = flow.sample(2000, seed=0).numpy()
    drawn = table.decode(samples)
    assert drawn["price"].min() > 0 and drawn["share"].between(0, 1).all()
    assert drawn["children"].min() == 0 and set(drawn["member"]) == {0, 1}
    assert set(drawn["colour"]) == {"red", "green", "blue"}
    assert (drawn["cost"] == drawn["price"]).all() and set(drawn["country"]) == {"FR"}
    assert np.all(np.isfinite(flow.log_prob(samples)))

    flow.save(tmp_path / "flow.keras")
    loaded = keras.saving.load_model(tmp_path / "flow.keras")
    assert Table.of(loaded) == table
    np.testing.assert_allclose(loaded.log_prob(x), flow.log_prob(x), rtol=1e-5)
    with pytest.raises(ValueError, match="has no table: expected a flow that Table.with_support"):
        Table.of(inner)


def independent_columns():
    """A table, a flow whose log P of a row is known, its distribution of x, and rows."""
    columns = [
        Column("count", Integers(0), "int64"),
        Column("any", Integers(), "int64"),
        Column("letter", Categories(("a", "b", "c")), "object"),
        Column("price", Positive()),
    ]
    table = Table(columns)
    # z from N(mean, stddev) in each dimension.
    mean, stddev = np.array([0.6, -1.0, 0.4, 1.0]), np.array([0.8, 2.0, 1.5, 0.5])
    layer = tfflows.layers.Standardize(dtype="float64")
    inner = tfflows.Flow(layer, (4,), dtype="float64")
    layer.mean.assign(mean)
    layer.stddev.assign(stddev)
    truths = [
        scipy.stats.lognorm(stddev[0], scale=np.exp(mean[0])),
        scipy.stats.norm(mean[1], stddev[1]),
        scipy.stats.johnsonsb(-mean[2] / stddev[2], 1 / stddev[2], loc=0, scale=3),
        scipy.stats.lognorm(stddev[3], scale=np.exp(mean[3])),
    ]
    rng = np.random.default_rng(0)
    x = np.stack([truth.rvs(60, random_state=rng) for truth in truths], 1)
    return table, table.with_support(inner), truths, table.decode(x)


def test_log_prob_is_that_of_the_discrete_row():
    table, flow, truths, frame = independent_columns()
    codes = np.stack([frame["count"], frame["any"], frame["letter"].map("abc".index)], 1)
    exact = truths[3].logpdf(frame["price"])
    for truth, code in zip(truths, codes.T, strict=False):
        exact = exact + np.log(truth.cdf(code + 1) - truth.cdf(code))
    # Of all values of a column together it is 1: nothing is lost at the ends.
    assert np.diff(truths[0].cdf(np.arange(2000))).sum() == pytest.approx(1, abs=1e-9)

    many = pandas.concat([frame] * 1000)
    ones = table.log_prob(flow, many, seed=0).reshape(1000, 60)
    error = ones.std(0) / np.sqrt(1000)
    assert np.all(ones.mean(0) < exact + 4 * error)  # the bound, row by row
    assert exact.mean() - ones.mean() > 10 * np.sqrt(np.mean(error**2) / 60)  # which has a gap
    # The mean of p is P itself, here within five standard errors for sixty rows.
    p = np.exp(ones)
    assert np.all(np.abs(p.mean(0) - np.exp(exact)) < 5 * p.std(0) / np.sqrt(1000))
    close = table.log_prob(flow, frame, num_draws=100, seed=0)
    assert abs((close - exact).mean()) < 0.05 < (exact - ones[0]).mean()


def test_log_prob_without_discrete_columns_is_exact():
    frame = {"a": np.linspace(1.0, 2.0, 9), "b": np.linspace(-1.0, 2.0, 9) ** 2}
    table = Table.from_frame(frame, {"a": "positive"})
    flow = table.with_support(tfflows.Flow(tfflows.layers.Scale(), (2,)))
    expected = scipy.stats.lognorm(1).logpdf(frame["a"]) + scipy.stats.norm.logpdf(frame["b"])
    np.testing.assert_allclose(table.log_prob(flow, frame, num_draws=3), expected, rtol=1e-5)


NUMBERS = np.arange(40.0)
LETTERS = np.array(list("ab") * 20)


@pytest.mark.parametrize(
    ("frame", "support", "message"),
    [
        ({"t": np.arange(40).astype("datetime64[s]")}, {}, "Column 't' has dtype datetime64.*days"),
        ({"t": np.array([str(i) for i in range(40)])}, {}, "'t' has 40 different texts in 40 rows"),
        ({"t": np.array([object()] * 40)}, {}, "'t' has values such as <object"),
        ({"t": np.full(40, np.nan)}, {}, "'t' has no values at all"),
        ({"t": LETTERS}, {"t": "real"}, "'t' has 'a' in row 0: expected a number"),
        ({"t": NUMBERS}, {"t": "positive"}, r"'t' has 0.0 in row 0: expected a number above 0"),
        ({"t": NUMBERS + 0.5}, {"t": "integer"}, "'t' has 0.5 in row 0: expected an integer from"),
        ({"t": NUMBERS}, {"t": Interval(0.0, 9.0)}, "'t' has 0.0 in row 0: .* between 0 and 9"),
        ({"t": NUMBERS}, {"t": "count"}, r"support of column 't' is 'count': .*'category'\)"),
        ({"t": NUMBERS}, {"s": "real"}, r"a support for 's', but the columns are \['t'\]"),
        ({"t": NUMBERS + np.inf}, {}, "'t' has values up to inf in size"),
        ({"t": NUMBERS + 1e9}, {}, "'t' has a standard deviation of 11.5 around 1.0+2e.09, which"),
        ({"t": np.arange(40) + 2**20}, {}, "'t' has integers from 1048576 to 1048615, more than"),
        ({"t": NUMBERS[:, None]}, {}, r"'t' has shape \(40, 1\): expected one value a row"),
        ({3: NUMBERS}, {}, "name is a text, but found 3"),
    ],
)
def test_columns_that_no_table_takes(frame, support, message):
    with pytest.raises(ValueError, match=message) as caught:
        Table.from_frame(frame, support)
    assert "\n" not in str(caught.value)


def test_names_that_are_there_twice():
    frame = pandas.DataFrame(np.ones([3, 2]), columns=["a", "a"])
    with pytest.raises(ValueError, match="'a' has shape .*is its name"):
        Table.from_frame(frame)
    with pytest.raises(ValueError, match="columns of different names"):
        Table([Column("a", Real()), Column("a", Real())])
    with pytest.raises(ValueError, match="'b' copies 'c', which is none of"):
        Table([Column("a", Real()), Column("b", CopyOf("c"))])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("colour", "pink", "'colour' has 'pink' in row 7: expected one of 'blue', 'green', 'red'"),
        ("price", -3.0, "'price' has -3.0 in row 7: expected a number above 0"),
        ("share", 1.5, "'share' has 1.5 in row 7: expected a number between 0 and 1, these"),
        ("children", -1, "'children' has -1 in row 7: expected an integer from 0"),
        ("member", 2, "'member' has 2 in row 7: expected an integer from 0 to 1"),
        ("year", 2021, "'year' has 2021 in row 7: expected 2020, as everywhere else"),
        ("cost", 1.0, "'cost' has 1.0 in row 7: expected the value of column 'price'"),
        ("height", np.inf, "'height' has inf in row 7: expected a finite number"),
        ("height", "tall", "'height' has 'tall' in row 7: expected a number"),
    ],
)
def test_values_that_the_table_does_not_know(name, value, message):
    frame = people()
    table = Table.from_frame(frame, SUPPORT)
    values = frame[name].to_numpy(object)
    values[7] = value
    with pytest.raises(ValueError, match=message):
        table.encode({**frame, name: values})


def test_what_does_not_fit_the_table():
    table = Table([Column("a", Integers(0), "int64"), Column("b", Real())])
    with pytest.raises(ValueError, match=r"no column 'b' in the frame, whose columns are \['a'\]"):
        table.encode({"a": np.arange(3)})
    with pytest.raises(ValueError, match=r"expected x of shape \('n', 2\), but found \(3, 1\)"):
        table.decode(np.zeros([3, 1]))
    with pytest.raises(ValueError, match="'a' of x has -2 in row 1, which stands for no value"):
        table.decode(np.array([[0.5, 0.0], [-2.0, 0.0]]))
    with pytest.raises(ValueError, match="'a' has dtype int64, .* 1 of 1 are: impute them first"):
        table.decode([[np.nan, 0.0]])
    with pytest.raises(ValueError, match=r"has event_shape \(2,\), but real_nvp.* has \(3,\)"):
        table.with_support(tfflows.RealNVP((3,), num_couplings=1, hidden=(2,)))
    with pytest.raises(ValueError, match="needs a flow of numbers, but"):
        table.with_support(tfflows.NICE((2,), num_couplings=1, hidden=(2,), num_bits=3))
    with pytest.raises(ValueError, match="num_draws of at least 1, but found 0"):
        table.log_prob(None, {}, num_draws=0)


def test_frames_need_pandas_and_encoding_does_not(monkeypatch):
    frame = {"a": np.arange(5), "b": LETTERS[:5]}
    table = Table.from_frame(frame)
    monkeypatch.setitem(sys.modules, "pandas", None)
    x = table.encode(frame)
    with pytest.raises(ImportError, match=r"need pandas: pip install tfflows\[parquet\]"):
        table.decode(x)
