"""`Sylvester` against the paper's formula, and at its constraint."""

import numpy as np
import pytest

from tfflows.layers import Sylvester

DIM = 5
Z = np.random.default_rng(0).normal(size=(7, DIM))


def made(rank, r, s, b):
    layer = Sylvester(rank, dtype="float64")
    layer.build((None, DIM))
    vectors = np.random.default_rng(1).normal(size=(rank, DIM))
    parts = [vectors, r, s, np.broadcast_to(b, [rank])]
    layer.parameters.assign(np.concatenate([np.ravel(part) for part in parts]))
    return layer, vectors


def upper(matrix):
    return np.triu(matrix, 1) + np.diag(0.995 * np.tanh(np.diag(matrix)))


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_agrees_with_the_paper(rank):
    rng = np.random.default_rng(rank)
    r, s, b = rng.normal(size=(rank, rank)), rng.normal(size=(rank, rank)), rng.normal(size=rank)
    layer, vectors = made(rank, r, s, b)
    q = np.eye(DIM)
    for v in vectors:
        q = (np.eye(DIM) - 2 * np.outer(v, v) / (v @ v)) @ q
    q = q[:, :rank]
    np.testing.assert_allclose(q.T @ q, np.eye(rank), atol=1e-14)
    h = np.tanh(Z @ q @ upper(s).T + b)
    x, log_det = layer.forward_and_log_det(Z)
    np.testing.assert_allclose(x, Z + h @ upper(r).T @ q.T, rtol=1e-12, atol=1e-13)
    # Of the whole matrix, by Sylvester's identity, without a word of triangles.
    small = np.eye(rank) + (1 - h**2)[:, :, None] * (upper(s) @ upper(r))
    np.testing.assert_allclose(log_det, np.log(np.linalg.det(small)), atol=1e-12)
    back, inverse_log_det = layer.inverse_and_log_det(x)
    np.testing.assert_allclose(back, Z, atol=1e-12)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-11)


def test_at_its_constraint_it_can_be_inverted():
    # R_ii S_ii is -0.99, and rows depend on each other strongly.
    r, s = -50 * np.eye(3) + np.triu(np.full([3, 3], 2.0), 1), 50 * np.eye(3)
    layer, _ = made(3, r, s, 0.0)
    x, log_det = layer.forward_and_log_det(1e-3 * Z)
    np.testing.assert_allclose(log_det, 3 * np.log(1 - 0.995**2), atol=0.1)
    # Three slopes of 0.01, one after the other, magnify roundings a million times.
    np.testing.assert_allclose(layer.inverse_and_log_det(x)[0], 1e-3 * Z, atol=1e-11)


def test_errors_say_what_was_found():
    with pytest.raises(ValueError, match="rank of at least 1, but found 0"):
        Sylvester(rank=0)
    with pytest.raises(ValueError, match="has rank 3, but events have 2 dimensions"):
        Sylvester(rank=3).build((None, 2))
    with pytest.raises(ValueError, match="is for vectors"):
        Sylvester(rank=1).build((None, 2, 2, 1))
