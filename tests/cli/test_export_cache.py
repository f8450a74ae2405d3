"""Exports are made once, whole or not at all, and anew for whatever changes them."""

import multiprocessing
import os
import shutil
import time

import numpy as np
import pytest

import tfflows
from tfflows.cli import export_cache
from tfflows.cli.export_cache import cached_export


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Path of a saved flow, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    flow = tfflows.RealNVP((2,), num_couplings=1, hidden=(4,))
    flow.save(tmp_path / "mine.keras")
    return tmp_path / "mine.keras"


@pytest.fixture
def exported(monkeypatch):
    """The calls of `export_of`, which writes no more than a folder."""
    calls = []

    def export_of(name, directory):
        calls.append(name)
        path = directory / name.split("/")[-1].removesuffix(".keras") / "1"
        path.mkdir(parents=True)
        return path

    monkeypatch.setattr(export_cache, "export_of", export_of)
    return calls


def test_the_export_is_the_flows(saved):
    """The one test with a real export: it loads, and is that flow's."""
    from tfflows.serving.model import ServedModel

    model = ServedModel(cached_export(str(saved)))
    assert (model.name, model.version) == ("mine", "1")
    x = np.array([[0.5, -1.0]], "float32")
    from tfflows.cli.arguments import flow_of

    expected = flow_of(str(saved)).log_prob(x).numpy()
    found = model.run("log_prob", {"x": x})["log_prob"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_second_time_nothing_is_exported(saved, exported, capsys):
    assert cached_export(str(saved)) == cached_export(str(saved))
    assert exported == [str(saved)]
    assert capsys.readouterr().out.count("Exporting") == 1


def test_what_changes_an_export_makes_a_new_one(saved, exported, monkeypatch, tmp_path):
    paths = [cached_export(str(saved))]
    with saved.open("ab") as file:
        file.write(b"another weight")
    paths.append(cached_export(str(saved)))
    monkeypatch.setattr(export_cache, "version", lambda library: "another version")
    paths.append(cached_export(str(saved)))
    package = tmp_path / "code" / "tfflows"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(tfflows, "__file__", str(package / "__init__.py"))
    paths.append(cached_export(str(saved)))
    (package / "layers.py").write_text("another layer")
    paths.append(cached_export(str(saved)))
    assert len(set(paths)) == len(paths) == len(exported)


@pytest.mark.parametrize("name", ["config.json", "metadata.json", "model.weights.h5", "card.md"])
def test_every_file_of_an_entry_counts(exported, monkeypatch, tmp_path, name):
    from zoo import catalog

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = shutil.copytree(catalog.folder_of("realnvp_moons"), tmp_path / "realnvp_moons")
    monkeypatch.setitem(catalog._registered, "realnvp_moons", folder)
    before = cached_export("realnvp_moons")
    with (folder / name).open("ab") as file:
        file.write(b" ")
    assert cached_export("realnvp_moons") != before
    assert len(exported) == 2


def test_a_failed_export_leaves_nothing(saved, monkeypatch):
    def fail(name, directory):
        raise OSError("No space is left.")

    monkeypatch.setattr(export_cache, "export_of", fail)
    with pytest.raises(OSError, match="No space is left. Exports are cached in .*XDG_CACHE_HOME"):
        cached_export(str(saved))
    monkeypatch.undo()
    assert not list(saved.parent.glob("cache/**/saved_model.pb"))


def test_another_process_that_was_first_is_no_error(saved, exported, monkeypatch):
    """Both write; who renames last finds the folder there and takes it."""
    export_of = export_cache.export_of

    def late(name, directory):
        export_of(name, directory)  # the other one
        raise FileExistsError("It exists.")

    monkeypatch.setattr(export_cache, "export_of", late)
    assert cached_export(str(saved)).is_dir()


def test_exports_that_nobody_asked_for_in_a_week_go(saved, exported):
    old, used = cached_export(str(saved)), saved.with_name("used.keras")
    shutil.copy(saved, used)
    kept = cached_export(str(used))
    week = time.time() - 8 * 24 * 3600
    for path in (old, kept):
        os.utime(path.parents[1], (week, week))
    (old.parent / ".1.left_by_a_killed_process").mkdir()
    os.utime(old.parents[1], (week, week))
    assert cached_export(str(used)) == kept  # which counts as being used
    assert old.is_dir()
    with saved.open("ab") as file:
        file.write(b"another weight")
    cached_export(str(saved))
    assert kept.is_dir() and not old.parents[1].exists()


def _export(name, start, found):
    start.wait()
    found.put(str(cached_export(name)))


@pytest.mark.slow
def test_two_processes_at_once(saved):
    context = multiprocessing.get_context("spawn")
    start, found = context.Barrier(2), context.Queue()
    arguments = (str(saved), start, found)
    processes = [context.Process(target=_export, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    paths = {found.get(timeout=120) for _ in processes}
    for process in processes:
        process.join()
        assert process.exitcode == 0
    (path,) = paths
    from tfflows.serving.model import ServedModel

    assert "log_prob" in ServedModel(path).signatures
    (folder,) = saved.parent.glob("cache/tfflows/exports/*/mine")
    assert [p.name for p in folder.iterdir()] == ["1"]
