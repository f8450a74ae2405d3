"""Send requests/NAME.json to TensorFlow Serving's REST interface and print what comes back.

python client.py NAME [URL]
"""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

URL = "http://localhost:8501/v1/models/realnvp_digits:predict"


def main(name, url=URL):
    """Status 0 and the answer, or 1 and the server's message."""
    body = Path(__file__).with_name(f"{name}.json").read_bytes()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            print(json.dumps(json.load(response), indent=2))
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.code}: {error.read().decode()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
