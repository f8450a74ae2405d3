r"""Two-dimensional toy densities, each drawn from its formula.

The set-ups are those of FFJORD's experiments (Grathwohl et al. 2019,
https://arxiv.org/abs/1810.01367), scaled to roughly $[-4, 4]^2$. Every function takes a number of
independent draws `n` and a `seed`, and returns float32 points `[n, 2]` with int64 labels `[n]`, or
`None` where a density has no natural parts. Every part has the same probability. $u$ stands for a
uniform draw from $[0, 1)$ and $\epsilon$ for a standard normal one.
"""

import numpy as np

_EIGHT_ANGLES = np.arange(8) * np.pi / 4
_EIGHT_CENTRES = np.sqrt(8) * np.stack([np.cos(_EIGHT_ANGLES), np.sin(_EIGHT_ANGLES)], axis=-1)
_EIGHT_STD = np.sqrt(1 / 8)


def _generator(n: int, seed: int) -> np.random.Generator:
    if n < 1:
        raise ValueError(f"n is {n}: expected at least 1 example.")
    return np.random.default_rng(seed)


def _points(x) -> np.ndarray:
    x = np.asarray(x, "float64")
    if x.shape[-1:] != (2,):
        raise ValueError(f"x has the shape {x.shape}: expected points [..., 2].")
    return x


