"""Makes the group ``scheduler`` available to every Hydra app in the environment, at hardly any cost to the others."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

SHARED = "scheduler"  # an app may have this group too; what it has there hides an option of ours of the same name
OURS = f"cosched/{SHARED}"  # the same options, in a group that nobody else has
TYPED = ("cosched/phase", OURS, "cosched/schema", SHARED)  # the groups in which each shape is an option


class CoschedSearchPathPlugin(SearchPathPlugin):
    """Appends our options to the search path, behind the app's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra before it composes a config."""
        search_path.append(provider="cosched", path=f"{OptionSource.scheme()}://")


class OptionSource(ConfigSource):
    """The files in ``cosched/conf``, and the typed configs of `cosched.config`, made when a config asks for one.

    Each registered shape is there as a schema, as a phase, and as an option of the group ``scheduler``, whichever
    package it is from. The config store would want all of them at the start of every app, and would match them with
    files of their names. The group ``scheduler`` is there under the name ``cosched/scheduler``, too.
    """

    _missed: str | None = None  # the group of the option that was asked for last, where it is not there

    @staticmethod
    def scheme() -> str:
        """What search paths that lead here begin with."""
        return "cosched"

    def available(self) -> bool:
        """Always."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Whether it is one of our groups, or what they stand in."""
        path = config_path.rstrip("/")
        return path in ("cosched", *TYPED) or _place(path).is_dir()

    def is_config(self, config_path: str) -> bool:
        """Whether there is an option of that path."""
        found = _file(config_path).is_file() or _schema(config_path) is not None
        self._missed = None if found else config_path.rpartition("/")[0]
        return found

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The groups and options in a group; none in ``scheduler`` where the app has such a group itself.

        So ``scheduler=glob(*)`` means the app's own options, as it did before cosched was installed. Where an option is
        not found all are there, for then Hydra tells which ones can be chosen.
        """
        path = config_path.rstrip("/")
        if path == SHARED and path != self._missed and _others_have(path):
            return []
        found = [one for one in _place(path).glob("*") if not one.name.startswith("_")]
        names = set()
        if results_filter is not ObjectType.CONFIG:
            groups = ["cosched", *TYPED, *(f"{path}/{one.name}" for one in found if one.is_dir())]
            names |= {name for above, _, name in (one.strip("/").rpartition("/") for one in groups) if above == path}
        if results_filter is not ObjectType.GROUP:
            names |= {one.stem for one in found if one.suffix == ".yaml"}
            if path in TYPED:
                from cosched.config.schemas import options

                names |= set(options(path))
        return sorted(names)

    def load_config(self, config_path: str) -> ConfigResult:
        """The option of that path as a config."""
        file = _file(config_path)
        try:
            schema = None if file.is_file() else _schema(config_path)
        except ValueError as error:  # a shape of another package that cannot be loaded
            raise ConfigLoadError(str(error)) from error
        if schema is None and not file.is_file():
            raise ConfigLoadError(f"{config_path} is not one of the options of cosched")
        config = OmegaConf.load(file) if schema is None else OmegaConf.structured(schema)
        return ConfigResult(provider=self.provider, path=self.full_path(), config=config, header={"package": None})


def _place(group: str) -> Path:
    """Where the files of a group stand."""
    import cosched

    return Path(str(cosched.__file__)).parent / "conf" / (SHARED if group == OURS else group)


def _file(config_path: str) -> Path:
    group, _, name = config_path.removesuffix(".yaml").rpartition("/")
    return _place(group) / f"{name}.yaml"


def _schema(config_path: str) -> type | None:
    group, _, name = config_path.removesuffix(".yaml").rpartition("/")
    if group not in TYPED:
        return None
    from cosched.config.schemas import schema

    return schema(group, name)


def _others_have(group: str) -> bool:
    hydra = GlobalHydra.instance()
    sources = hydra.config_loader().get_sources() if hydra.is_initialized() else []
    # Not by its class: Hydra may load this file once more, and then there are two.
    return any(one.is_group(group) for one in sources if one.scheme() != OptionSource.scheme())
