"""Files of a run: what a kill leaves half-written, and who may write."""

import multiprocessing
import signal

import pytest
from training_runs import silent, tiny_data, tiny_recipe

from tfflows.training import train
from tfflows.training.files import held

LEFT = ("unfinished.best.weights.h5", "unfinished.0a1b.run.json", "unfinished.samples.png")
BACKUP = "backup/unfinished.epoch_2.weights.h5"
# Somebody else's.
OTHERS = ("unfinished.picture.png", "unfinished.mysamples.png", "damaged.epoch_1.weights.h5")


@pytest.fixture
def folder(tmp_path):
    """Of a run that was killed in the middle of writing."""
    (tmp_path / "backup").mkdir()
    tiny_recipe().to_file(tmp_path / "recipe.json")
    for name in (*LEFT, *OTHERS, BACKUP):
        (tmp_path / name).write_bytes(b"half")
    return tmp_path


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_left_half_written_is_deleted(folder):
    with held(folder) as alone:
        assert alone
    assert names(folder) == {"recipe.json", *OTHERS}


def hold(folder, connection):
    with held(folder) as alone:
        connection.send(alone)
        connection.recv()


def test_a_folder_is_held_until_its_process_is_killed(folder):
    context = multiprocessing.get_context("fork")
    ours, its = context.Pipe()
    process = context.Process(target=hold, args=(folder, its))
    process.start()
    assert ours.recv()
    # It may be writing this right now.
    (folder / LEFT[0]).write_bytes(b"half")
    with held(folder) as alone:
        assert not alone
    assert LEFT[0] in names(folder)
    with pytest.raises(OSError, match="Another process trains into the folder .*: wait for its"):
        train(tiny_recipe(), folder, tiny_data(), silent)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with held(folder) as alone:
        assert alone
    assert LEFT[0] not in names(folder)


def test_without_locks_nothing_is_deleted(folder, monkeypatch):
    monkeypatch.setattr("tfflows.training.files.fcntl", None)
    before = names(folder)
    with held(folder) as alone:
        assert alone
    assert names(folder) == before
