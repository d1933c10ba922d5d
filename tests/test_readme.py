"""The README's blocks are run as they stand, its trainings on a tiny model; what it links to is there."""

import re
import shlex

import pytest
from helpers import JOB, ROOT, TINY, Run, Start, options

pytestmark = pytest.mark.xdist_group("started")  # one server for all

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


def test_it_is_short_and_its_links_lead_to_files():
    assert len(README.splitlines()) < 130
    links = re.findall(r"\]\((?!http)(.*?)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_python(snippet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(snippet, names)
    if "schedule" in names:
        claimed = re.search(r"# array\((.*)\)", snippet)[1]
        assert names["schedule"].restarts(700).tolist() == eval(claimed)
    else:
        assert names["optimizer"].param_groups[0]["lr"] == names["scheduler"].schedule(699)


def _write_files(folder):
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _slow(command):
    """What trains several times, or in processes of its own."""
    return [pytest.mark.slow] if "preview" not in command and ("-m" in command or "resume" in command) else []


@pytest.mark.parametrize(
    "command", [pytest.param(one, marks=_slow(one)) for one in COMMANDS if not one.startswith("make")]
)
def test_commands(command, tmp_path):
    _write_files(tmp_path)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    program, *arguments = shlex.split(command)
    run = Run if program == "cosched-train" and _slow(command) else Start
    if program == "cosched-train":
        if "resume_from=run" in arguments:
            run(JOB, "hydra.run.dir=run", *TINY, "trainer.max_epochs=1", cwd=tmp_path).check()
        epochs = 2 if "resume_from=run" in arguments else 1
        arguments = [JOB, *arguments, *TINY, f"trainer.max_epochs={epochs}"]
    run(*arguments, cwd=tmp_path).check()


def test_a_misspelt_field_is_refused_with_a_hint(tmp_path):
    _write_files(tmp_path)
    run = Start("app.py", "scheduler.cycle_mlt=2", cwd=tmp_path)
    assert run.status == 1
    assert "scheduler.cycle_mlt is not a field of cosine_annealing: did you mean 'cycle_mult'?" in run.err


ALIKE = {  # options that need the same overrides
    ",".join(name for name, others in options().items() if others == overrides): overrides
    for overrides in options().values()
}


@pytest.mark.slow
@pytest.mark.parametrize("names", ALIKE)
def test_the_app_takes_every_option(names, tmp_path):
    _write_files(tmp_path)
    quiet = ["hydra.sweep.dir=out", "hydra/job_logging=disabled", "hydra/hydra_logging=disabled"]
    run = Start("app.py", "-m", f"scheduler={names}", *ALIKE[names], *quiet, cwd=tmp_path).check()
    assert re.fullmatch(rf"(\d\.\d{{4}}\n){{{names.count(',') + 1}}}", run.out), "the last learning rate of each job"
    assert run.err == ""
