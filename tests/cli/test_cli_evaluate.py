"""`tfflows evaluate` of a run or a pattern, and `compare`; of one flow: tests/cli/test_main.py."""

import json

import numpy as np
import pytest

import tfflows
import zoo
from tfflows.cli import main
from zoo import catalog

SIZES = {"num_couplings": 1, "hidden": (4,)}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Runs "a" and "b" of one table, "c" of images, each a flow and its recipe."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TFFLOWS_DATA", raising=False)
    rng = np.random.default_rng(0)
    np.save("t.npy", rng.normal(size=(300, 2)))
    np.save("pixels.npy", rng.integers(0, 4, (60, 2, 2, 1)).astype("uint8"))
    flows = {"a": ((2,), None), "b": ((2,), None), "c": ((2, 2, 1), 2)}
    for i, (name, (shape, num_bits)) in enumerate(flows.items()):
        (tmp_path / name).mkdir()
        flow = tfflows.RealNVP(shape, num_bits=num_bits, **SIZES)
        rng = np.random.default_rng(i)
        for weight in flow.trainable_weights:
            weight.assign(weight + rng.normal(0, 0.3, weight.shape))
        flow.save(f"{name}/flow.keras")
        data = "pixels.npy" if num_bits else "t.npy"
        (tmp_path / name / "recipe.json").write_text(json.dumps({"flow": "RealNVP", "data": data}))
    return tmp_path


def error_of(capsys, *arguments) -> str:
    assert main(list(arguments)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_evaluate_reads_the_recipe_beside_the_file(capsys, runs):
    assert main(["evaluate", "a/flow.keras", "--split", "validation"]) == 0
    found = capsys.readouterr().out
    data = tfflows.data.load("t.npy")
    flow = tfflows.cli.arguments.flow_of("a/flow.keras")
    assert found.splitlines() == list(tfflows.evaluate.report(flow, data, "validation"))
    (runs / "a" / "recipe.json").unlink()
    line = error_of(capsys, "evaluate", "a/flow.keras")
    assert "has no recipe.json beside it; give --data" in line


def test_evaluate_all_that_match(capsys, runs, monkeypatch):
    monkeypatch.setattr(catalog, "MODELS", runs / "none")
    monkeypatch.setattr(catalog, "_registered", {n: runs / n for n in ("a", "b", "c", "x")})
    monkeypatch.setattr(catalog, "metadata", lambda name: {"weights": 1} if name != "x" else {})
    flows = {n: tfflows.cli.arguments.flow_of(f"{n}/flow.keras") for n in ("a", "b", "c")}
    monkeypatch.setattr(zoo, "load", flows.get)
    assert main(["evaluate", "[abx]"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line[0] != " "] == ["a", "b"]
    data = tfflows.data.load("t.npy")
    expected = [f"  {line}" for line in tfflows.evaluate.report(flows["b"], data)]
    assert lines[-len(expected) :] == expected
    # One that cannot be measured does not keep the others from it.
    assert main(["evaluate", "*", "--data", "pixels.npy"]) == 1
    printed = capsys.readouterr()
    assert [line[:13] for line in printed.err.splitlines()] == ["tfflows: a: r", "tfflows: b: r"]
    assert printed.out.splitlines()[:3] == ["a", "b", "c"] and "bits/dim" in printed.out
    assert "No zoo entry with weights matches 'x*'" in error_of(capsys, "evaluate", "x*")


def test_compare(capsys, runs):
    flows = [f"{name}/flow.keras" for name in ("a", "b")]
    assert main(["compare", *flows]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "t, test split, 30 examples; lower is better"
    x = tfflows.data.load("t.npy").test.x
    nll = {name: -tfflows.cli.arguments.flow_of(name).log_prob(x).numpy() for name in flows}
    best, worst = sorted(flows, key=lambda name: nll[name].mean())
    gap = nll[worst] - nll[best]

    def figure(values):
        return f"{values.mean():.4f} +/- {values.std(ddof=1) / 30**0.5:.4f} nats"

    assert lines[0] == f"{best}  {figure(nll[best])}  (exact)"
    assert lines[1] == f"{worst}  {figure(nll[worst])}  worse by {figure(gap)}  (exact)"


def test_compare_images(capsys, runs):
    command = ["compare", "c/flow.keras", "--split", "train", "--draws", "3", "--seed", "5"]
    assert main(command) == 0
    x = tfflows.data.load("pixels.npy", num_bits=2).train.x
    flow = tfflows.cli.arguments.flow_of("c/flow.keras")
    expected = tfflows.evaluate.likelihood(flow, x, num_draws=3, seed=5).bits_per_dim
    assert f"c/flow.keras  {expected:.4f} +/- " in capsys.readouterr().out


def test_compare_refuses(capsys, runs):
    line = error_of(capsys, "compare", "a/flow.keras", "c/flow.keras")
    assert "pixels.npy, t.npy: on which? Give --data." in line
    line = error_of(capsys, "compare", "a/flow.keras", "c/flow.keras", "--data", "t.npy")
    assert "a/flow.keras has (2,) with num_bits None, c/flow.keras has (2, 2, 1) with num_b" in line
    assert "no zoo entry 'none'" in error_of(capsys, "compare", "none", "--data", "t.npy")


def test_audit_prints_a_report_and_fails_for_a_flow_that_lies(capsys, runs, monkeypatch):
    assert main(["audit", "a/flow.keras"]) == 0
    summary, *_ = capsys.readouterr().out.splitlines()
    assert " ok" in summary and "WRONG" not in summary
    assert main(["audit", "a/flow.keras", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True

    inverse = tfflows.layers.Coupling._inverse
    monkeypatch.setattr(
        tfflows.layers.Coupling,
        "_inverse",
        lambda *args: (lambda z, log_det: (z, 1.1 * log_det))(*inverse(*args)),
    )
    assert main(["audit", "a/flow.keras", "--format", "markdown"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("inverse log-det is that of the Jacobian | WRONG" in line for line in lines)
