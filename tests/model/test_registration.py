"""Saved flows load in a process that has used none of their classes."""

import os
import subprocess
import sys
import textwrap

import pytest

import tfflows


def run(code, **environment):
    environment = {**os.environ, **environment}
    code = textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )


ORDERS = ["import keras, tfflows", "import tfflows, keras", "import tfflows.layers, keras"]


@pytest.mark.slow
@pytest.mark.parametrize("imports", ORDERS)
def test_a_flow_loads_in_a_new_process(imports, tmp_path):
    path = tmp_path / "flow.keras"
    tfflows.RealNVP((2,), num_couplings=2, hidden=(8,)).save(path)
    found = run(f"{imports}; print(type(keras.models.load_model({str(path)!r})).__name__)")
    assert found.stdout.strip() == "RealNVP", found.stderr


@pytest.mark.slow
def test_the_lookup_knows_all_that_is_registered():
    """All modules are imported, one after the other, to see what they register.

    All that a name may be is imported for one that is none of these.
    """
    found = run(
        """
        import importlib, pkgutil
        import keras, tfflows
        keras.saving.get_registered_object("tfflows>Nothing")
        from keras.src.saving import object_registration
        object_registration.get_registered_object("tfflows>Nothing")
        names = keras.saving.get_custom_objects
        known = {name for name in names() if name.startswith("tfflows>")}
        for module in pkgutil.walk_packages(tfflows.__path__, "tfflows."):
            if "__main__" not in module.name and ".serving." not in module.name:
                importlib.import_module(module.name)
        print(len(known), {name for name in names() if name.startswith("tfflows>")} - known)
        """
    )
    number, rest = found.stdout.strip().split(" ", 1)
    assert int(number) > 80, found.stderr
    assert rest == "set()"


@pytest.mark.slow
def test_import_needs_neither_keras_nor_tensorflow():
    found = run("import sys, tfflows; print({'keras', 'tensorflow', 'numpy'} & {*sys.modules})")
    assert found.stdout.strip() == "set()", found.stderr


def test_names_that_are_near():
    with pytest.raises(AttributeError, match="did you mean RealNVP or ImageRealNVP?"):
        _ = tfflows.RealNvp
    with pytest.raises(AttributeError, match="did you mean MAF?"):
        _ = tfflows.Maf
    with pytest.raises(AttributeError, match="no attribute 'quite_other'$"):
        _ = tfflows.quite_other
    assert {"RealNVP", "layers", "__version__"} <= {*dir(tfflows)}


@pytest.mark.slow
def test_tfp_is_loaded_where_it_is_needed(tmp_path):
    """Not to load an entry, compute with it and save it, but for its distribution."""
    found = run(
        f"""
        import sys, keras, zoo
        flow = zoo.load("realnvp_moons")
        flow.log_prob(flow.sample(2, seed=0))
        flow.save({str(tmp_path / "flow.keras")!r})
        keras.models.load_model({str(tmp_path / "flow.keras")!r})
        print("tensorflow_probability" in sys.modules)
        print(type(flow.distribution).__mro__[1].__module__.split(".")[0])
        """
    )
    assert found.stdout.split() == ["False", "tensorflow_probability"], found.stderr
