"""A document's blocks, run as a reader would: from top to bottom, in one folder, with one set of Python names."""

import contextlib
import doctest
import io
import json
import os
import re
import shlex
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import JOB, ROOT, TINY, Run, Start
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue

from cosched.config.editors import json_schema
from cosched.schedules import registry

LANGUAGES = ("console", "json", "pycon", "python", "text", "toml", "yaml")
FENCE = re.compile(r"^```([\w{}-]*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"\A# (\S+\.\w+)\n")
PROGRAMS = JOB.parent
WIDTH = ("COLUMNS",)  # which pytest sets: programs are to print as into a file


@dataclass
class Block:
    """A block of a page; ``printed`` is what the page shows as its output, in the block of text after it."""

    language: str
    text: str
    line: int
    printed: str | None = None

    @property
    def file(self) -> str | None:
        """The name that a first line gives it."""
        found = FILE.match(self.text)
        return found[1] if found else None

    @property
    def commands(self) -> list[str]:
        """A console block's commands, with their comments."""
        lines = self.text.replace("\\\n", " ").splitlines() if self.language == "console" and not self.file else []
        return [line for line in lines if line.strip() and not line.startswith("#")]


def blocks(page: str) -> list[Block]:
    """The blocks of a page, but for Sphinx's directives."""
    found: list[Block] = []
    end = 0
    for match in FENCE.finditer(page):
        language, text = match.groups()
        shown = language == "text" and found and found[-1].language in ("console", "python")
        if shown and not page[end : match.start()].strip():
            found[-1].printed = text
        elif not language.startswith("{"):
            found.append(Block(language, text, page[: match.start()].count("\n") + 1))
        end = match.end()
    return found


class Reader:
    """Who does what a page says, in ``folder``."""

    def __init__(self, folder: Path, page: str) -> None:
        self.folder, self.blocks = folder, blocks(page)
        self.module = types.ModuleType("page")  # where a class that a block defines is looked for
        if not any((one.file or "").startswith("conf/") for one in self.blocks):
            (folder / "conf").symlink_to(ROOT / "conf")

    def read(self) -> None:
        """Run all of them; the first that fails is told of by its line."""
        for one in self.blocks:
            try:
                self.do(one)
            except (Exception, SystemExit) as error:
                raise AssertionError(f"the block of line {one.line}: {error}") from error

    def do(self, one: Block) -> None:
        """Run a block, and compare what it prints with what the page shows."""
        if one.file:
            path = self.folder / one.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(one.text)
        else:
            printed = getattr(self, f"_{one.language}")(one)
            if one.printed is not None:
                assert alike(one.printed, printed), f"line {one.line} prints\n{printed}"

    def _text(self, one: Block) -> None:
        pass  # what cannot be run here

    def _json(self, one: Block) -> None:
        json.loads(one.text)

    def _toml(self, one: Block) -> None:
        from pip._vendor import tomli  # Python 3.10 has none of its own

        tomli.loads(one.text)

    def _python(self, one: Block) -> str:
        code = compile(one.text, f"line {one.line}", "exec")
        with self._inside(), contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, vars(self.module))
        return out.getvalue()

    def _pycon(self, one: Block) -> None:
        test = doctest.DocTestParser().get_doctest(one.text, vars(self.module), "page", None, one.line)
        with self._inside(), contextlib.redirect_stdout(io.StringIO()) as out:
            failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, clear_globs=False).failed
        assert not failed, out.getvalue()
        vars(self.module).update(test.globs)

    def _yaml(self, one: Block) -> None:
        check(one.text)
        if "defaults:" in one.text.partition("\n\n")[0]:
            make(self.folder / "fragment", one.text)

    def _console(self, one: Block) -> str:
        return "".join(self._command(line) for line in one.commands)

    def _command(self, line: str) -> str:
        program, *arguments = shlex.split(line, comments=True)
        if {*shlex.shlex(line, posix=True, punctuation_chars=True)} & {">", "|", "&&"}:  # the shell's
            program = ""
        if program == "cosched-train":
            tiny = () if {"--help", "--hydra-help", "--version"} & {*arguments} else TINY
            done = Start(JOB, *arguments, *tiny, cwd=self.folder, unset=WIDTH)
        elif program == "cosched":
            done = Start(PROGRAMS / program, *arguments, cwd=self.folder, unset=WIDTH)
        elif program == "python" and arguments[0].endswith(".py"):
            done = Start(*arguments, cwd=self.folder, unset=WIDTH)
        else:
            path = f"PATH={PROGRAMS}{os.pathsep}{os.environ['PATH']}"
            done = Run("env", *(f"--unset={name}" for name in WIDTH), path, "bash", "-c", line, cwd=self.folder)
        refused = re.search(r"\s# refused", line)
        assert bool(done.status) == bool(refused), f"{line}\nends with status {done.status}\n{done.out}{done.err}"
        return done.out + done.err

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        """In the folder, with the page as a module."""
        before = Path.cwd()
        sys.modules["page"] = self.module
        sys.path.insert(0, str(self.folder))
        os.chdir(self.folder)
        try:
            yield
        finally:
            os.chdir(before)
            sys.path.remove(str(self.folder))
            del sys.modules["page"]


def alike(shown: str, printed: str) -> bool:
    """Whether it is what a page shows, where ``...`` stands for anything."""
    parts = [re.escape(part) for part in re.sub(r"[ \t]+$", "", shown.strip(), flags=re.MULTILINE).split("...")]
    return bool(re.fullmatch(".*".join(parts), re.sub(r"[ \t]+$", "", printed.strip(), flags=re.MULTILINE), re.DOTALL))


def is_option(data: Any) -> bool:
    """Whether it is a file of the group ``scheduler``, and not of an app's config."""
    if not isinstance(data, dict) or "_target_" in data:
        return isinstance(data, dict)
    made = re.findall(r"/cosched/(schema|scheduler)/(\w+)@_here_", str(data.get("defaults", [])))
    return any(group == "scheduler" or registry.known(name) for group, name in made)


def loaded(text: str) -> Any:
    """YAML as Hydra reads it, for which 1e-4 is a number."""
    return OmegaConf.to_container(OmegaConf.create(text))


def check(text: str) -> None:
    """Ask the JSON Schema that editors have."""
    import jsonschema

    data = loaded(text)
    schema = json_schema(app=not is_option(data))
    errors = [one.message for one in jsonschema.Draft202012Validator(schema).iter_errors(data)]
    assert not errors, errors


def make(folder: Path, text: str) -> Any:
    """Compose a config, and make the schedules in it, if none of their values is still to be given."""
    data = loaded(text)
    place = folder / "scheduler" if is_option(data) else folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "fragment.yaml").write_text(text)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), version_base=None):
        config = compose(None, ["+scheduler=fragment"]) if is_option(data) else compose("fragment")
    with contextlib.suppress(MissingMandatoryValue):
        return OmegaConf.to_object(config)
    return None
