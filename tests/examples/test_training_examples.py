"""What the files of examples/training hand over to `tfflows train`."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from manifests import TFJOB, assert_fits

from tfflows.cli.main import _parser as parser

FOLDER = Path(__file__).parents[2] / "examples" / "training"


@pytest.fixture
def run(tmp_path):
    """Function that runs a script with commands that write down what they were called with."""
    commands = {
        "tfflows": 'echo "tfflows $*"',
        "scontrol": '[ "$*" = "show hostnames a[1-2]" ] && printf "a1\\na2\\n"',
        "srun": 'for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@"; done',
    }
    for name, text in commands.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)

    def run_script(name, *arguments, **environment):
        environment["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
        command = ["bash", FOLDER / name, *arguments]
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60
        )
        assert result.returncode == 0, result.stderr
        return [parsed(line.split()) for line in result.stdout.splitlines()]

    return run_script


def parsed(words):
    """What `tfflows train` understands."""
    assert words[:2] == ["tfflows", "train"]
    found = parser().parse_args(words[1:])
    return found.recipe, found.output, found.workers, found.index


def test_slurm_numbers_the_nodes(run):
    found = run("slurm.sh", "recipe.json", "/shared/run", SLURM_JOB_NODELIST="a[1-2]")
    workers = "a1:2222,a2:2222"
    assert found == [("recipe.json", "/shared/run", workers, i) for i in (0, 1)]


@pytest.mark.parametrize(("host", "index"), [("algo-1", 0), ("algo-2", 1), ("algo-3", 2)])
def test_sagemaker_finds_its_own_index(run, host, index):
    hosts = json.dumps(["algo-1", "algo-3", "algo-2"])
    found = run("sagemaker.sh", "r.json", SM_HOSTS=hosts, SM_CURRENT_HOST=host, PORT="7000")
    assert found == [("r.json", "/opt/ml/model", "algo-1:7000,algo-2:7000,algo-3:7000", index)]


def test_slurm_options_are_those_of_sbatch():
    lines = (FOLDER / "slurm.sh").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/bin/bash"
    options = [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")]
    assert [option.split("=")[0] for option in options] == [
        "job-name",
        "nodes",
        "ntasks-per-node",
        "requeue",
    ]
    # sbatch stops to read them at the first command.
    first = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[first:])


@pytest.mark.parametrize("name", ["slurm.sh", "sagemaker.sh"])
def test_scripts_parse(name):
    result = subprocess.run(["bash", "-n", FOLDER / name], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("path", "value"),
    [(("spec", "replicas"), 2), (("kind",), "TFjob"), (("spec", "runPolicy", "backoffLimit"), "3")],
)
def test_a_spoilt_manifest_does_not_fit(path, value):
    job = yaml.safe_load((FOLDER / "tfjob.yaml").read_text(encoding="utf-8"))
    part = job
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(AssertionError):
        assert_fits(job, TFJOB)


def test_tfjob_runs_the_command_on_its_volume():
    job = yaml.safe_load((FOLDER / "tfjob.yaml").read_text(encoding="utf-8"))
    assert_fits(job, TFJOB)
    worker = job["spec"]["tfReplicaSpecs"]["Worker"]
    assert worker["replicas"] == 2 and worker["restartPolicy"] == "OnFailure"
    (container,) = worker["template"]["spec"]["containers"]
    assert container["name"] == "tensorflow"  # as the operator expects
    words = [*container["command"], *container["args"]]
    assert parsed(words)[:2] == ("/runs/recipe.json", "/runs/mine")
    assert parser().parse_args(words[1:]).strategy == "multi_worker"
    (mount,) = container["volumeMounts"]
    assert mount["mountPath"] == "/runs"
