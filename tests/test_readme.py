"""The README's blocks are run as they stand."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from helpers import ROOT, Run

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
FILES = {name: text for _, text in BLOCKS for name in re.findall(r"\A# (\S+\.\w+)\n", text)}
SNIPPETS = [text for language, text in BLOCKS if language == "python" and text not in FILES.values()]
COMMANDS = [line.split("#")[0] for language, text in BLOCKS if language == "console" for line in text.splitlines()]


def test_every_block_is_accounted_for():
    assert {language for language, _ in BLOCKS} == {"console", "yaml", "python"}
    assert all(text in FILES.values() for language, text in BLOCKS if language == "yaml")
    assert [command.split() for command in COMMANDS if command.startswith("make")] == [
        ["make", "train"],
        ["make", "test"],
    ]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_python(snippet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(snippet, names)
    if "factors" in names:
        values = [*(i / 10 for i in range(10)), *[1] * 40]
        assert names["factors"].values(range(50)).tolist() == pytest.approx(values, rel=1e-12)
        assert names["optimizer"].param_groups[0]["lr"] == 0
    elif "snapshot" in names:
        iterations = ["model_100.pt", "model_300.pt", "model_700.pt"]
        assert sorted(path.name for path in tmp_path.glob("snapshots/*")) == iterations
    elif "schedule" in names:
        claimed = re.search(r"# array\((.*)\)", snippet)[1]
        assert names["schedule"].restarts(700).tolist() == eval(claimed)
    else:
        assert names["optimizer"].param_groups[0]["lr"] == names["scheduler"].schedule(699)


@pytest.mark.parametrize("command", [command for command in COMMANDS if not command.startswith("make")])
def test_commands(command, tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    program, *arguments = shlex.split(command)
    if program == "cosched-train":
        arguments += ["trainer.max_epochs=1", "trainer.progress_bar=false"]
    if "resume_from=run" in arguments:
        Run(Path(sys.executable).parent / program, "hydra.run.dir=run", *arguments[-2:], cwd=tmp_path).check()
    Run(Path(sys.executable).parent / program, *arguments, cwd=tmp_path).check()


def test_the_picture_is_drawn_by_its_script(tmp_path):
    Run(sys.executable, ROOT / "docs/draw.py", tmp_path / "curves.png", cwd=ROOT).check()
    assert (tmp_path / "curves.png").read_bytes()[:8] == (ROOT / "docs/curves.png").read_bytes()[:8]
