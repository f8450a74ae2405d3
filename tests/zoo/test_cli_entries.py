"""The verbs of the command line that are about entries, and what it does not import for them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from zoo_copies import copy_of, edit_metadata

import tfflows
import zoo
from tfflows.cli import main

ROOT = Path(tfflows.__file__).parents[1]


def error_of(capsys, *arguments) -> str:
    """The one line on stderr of a command that fails."""
    assert main(list(arguments)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tfflows: ")
    return line


def test_list(capsys, tiny, published):
    assert main(["list", "t?ny"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    facts = json.loads((published / "metadata.json").read_text())
    assert line.split()[0] == "tiny"
    assert f"{facts['likelihood']['nll']:.3f} nats" in line and "68 parameters" in line
    assert main(["list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == zoo.list()
    assert "No zoo entry matches 'xq*'" in error_of(capsys, "list", "xq*")


def test_card(capsys, tiny, published):
    assert main(["card", tiny]) == 0
    card = (published / "card.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == card.strip()
    assert "did you mean 'tiny'" in error_of(capsys, "card", "tinny")


def test_verify(capsys, tiny, published, tmp_path):
    assert main(["verify", tiny]) == 0
    assert capsys.readouterr().out.strip() == str(zoo.verify(tiny))
    edit_metadata(copy_of(published, tmp_path, "drifted"), subset_nll=0.5)
    assert main(["verify", "drifted", tiny]) == 1
    printed = capsys.readouterr().out
    assert printed.count("DRIFTED") == 1 and "\ntiny\n" in printed
    assert "no zoo entry 'nothing'" in error_of(capsys, "verify", "nothing")


def python(*arguments) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_of_the_module():
    printed = python("-m", "tfflows.cli", "--help")
    assert "usage: tfflows" in printed
    assert python("-m", "tfflows.cli", "--version") == f"tfflows {tfflows.__version__}\n"
    for verb in (
        "list",
        "card",
        "sample",
        "init",
        "train",
        "evaluate",
        "compare",
        "verify",
        "export",
    ):
        assert f"\n    {verb} " in printed


@pytest.mark.parametrize(
    "arguments", ["--help", "--version", "sample --help", "list t*", "card tiny"]
)
def test_tensorflow_is_imported_only_when_it_must(published, arguments):
    code = """
import sys
import zoo, tfflows, tfflows.cli
zoo.register("tiny", sys.argv[1])
try:
    status = tfflows.cli.main(sys.argv[2].split())
except SystemExit as end:
    status = end.code
heavy = {"tensorflow", "keras", "tensorflow_probability", "matplotlib", "sklearn"}
print("imported", sorted(heavy & set(sys.modules)), "status", status)
"""
    last = python("-c", code, str(published), arguments).splitlines()[-1]
    assert last == "imported [] status 0"
