"""Write tests/slow.txt, the tests that wait for `-m slow`, from how long they took.

    python -m pytest -n auto --dist worksteal --durations=0 --durations-min=0.1 > durations.log
    python tools/slow_tests.py durations.log

Tests of more than half a second are added to those that are in the file. Where all cases of a test
are, it stands there by itself, and where a fixture of a file takes longer, the file does.
"""

import argparse
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

PATH = Path(__file__).parents[1] / "tests" / "slow.txt"
LONGEST = 0.5  # seconds
LONGEST_OF_A_FIXTURE = 2.0
LINE = re.compile(r"([0-9.]+)s (call|setup|teardown) +(tests/\S+?::.+?)\s*$")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path, help="pytest's output with its durations")
    log = parser.parse_args().log.read_text(errors="replace")

    seconds, fixtures = defaultdict(float), defaultdict(float)
    for line in log.splitlines():
        if match := LINE.match(line):
            duration, phase, test = float(match[1]), match[2], match[3]
            seconds[test] += duration
            if phase == "setup" and duration > LONGEST_OF_A_FIXTURE:
                fixtures[test.split("::")[0]] += duration
    chosen = {test for test, duration in seconds.items() if duration > LONGEST}
    chosen |= set(PATH.read_text().splitlines() if PATH.exists() else ()) | set(fixtures)

    command = [sys.executable, "-m", "pytest", "--collect-only", "-m", "slow or not slow"]
    listed = subprocess.run(command, capture_output=True, text=True, cwd=PATH.parents[1]).stdout
    cases = defaultdict(set)
    for test in re.findall(r"^tests/\S+?::.+$", listed, re.MULTILINE):
        cases[test.split("[")[0]].add(test)
    whole = {name for name, found in cases.items() if found <= chosen | {name}}
    lines = {
        test if test in fixtures or test.split("[")[0] not in whole else test.split("[")[0]
        for test in chosen
    }
    lines -= {test for test in lines if test.split("::")[0] in lines and "::" in test}
    known = {part for test in cases for part in (test, test.split("::")[0])}
    known |= set().union(*cases.values())
    PATH.write_text("".join(f"{line}\n" for line in sorted(lines & known)))


if __name__ == "__main__":
    main()
