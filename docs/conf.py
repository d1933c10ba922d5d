"""The site's settings: `make docs` builds it, warnings are errors, and nothing in it is fetched from elsewhere."""

import sys
from pathlib import Path

import cosched

sys.path.insert(0, str(Path(__file__).parent))  # where the extension `generated` is

project = "cosched"
author = "the cosched maintainers"
release = cosched.__version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "generated"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]  # `${...}` and `...` in YAML that is not JSON

autodoc_inherit_docstrings = False  # a method is described where it is declared
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures show them
napoleon_custom_sections = [("Attributes", "params_style")]  # fields in a list, not an entry each
napoleon_use_rtype = False
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"cosched {release}"
html_static_path = ["_static", "_generated/small"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"
