"""Does an entry still compute what it computed when it was published?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo.catalog import folder_of, metadata, recipe
from zoo.loading import load

if TYPE_CHECKING:
    from tfflows.data import Dataset


# Relative to the largest absolute value of the reference tensor; float32 sums over hundreds of
# dimensions in another order, on another processor, stay well below.
TOLERANCE = 1e-4

# A number of the score may deviate by twice its spread more, see `zoo.reference.score_spread`:
# twice, since units may change sides together that no move brought there together. However large
# the spread is, no number that is wrong by 1 % of the largest passes.
SCORE_LIMIT = 9e-3
SCORE = "score.score"


@dataclass(frozen=True)
class Check:
    """One comparison: its name, the deviation found, what is allowed, and the outcome."""

    name: str
    deviation: float | None
    tolerance: float
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the deviation is within the tolerance; a check that was left out counts as ok."""
        return self.deviation is None or bool(self.deviation <= self.tolerance)

    def __str__(self):
        if self.deviation is None:
            return f"left out  {self.name}: {self.note}"
        outcome = "ok      " if self.ok else "DRIFTED "
        return f"{outcome}  {self.name}: {self.deviation:.2e} (allowed {self.tolerance:.1e})"


@dataclass(frozen=True)
class Verification:
    """All checks of one entry; printing it says what drifted."""

    name: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing drifted."""
        return all(check.ok for check in self.checks)

    def __str__(self):
        return "\n".join([self.name, *(f"  {check}" for check in self.checks)])


def verify(name: str, data: Dataset | None = None, signatures: bool = True) -> Verification:
    """Recompute an entry's reference tensors, its round trip and the likelihood of a subset.

    The reference tensors are those of the flow, and, named SIGNATURE.OUTPUT, what an export of it
    answers. Deviations are relative to the largest absolute value of the reference. Those of the
    score may be larger where the roundings of another processor can make it jump. The round trip of
    a flow that solves differential equations, to a tolerance of its own, may be four times as
    inexact as the published one was on test examples. The likelihood is that of the first 256 test
    examples, with the published dequantisation noise.

    Args:
        name: see `zoo.list()`.
        data: a `tfflows.data.Dataset` for the likelihood; by default the entry's own. Where that
            cannot be read without a download, the check is left out, and the report says why.
        signatures: whether to check what an export answers, too, which takes most of the time.

    Returns:
        A `Verification`; its `ok` tells whether all is as published.

    Raises:
        ValueError: for an unknown name, or weights that are truncated or altered.

    Example:
        >>> print(zoo.verify("realnvp_moons"))  # doctest: +ELLIPSIS
        realnvp_moons
          ok        log_prob: ... (allowed 1.0e-04)
          ok        z: ... (allowed 1.0e-04)
          ok        samples: ... (allowed 1.0e-04)
          ok        log_prob.log_prob: ... (allowed 1.0e-04)
          ...
          ok        round trip: ... (allowed 1.0e-04)
          ok        likelihood of 256 test examples: ... (allowed 1.0e-04)
    """
    from zoo import reference

    flow = load(name)
    with np.load(folder_of(name) / "reference.npz", allow_pickle=False) as file:
        published = dict(file)
    found = reference.compute(flow, published["x"])
    checks = [
        Check(key, _deviation(found[key], published[key]), TOLERANCE)
        for key in ("log_prob", "z", "samples")
    ]
    if signatures:
        served = reference.recomputed(flow, published, metadata(name)["held_out_log_probs"])
        for key in served:
            check = Check(key, _deviation(served[key], published[key]), TOLERANCE)
            # Roundings explain nothing where z is off by more.
            is_score = key == SCORE and TOLERANCE < check.deviation <= SCORE_LIMIT
            if is_score and _deviation(found["z"], published["z"]) <= TOLERANCE:
                check = _check_score(flow, published, served[key], found["z"])
            checks.append(check)
    decode = reference.traced(flow, flow.decode)
    decoded = decode(published["z"], published.get("context")).numpy()
    facts, allowed = metadata(name), TOLERANCE
    if "solves" in facts.get("diagnostics", {}):
        allowed = 4 * facts["round_trip_error"] / float(np.max(np.abs(published["x"])))
    checks.append(Check("round trip", _deviation(decoded, published["x"]), allowed))
    checks.append(_check_likelihood(name, flow, data))
    return Verification(name, tuple(checks))


def _check_score(flow, published, score, z) -> Check:
    """That of the number which comes closest to what it is allowed, or exceeds it most."""
    from zoo import reference

    scale = np.max(np.abs(published[SCORE]))
    deviation = np.abs(score - published[SCORE]) / scale
    spread = reference.score_spread(flow, published, z, score) / scale
    allowed = np.minimum(TOLERANCE + 2 * spread, SCORE_LIMIT)
    worst = np.argmax(deviation / allowed)
    return Check(SCORE, float(deviation.flat[worst]), float(allowed.flat[worst]))


def _check_likelihood(name: str, flow, data) -> Check:
    from zoo import reference

    title = f"likelihood of {reference.NUM_SUBSET} test examples"
    how = recipe(name)
    if data is None:
        try:
            data = how.load_data(download=False)
        except (FileNotFoundError, ImportError, ValueError) as error:
            return Check(title, None, TOLERANCE, str(error))
    found = reference.subset_nll(flow, data, how.conditional)
    return Check(title, _deviation(found, metadata(name)["subset_nll"]), TOLERANCE)


def _deviation(found, published) -> float:
    found, published = np.asarray(found, "float64"), np.asarray(published, "float64")
    if found.shape != published.shape:
        return float("inf")
    deviation = np.max(np.abs(found - published)) / np.max(np.abs(published))
    return float("inf") if np.isnan(deviation) else float(deviation)
