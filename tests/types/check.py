"""Whether mypy and pyright see exactly what is marked in `wrong_uses.py`, and nothing in `right_uses.py`.

A mark, ``# E: [arg-type]``, names mypy's error; pyright, which has other names, must have one on the same line.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
FILES = [HERE / "right_uses.py", HERE / "wrong_uses.py"]
ROOT = HERE.parent.parent

Place = tuple[str, int]  # a file and a line in it


def output(module: str, *arguments: str) -> str:
    """What a checker prints of the files."""
    command = [sys.executable, "-m", module, *arguments, *map(str, FILES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"{module} failed: {done.stdout}{done.stderr}")
    return done.stdout


def marked() -> Iterator[tuple[Place, str]]:
    """Where an error is expected, and which."""
    for path in FILES:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if found := re.search(r"# E: \[(.*)\]", line):
                yield (path.name, number), found[1]


def mypy() -> Iterator[tuple[Place, str, str]]:
    """Where mypy finds an error, which one and its message."""
    for line in output("mypy", "--strict", "--output=json").splitlines():
        found = json.loads(line)
        if found["severity"] == "error":
            yield (Path(found["file"]).name, found["line"]), found["code"], found["message"]


def pyright() -> Iterator[tuple[Place, str, str]]:
    """Where pyright finds an error, which one and its message."""
    for found in json.loads(output("basedpyright", "--outputjson", "--level=error", "--pythonpath", sys.executable))[
        "generalDiagnostics"
    ]:
        place = Path(found["file"]).name, found["range"]["start"]["line"] + 1
        yield place, found.get("rule", "syntax"), found["message"]


def main() -> None:
    """Compare, and exit with what differs."""
    expected = dict(marked())
    failures = []
    for checker in (mypy, pyright):
        found = list(checker())
        for place, code, message in found:
            if place not in expected or (checker is mypy and code != expected[place]):
                failures.append(f"{checker.__name__} {place}: {message} [{code}], expected {expected.get(place)}")
        unseen = expected.keys() - {place for place, _, _ in found}
        failures += [f"{checker.__name__} {place}: nothing, expected {expected[place]}" for place in sorted(unseen)]
        print(f"{checker.__name__} sees {len(expected) - len(unseen)} of {len(expected)} wrong uses")
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
