"""Makes the group ``scheduler`` available to every Hydra app in the environment."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from cosched import config


class CoschedSearchPathPlugin(SearchPathPlugin):
    """Registers the schemas and appends our options to the search path, behind the app's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra before it composes a config."""
        config.register()
        search_path.append(provider="cosched", path="pkg://cosched.conf")
