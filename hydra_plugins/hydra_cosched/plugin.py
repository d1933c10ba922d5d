"""Makes the group ``scheduler`` available to every Hydra app in the environment, at hardly any cost to the others."""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

GROUPS = ("cosched/schema", "cosched/phase", "scheduler")


class CoschedSearchPathPlugin(SearchPathPlugin):
    """Appends our options and their schemas to the search path, behind the app's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra before it composes a config."""
        search_path.append(provider="cosched", path="pkg://cosched.conf")
        search_path.append(provider="cosched", path=f"{SchemaSource.scheme()}://")


class SchemaSource(ConfigSource):
    """The typed configs of `cosched.config`, made when a config asks for one.

    Each registered shape is there as a schema, as a phase, and as an option of the group ``scheduler``, whichever
    package it is from. The config store would want all of them at the start of every app, and would match them with
    files of their names.
    """

    @staticmethod
    def scheme() -> str:
        """What search paths that lead here begin with."""
        return "cosched"

    def available(self) -> bool:
        """Always."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Whether it is one of our groups, or what they stand in."""
        return config_path.rstrip("/") in ("cosched", *GROUPS)

    def is_config(self, config_path: str) -> bool:
        """Whether there is a schema of that path."""
        return self._schema(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The groups in ``cosched``, or the schemas in one of them."""
        path = config_path.rstrip("/")
        if path == "cosched":
            inside = [group.rpartition("/")[2] for group in GROUPS if group.startswith("cosched/")]
            return [] if results_filter is ObjectType.CONFIG else inside
        if path not in GROUPS or results_filter is ObjectType.GROUP:
            return []
        from cosched.config.schemas import options

        return options(path)

    def load_config(self, config_path: str) -> ConfigResult:
        """The schema of that path as a config."""
        try:
            schema = self._schema(config_path)
        except ValueError as error:  # a shape of another package that cannot be loaded
            raise ConfigLoadError(str(error)) from error
        if schema is None:
            raise ConfigLoadError(f"{config_path} is not one of the schemas of cosched")
        return ConfigResult(
            provider=self.provider, path=self.full_path(), config=OmegaConf.structured(schema), header={"package": None}
        )

    def _schema(self, config_path: str) -> type | None:
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        if group not in GROUPS:
            return None
        from cosched.config.schemas import schema

        return schema(group, name)