def moons(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    r"""Two interleaved half circles.

    With $t = \pi u$, $x = 2 c + (-1, -0.2) + 0.2 \epsilon$, where $c = (\cos t, \sin t)$ on
    moon 0 (open below) and $c = (1 - \cos t, 0.5 - \sin t)$ on moon 1 (open above).

    Example:
        >>> from tfflows.data import toy
        >>> x, y = toy.moons(1000)
        >>> x.shape, x.dtype, y.max()
        ((1000, 2), dtype('float32'), np.int64(1))
    """
    rng = _generator(n, seed)
    y = rng.integers(2, size=n)
    t = np.pi * rng.random(n)
    upper = np.stack([np.cos(t), np.sin(t)], axis=-1)
    lower = np.stack([1 - np.cos(t), 0.5 - np.sin(t)], axis=-1)
    x = 2 * np.where(y[:, None] == 0, upper, lower) + (-1, -0.2)
    return (x + 0.2 * rng.standard_normal((n, 2))).astype("float32"), y


def eight_gaussians(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    r"""Eight Gaussians on a circle; the label is the Gaussian.

    Gaussian $k$ has the centre $2 \sqrt 2 (\cos(k \pi / 4), \sin(k \pi / 4))$ and the standard
    deviation $1 / (2 \sqrt 2) \approx 0.354$ along both axes. `eight_gaussians_log_prob` is its
    exact density.

    Example:
        >>> from tfflows.data import toy
        >>> x, y = toy.eight_gaussians(1000)
        >>> x[y == 1].mean(axis=0).round().tolist()
        [2.0, 2.0]
    """
    rng = _generator(n, seed)
    y = rng.integers(8, size=n)
    x = _EIGHT_CENTRES[y] + _EIGHT_STD * rng.standard_normal((n, 2))
    return x.astype("float32"), y


def eight_gaussians_log_prob(x: np.ndarray) -> np.ndarray:
    r"""Exact log-density of `eight_gaussians`, in nats, computed in float64.

    $\log p(x) = \log \frac 1 8 \sum_{k=0}^{7} \frac{1}{2 \pi \sigma^2}
    \exp(-\frac{|x - c_k|^2}{2 \sigma^2})$ with the centres
    $c_k = 2 \sqrt 2 (\cos(k \pi / 4), \sin(k \pi / 4))$ and $\sigma = 1 / (2 \sqrt 2)$.

    Args:
        x: points `[..., 2]`.

    Returns:
        float64 `[...]`.

    Raises:
        ValueError: where the last axis of `x` does not hold two coordinates.

    Example:
        >>> from tfflows.data import toy
        >>> float(toy.eight_gaussians_log_prob([0.0, 0.0]).round(4))
        -31.7584
    """
    x = _points(x)
    distance = np.sum((x[..., None, :] - _EIGHT_CENTRES) ** 2, axis=-1)
    exponents = -distance / (2 * _EIGHT_STD**2)
    return np.logaddexp.reduce(exponents, axis=-1) - np.log(8 * 2 * np.pi * _EIGHT_STD**2)


def pinwheel(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    r"""Five bent arms of a pinwheel; the label is the arm.

    With $r = 1 + 0.3 \epsilon_1$, $s = 0.1 \epsilon_2$ and the angle
    $a = 2 \pi k / 5 + e^r / 4$ on arm $k$, $x = 2 (r \cos a + s \sin a, s \cos a - r \sin a)$.
    Introduced by Johnson et al. 2016, https://arxiv.org/abs/1603.06277.

    Example:
        >>> from tfflows.data import toy
        >>> x, y = toy.pinwheel(1000)
        >>> x.shape, len(set(y.tolist()))
        ((1000, 2), 5)
    """
    rng = _generator(n, seed)
    y = rng.integers(5, size=n)
    r = 1 + 0.3 * rng.standard_normal(n)
    s = 0.1 * rng.standard_normal(n)
    a = 2 * np.pi * y / 5 + np.exp(r) / 4
    x = 2 * np.stack([r * np.cos(a) + s * np.sin(a), s * np.cos(a) - r * np.sin(a)], axis=-1)
    return x.astype("float32"), y


def two_spirals(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    r"""Two spirals of one and a half turns, each the other turned by half a turn.

    With $t = 3 \pi \sqrt u$,
    $x = \pm \frac 1 3 (\frac{u_1}{2} - t \cos t, \frac{u_2}{2} + t \sin t) + 0.1 \epsilon$:
    plus on spiral 0, minus on spiral 1.

    Example:
        >>> from tfflows.data import toy
        >>> x, y = toy.two_spirals(1000)
        >>> x.shape, len(set(y.tolist()))
        ((1000, 2), 2)
    """
    rng = _generator(n, seed)
    y = rng.integers(2, size=n)
    t = 3 * np.pi * np.sqrt(rng.random(n))
    curve = np.stack([-t * np.cos(t), t * np.sin(t)], axis=-1) + rng.random((n, 2)) / 2
    x = (1 - 2 * y)[:, None] * curve / 3
    return (x + 0.1 * rng.standard_normal((n, 2))).astype("float32"), y


def checkerboard(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    r"""The eight filled squares of a checkerboard, each two wide; the label is the square.

    Uniform on the half of $[-4, 4]^2$ where $\lfloor x_1 / 2 \rfloor + \lfloor x_2 / 2 \rfloor$
    is even, so the density there is 1 / 32. Square $k$ lies in column $\lfloor k / 2 \rfloor$
    from the left; the lower square of a column has the even number.

    Example:
        >>> from tfflows.data import toy
        >>> x, y = toy.checkerboard(1000)
        >>> bool(((x // 2).sum(axis=1) % 2 == 0).all())
        True
    """
    rng = _generator(n, seed)
    y = rng.integers(8, size=n)
    column, upper = y // 2, y % 2
    corner = np.stack([2 * column - 4, 4 * upper - 4 + 2 * (column % 2)], axis=-1)
    return (corner + 2 * rng.random((n, 2))).astype("float32"), y


def checkerboard_log_prob(x: np.ndarray) -> np.ndarray:
    r"""Exact log-density of `checkerboard`, in nats: $-\log 32$ in its squares, else $-\infty$.

    Args:
        x: points `[..., 2]`.

    Returns:
        float64 `[...]`.

    Raises:
        ValueError: where the last axis of `x` does not hold two coordinates.

    Example:
        >>> from tfflows.data import toy
        >>> toy.checkerboard_log_prob([[-3.0, -3.0], [-3.0, -1.0]]).round(4).tolist()
        [-3.4657, -inf]
    """
    x = _points(x)
    is_inside = np.all((x >= -4) & (x < 4), axis=-1)
    is_filled = np.sum(x // 2, axis=-1) % 2 == 0
    return np.where(is_inside & is_filled, -np.log(32), -np.inf)


def rings(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    r"""Four concentric rings; the label is the ring, 0 the innermost.

    With $a = 2 \pi u$, $x = \frac 3 4 (k + 1) (\cos a, \sin a) + 0.08 \epsilon$ on ring $k$.

    Example:
        >>> from tfflows.data import toy
        >>> x, y = toy.rings(1000)
        >>> float((x[y == 3] ** 2).sum(axis=1).mean().round(0))
        9.0
    """
    rng = _generator(n, seed)
    y = rng.integers(4, size=n)
    a = 2 * np.pi * rng.random(n)
    x = 0.75 * (y + 1)[:, None] * np.stack([np.cos(a), np.sin(a)], axis=-1)
    return (x + 0.08 * rng.standard_normal((n, 2))).astype("float32"), y


def swiss_roll(n: int, seed: int = 0) -> tuple[np.ndarray, None]:
    r"""A spiral of one and a half turns, the cut through a Swiss roll; it has no labels.

    With $t = \frac 3 2 \pi (1 + 2 u)$, $x = \frac 1 5 t (\cos t, \sin t) + 0.2 \epsilon$.

    Example:
        >>> from tfflows.data import toy
        >>> x, y = toy.swiss_roll(1000)
        >>> x.shape, y is None
        ((1000, 2), True)
    """
    rng = _generator(n, seed)
    t = 1.5 * np.pi * (1 + 2 * rng.random(n))
    x = t[:, None] * np.stack([np.cos(t), np.sin(t)], axis=-1) / 5
    return (x + 0.2 * rng.standard_normal((n, 2))).astype("float32"), None


_ALL = (moons, eight_gaussians, pinwheel, two_spirals, checkerboard, rings, swiss_roll)
DENSITIES = {density.__name__: density for density in _ALL}
