"""Columns on their supports: densities beside SciPy's, ends, files, and what is refused."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import tfflows
from tfflows.layers import Column, Columns
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

# Of a normal z; two of them are the same.
DENSITIES = [
    (Real(), scipy.stats.norm()),
    (HeavyTails(3.0, 2.0), scipy.stats.johnsonsu(0, 1, loc=3, scale=2)),
    (Positive(-1.0), scipy.stats.lognorm(1, loc=-1)),
    (Interval(-2.0, 5.0), scipy.stats.johnsonsb(0, 1, loc=-2, scale=7)),
    (Integers(), scipy.stats.norm()),
    (Integers(4), scipy.stats.lognorm(1, loc=4)),
    (Integers(-2, 4), scipy.stats.johnsonsb(0, 1, loc=-2, scale=7)),
    (Categories(("a", "b", "c")), scipy.stats.johnsonsb(0, 1, loc=0, scale=3)),
    (HeavyTails(3.0, 2.0), scipy.stats.johnsonsu(0, 1, loc=3, scale=2)),
]
COLUMNS = [Column(str(i), support) for i, (support, _) in enumerate(DENSITIES)]


def test_densities_are_those_of_scipy():
    # One that has no place in x stands between the others.
    columns = [COLUMNS[0], Column("same", Constant(7)), Column("c", CopyOf("0")), *COLUMNS[1:]]
    layer = Columns(columns, dtype="float64")
    flow = tfflows.Flow(layer, (len(COLUMNS),), dtype="float64")
    truths = [density for _, density in DENSITIES]
    x = np.stack([truth.rvs(50, random_state=i) for i, truth in enumerate(truths)], 1)
    expected = sum(truth.logpdf(x[:, i]) for i, truth in enumerate(truths))
    np.testing.assert_allclose(flow.log_prob(x), expected, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("low", [0.0, -1000.0, 0.3, 1e-3])
def test_what_is_drawn_stays_inside_and_has_a_density(low, dtype):
    for support in (Positive(low), Interval(low, low + 2.0)):
        z = tf.constant([[-120.0], [-60.0], [-20.0], [20.0], [60.0]], dtype)
        layer = Columns([Column("a", support)], dtype=dtype)
        x, _ = layer.forward_and_log_det(z)
        assert np.all(np.isfinite(layer.inverse_and_log_det(x)[0]))


def test_a_file_holds_all_of_the_columns(tmp_path):
    columns = [
        *(Column("b", Categories((True, False), ordered=True), "bool"), Column("r", Real())),
        *(Column("n", Categories((3, -1)), "int64"), Column("k", Constant("x"), "object")),
        *(Column("t", Categories(("ü", "")), "category"), Column("i", Integers(0), "Int64")),
    ]
    flow = tfflows.Flow(Columns(columns), (5,))
    flow.save(tmp_path / "flow.keras")
    loaded = keras.saving.load_model(tmp_path / "flow.keras")
    assert loaded.transform.columns == tuple(columns)


def test_dtypes_follow_from_supports():
    supports = (Real(), Integers(0, 1), Categories(("a",)), Constant("b"))
    found = [Column("c", support).dtype for support in supports]
    assert found == ["float64", "int64", "object", "object"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Interval(1.0, 1.0), "needs low below high, both finite, but found 1.0 and 1.0"),
        (lambda: Interval(0.0, np.inf), "needs low below high, both finite"),
        (lambda: HeavyTails(0.0, -1.0), "HeavyTails needs a positive finite scale, but found -1"),
        (lambda: Integers(high=3), "high=3 need a low of at most that, but found None"),
        (lambda: Integers(4, 3), "high=3 need a low of at most that, but found 4"),
        (lambda: Categories(()), r"one value or more, each once, but found \(\)"),
        (lambda: Categories(("a", "a")), "each once, but found"),
        (lambda: Column("a", "real"), "support of a column is a value.*but found 'real'"),
        (lambda: Column("a", Real), "found the class Real; make one"),
        (lambda: Columns(["a"]), "Columns takes values such as .* but found 'a'"),
        (lambda: Columns([Column("a", Constant(1))]), "no column that has a place in x"),
        (lambda: Columns(COLUMNS[:2]).build((None, 3)), r"\['0', '1'\] expected z of .* \(2,\)"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()
