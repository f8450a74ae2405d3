"""`python killed_ten_times.py FOLDER`: an unbroken run, and one that ten SIGKILLs hit at random.

The last line says after how many whole epochs each of them hit.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from tfflows import training
from tfflows.data import Dataset, Split

EPOCHS, KILLS = 24, 10


def images() -> Dataset:
    """Of two channels, which nobody draws: pictures would take most of the time."""
    x = np.random.default_rng(0).integers(0, 9, size=(96, 2, 2, 2)).astype("uint8")
    return Dataset("images", "Made up.", Split(x), Split(x[:48]), Split(x[48:]), 4)


def recipe() -> training.Recipe:
    """With dequantisation noise, dropout, warm-up, clipping, batches in parts and an average."""
    return training.Recipe(
        "RealNVP",
        "given",
        {"num_couplings": 4, "hidden": [8], "dropout": 0.1},
        epochs=EPOCHS,
        passes_per_epoch=2,
        gradient_accumulation=2,
        batch_size=32,
        learning_rate=0.01,
        warmup_steps=10,
        ema_momentum=0.9,
        global_clipnorm=1.0,
    )


def start(folder) -> tuple[int, int]:
    """A process that trains, and a pipe that gets a byte at the end of each epoch."""
    reader, writer = os.pipe()
    process = os.fork()
    if not process:

        def write(line):
            if "epoch" in line:
                os.write(writer, b".")

        training.train(recipe(), folder, images(), write)
        os._exit(0)
    os.close(writer)
    return process, reader


def main(folder: Path):
    begin = time.perf_counter()
    process, reader = start(folder / "unbroken")
    os.read(reader, 1)
    first_epoch = time.perf_counter() - begin
    assert os.waitpid(process, 0)[1] == 0
    epoch = (time.perf_counter() - begin - first_epoch) / (EPOCHS - 1)
    moments, generator = [], random.Random(0)
    for i in range(KILLS):
        process, reader = start(folder / "killed")
        if i % 5 == 2:
            time.sleep(generator.uniform(0, first_epoch))
        else:
            # At the end of the second epoch there is a backup of the first.
            for _ in range(1 + i % 2):
                os.read(reader, 1)
            time.sleep(generator.uniform(0, epoch))
        os.kill(process, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(process, 0)[1]) == signal.SIGKILL
        moments.append(training.Backup(folder / "killed" / "backup").epochs_done())
    assert os.waitpid(start(folder / "killed")[0], 0)[1] == 0
    print(json.dumps(moments))


if __name__ == "__main__":
    # It takes longer to import than all else.
    sys.modules["tfflows.training.train"].tensorboard_is_installed = lambda: False
    main(Path(sys.argv[1]))
