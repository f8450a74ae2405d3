"""TensorFlow's start, without the lines of its C++ libraries, which tell a user nothing."""

from __future__ import annotations

import os
import subprocess
import sys

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# A process of its own, so that the last words of one that dies while it imports are not lost.
_FILTER = """
import re, sys
log = re.compile(
    rb"[IW][0-9]{4} |[0-9-]{10} [0-9:.]+: [IW] |WARNING: All log messages before absl"
    rb"|.*Unable to register cu(FFT|DNN|BLAS) factory"  # an error by its level alone
)
sys.stderr.buffer.writelines(line for line in sys.stdin.buffer if not log.match(line))
"""


def import_tensorflow() -> None:
    """Import TensorFlow; all that it says are errors, and what is no line of its log.

    Who has set TF_CPP_MIN_LOG_LEVEL sees what TensorFlow makes of it.
    """
    if "tensorflow" in sys.modules or LEVEL in os.environ:
        return
    os.environ[LEVEL] = "3"
    sys.stderr.flush()
    stderr = os.dup(2)
    command = [sys.executable, "-S", "-c", _FILTER]
    # Ctrl+C is for this process alone.
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as lines:
        os.dup2(lines.stdin.fileno(), 2)
        try:
            import tensorflow
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
    # Its notes to programmers: deprecations, functions that are traced again.
    tensorflow.get_logger().setLevel("ERROR")
