"""Our wheel in three environments: the oldest versions that pyproject.toml declares, the tested ones, and the newest.

In each, with nothing installed but what the wheel requires, the README's first app runs; then, in the oldest and the
newest, the library's tests. Usage: ``environments.py [oldest] [pinned] [newest]``.

All three have the torch of constraints.txt, for another one brings gigabytes of CUDA; ``TORCH=2.3.0`` takes it.
"""

import math
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TESTS = ["tests/test_install.py", *(f"tests/{one}" for one in ("schedules", "config", "binding", "loops", "sweeps"))]
PINNED = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE))
OLDEST = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', (ROOT / "pyproject.toml").read_text()))
TORCH = {"torch": os.environ.get("TORCH") or PINNED["torch"]}
ENVIRONMENTS = {"oldest": OLDEST | TORCH, "pinned": PINNED | TORCH, "newest": TORCH}


def run(*command: Any, cwd: Path = ROOT, capture: bool = False) -> str:
    """What a command prints, if it is captured; it must end well."""
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=capture, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nended with status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def try_app(python: Path, folder: Path) -> None:
    """Run the README's first app, and compare its last learning rate with the formula."""
    readme = (ROOT / "README.md").read_text()
    for text, name in re.findall(r"```\w+\n(# ([\w/]+\.\w+)\n.*?)```", readme, flags=re.DOTALL):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    expected = 0.001 + 0.099 * (1 + math.cos(math.pi * 24 / 25)) / 2
    printed = run(python, "app.py", cwd=folder, capture=True).split()[-1]  # old versions of ignite print more before
    if printed != f"{expected:.4f}":
        sys.exit(f"app.py printed {printed!r}, not {expected:.4f}")


def try_environment(name: str, wheel: Path, folder: Path) -> None:
    """Install the wheel, run the app, then the tests; say how many seconds each took."""
    times = [time.monotonic()]
    venv.create(folder, with_pip=True)
    python, constraints = folder / "bin/python", folder / "constraints.txt"
    constraints.write_text("".join(f"{one}=={version}\n" for one, version in ENVIRONMENTS[name].items()))
    install = [python, "-m", "pip", "-qq", "--disable-pip-version-check", "install", "--constraint", constraints]
    run(*install, wheel)
    installed = run(python, "-m", "pip", "--disable-pip-version-check", "list", capture=True)
    if extras := re.findall(r"^(?:matplotlib|rich) .*", installed, flags=re.MULTILINE):
        sys.exit(f"{name}: {extras} came without being asked for")
    times.append(time.monotonic())
    try_app(python, folder)
    times.append(time.monotonic())
    if name != "pinned":  # whose tests are those of `make test`
        run(*install, f"{wheel}[test]")
        times.append(time.monotonic())
        run(python, "-m", "pytest", "-W", "ignore::DeprecationWarning", *TESTS)  # said of what others use
        times.append(time.monotonic())
    steps = ("installed", "README's app", "installed for the tests", "tests")
    seconds = ", ".join(f"{step} {b - a:.0f} s" for step, a, b in zip(steps, times, times[1:], strict=False))
    core = re.findall(r"^(?:hydra-core|omegaconf|torch|pytorch-ignite|numpy) .*", installed, flags=re.MULTILINE)
    print(f"{name}: {seconds}; {', '.join(' '.join(one.split()) for one in core)}", flush=True)


def main(names: list[str]) -> None:
    """Build the wheel and try it in each environment."""
    with tempfile.TemporaryDirectory() as scratch:
        run(sys.executable, "-m", "pip", "-qq", "wheel", "--no-deps", "--wheel-dir", scratch, ROOT)
        [wheel] = Path(scratch).glob("*.whl")
        for name in names or ENVIRONMENTS:
            try_environment(name, wheel, Path(scratch, name))


if __name__ == "__main__":
    main(sys.argv[1:])
