"""The verb that looks at an installation: versions, devices, and what is known to go wrong."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
from pathlib import Path

import tfflows
from tfflows.cli.quiet import import_tensorflow

_PACKAGES = ("tensorflow", "tensorflow-probability", "keras", "tf-keras", "numpy", "scipy")
_EXTRAS = {
    "serve": "starlette",
    "onnx": "tf2onnx",
    "litert": "ai-edge-litert",
    "openvino": "openvino",
    "parquet": "pyarrow",
    "tensorboard": "tensorboard",
}
# Distributions that all install the same package `tensorflow`.
_TENSORFLOWS = re.compile(r"tensorflow|tensorflow[-_](cpu|gpu|rocm|intel|aarch64)|tf[-_]nightly.*")
# Of a processor's flags, those of products in low precision.
_BFLOAT16 = ("avx512_bf16", "amx_bf16", "amx_fp16", "bf16")


def add_verb(command) -> None:
    """Add the verb to a parser; `command(name, run, summary)` adds one and returns its parser."""
    command("doctor", _doctor, "Say what is installed, and what is known to go wrong with it.")


def _doctor(arguments):
    for line in facts():
        print(line)
    found = problems()
    for problem in found:
        print(f"\nProblem: {problem}")
    if not found:
        print("\nNo known problem.")
    return 1 if found else 0


def facts() -> list[str]:
    """Lines on versions, processor and devices."""
    packages = ", ".join(f"{name} {_version(name) or 'missing'}" for name in _PACKAGES)
    extras = [name for name, package in _EXTRAS.items() if _version(package)]
    flags = [flag for flag in _BFLOAT16 if flag in _processor_flags()]
    lines = [
        f"tfflows {tfflows.__version__}, Python {platform.python_version()}, {platform.platform()}",
        packages,
        f"extras: {', '.join(extras) or 'none'}",
        f"{os.cpu_count()} processors; instructions for bfloat16: {', '.join(flags) or 'none'}",
    ]
    if _version("tensorflow"):
        import_tensorflow()
        import tensorflow as tf

        devices = [device.name.partition(":")[2] for device in tf.config.list_physical_devices()]
        lines.append(f"devices: {', '.join(devices)}")
    return lines


def problems() -> list[str]:
    """Sentences on what is known to go wrong here, each with what to do."""
    found = []
    wheels = sorted(
        {
            f"{distribution.metadata['Name']} {distribution.version}"
            for distribution in importlib.metadata.distributions()
            if _TENSORFLOWS.fullmatch(distribution.metadata["Name"] or "")
        }
    )
    if len(wheels) > 1:
        found.append(
            f"{' and '.join(wheels)} install the same files, and which one is imported is chance: "
            "uninstall all of them, and install one."
        )
    spec = importlib.util.find_spec("zoo")
    folder = None if spec is None or spec.origin is None else Path(spec.origin).parent
    if folder is None or not (folder / "catalog.py").is_file():
        where = "not installed" if folder is None else f"that of another project, at {folder}"
        found.append(
            f"The package `zoo` that Python imports is {where}: install tfflows in a virtual "
            "environment of its own."
        )
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        found.append(
            f"KERAS_BACKEND is {backend!r} in the environment, but tfflows needs Keras on "
            "TensorFlow: unset it, or set it to 'tensorflow'."
        )
    numpy, tfp = _version("numpy"), _version("tensorflow-probability")
    if numpy and tfp and _numbers(numpy) >= (2, 4) and _numbers(tfp) <= (0, 25):
        found.append(
            f"TensorFlow Probability {tfp} cannot make its bijectors of probability vectors "
            f"(SoftmaxCentered, and with it joint distributions with a Dirichlet) with NumPy "
            f'{numpy}: where you need one, install "numpy<2.4".'
        )
    data = os.environ.get("TFFLOWS_DATA")
    if data and not Path(data).is_dir():
        found.append(
            f"TFFLOWS_DATA is {data!r}, which is no folder: data sets are looked for elsewhere."
        )
    return found


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version):
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _processor_flags():
    """What Linux says about the first processor; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return set(line[1].split()) if line else set()
