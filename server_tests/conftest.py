"""Exported entries and real servers of them, in an environment without Keras, TFP and tfflows."""

from pathlib import Path

import numpy as np
import pytest
import servers
from clients import GrpcClient, HttpClient

SERVED = ("realnvp_moons", "realnvp_digits_conditional", "glow_mnist")


def pytest_addoption(parser):
    parser.addoption("--models", type=Path, help="folder that export_entries.py made")


def pytest_configure(config):
    folder = config.getoption("models")
    if folder is None or not any(folder.glob("*.npz")):
        pytest.exit("These tests need --models FOLDER, see export_entries.py.", returncode=1)


def exported_entries(config):
    return sorted(path.stem for path in config.getoption("models").glob("*.npz"))


def pytest_generate_tests(metafunc):
    if "entry" in metafunc.fixturenames:
        metafunc.parametrize("entry", exported_entries(metafunc.config))


@pytest.fixture(scope="session")
def exported(request):
    """Names of all entries that were exported."""
    return exported_entries(request.config)


@pytest.fixture(scope="session")
def models(request):
    """Folder of NAME/1 and NAME.npz."""
    return request.config.getoption("models")


@pytest.fixture(scope="session")
def published(models):
    """Function of an entry's name to its inputs, and its answers as SIGNATURE.OUTPUT."""

    def load(name):
        with np.load(models / f"{name}.npz") as file:
            inputs = {key: file[key] for key in file if "." not in key}
            return inputs, {key: file[key] for key in file if "." in key}

    return load


@pytest.fixture(scope="session")
def triton(models, tmp_path_factory):
    with servers.running(servers.triton(models, SERVED, tmp_path_factory.mktemp("t"))) as server:
        yield server


@pytest.fixture(scope="session")
def mlserver(models, tmp_path_factory):
    with servers.running(servers.mlserver(models, SERVED, tmp_path_factory.mktemp("m"))) as server:
        yield server


@pytest.fixture(params=SERVED)
def name(request):
    """An entry that the servers have."""
    return request.param


@pytest.fixture(params=["triton-http", "triton-grpc", "mlserver-http", "mlserver-grpc"])
def client(request):
    """Of each server over each protocol."""
    server, protocol = request.param.split("-")
    address = request.getfixturevalue(server)
    client = HttpClient(address.http) if protocol == "http" else GrpcClient(address.grpc)
    yield client
    client.close()
