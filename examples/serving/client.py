"""Samples of a model and their scores, from a running `tfflows serve`.

python client.py NAME [URL]
"""

import json
import sys
import urllib.request

import numpy as np


def call(url, name, signature, **inputs):
    """The outputs of a signature: arrays by name, or the array if it has only one."""
    columns = {key: np.asarray(value).tolist() for key, value in inputs.items()}
    request = json.dumps({"signature_name": signature, "inputs": columns}).encode()
    with urllib.request.urlopen(f"{url}/v1/models/{name}:predict", request, timeout=60) as answer:
        outputs = json.load(answer)["outputs"]
    if isinstance(outputs, dict):
        return {key: np.array(value) for key, value in outputs.items()}
    return np.array(outputs)


if __name__ == "__main__":
    name, url = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8501"
    seeds = [[0, i] for i in range(5)]
    x = call(url, name, "sample", seed=seeds, temperature=[0.8] * 5)["x"]
    print("shape", *x.shape, "log_prob", *call(url, name, "log_prob", x=x).round(3))
