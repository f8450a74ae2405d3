"""TensorFlow's lines stay off stderr; all others do not. A stand-in writes as the libraries do."""

import os
import subprocess
import sys

import pytest

import tfflows

STAND_IN = """
import logging, os, sys, warnings

def write(text):
    os.write(2, text.encode())

write("WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
write("I0000 00:00:1795991513.259130   29549 cudart_stub.cc:31] Could not find cuda drivers.\\n")
write("W0000 00:00:1795991513.259130   29549 computation_placer.cc:177] already registered.\\n")
write("E0000 00:00:1795991513.259130   29549 cuda_dnn.cc:8579] Unable to register cuDNN factory\\n")
write("2026-11-29 22:31:52.123456: I tensorflow/core/util/port.cc:153] oneDNN is on.\\n")
write("E0000 00:00:1795991513.259130   29549 cuda_driver.cc:1] No device.\\n")
warnings.warn("Of the user's own.")
print("Without an end", end="", file=sys.stderr)
{end}
get_logger = logging.getLogger
"""


@pytest.fixture
def start(tmp_path):
    """Function of the stand-in's end to the exit status and stderr of a process that imports it."""

    def run(end="", **environment):
        (tmp_path / "tensorflow.py").write_text(STAND_IN.replace("{end}", end))
        root = os.path.dirname(os.path.dirname(tfflows.__file__))
        path = os.pathsep.join([str(tmp_path), root])
        kept = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
        code = (
            "from tfflows.cli.quiet import import_tensorflow; import os, sys\n"
            "import_tensorflow(); import tensorflow\n"
            "print('\\nlevel', os.environ['TF_CPP_MIN_LOG_LEVEL'], file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=kept | {"PYTHONPATH": path} | environment,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stderr

    return run


def test_only_the_lines_of_the_log_are_left_out(start):
    status, text = start()
    assert status == 0
    for hidden in ("cudart", "absl", "placer", "cuDNN", "oneDNN"):
        assert hidden not in text
    assert "cuda_driver.cc:1] No device." in text and "UserWarning: Of the user's own." in text
    assert text.endswith("Without an end\nlevel 3\n")


def test_last_words_are_heard(start):
    status, text = start(r'write("F0000 00:00 1 cpu.cc:1] No AVX.\n"); os.abort()')
    assert status != 0 and "No AVX." in text and "cudart" not in text
    status, text = start("raise ImportError('No library.')")
    assert status != 0 and text.endswith("ImportError: No library.\n")


def test_who_sets_the_level_sees_it_all(start):
    status, text = start(TF_CPP_MIN_LOG_LEVEL="0")
    assert status == 0 and "cudart" in text and text.endswith("level 0\n")
