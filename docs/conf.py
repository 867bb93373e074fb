"""Sphinx configuration. Nothing is downloaded; the catalogue is written from the registries at build time."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import catalogue
import method_pages

import gamedyn

catalogue.write(Path(__file__).parent / "_generated")
method_pages.write(Path(__file__).parent / "_generated" / "methods")

project = "gamedyn"
copyright = "the gamedyn authors, Apache-2.0"
author = "the gamedyn authors"
version = release = gamedyn.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml"]
myst_enable_extensions = ["amsmath", "dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_generated/README.md"]
html_math_renderer = "mathml"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_js_files = ["tables.js"]
html_title = f"gamedyn {release}"
default_role = "code"
nitpicky = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Source", "notes_style")]


def escape(app, what, name, obj, options, lines):
    """Docstrings are plain text with `code`; examples are left as they are."""
    example = False
    for i, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            lines[i] = catalogue.plain(line)
    if what in ("property", "attribute") and lines:
        lines[0] = lines[0].replace(": ", " – ", 1)  # napoleon takes "one line: more" for "type: description"


NAVIGATION = {}


def navigate(app, pagename, templatename, context, doctree):
    """The table of contents beside a page that is in none is the same for all of its folder: it is made once."""
    if "orphan" in app.env.metadata.get(pagename, {}):
        made, folder = context["toctree"], pagename.rpartition("/")[0]

        def toctree(**options):
            key = folder, tuple(sorted(options.items()))
            if key not in NAVIGATION:
                NAVIGATION[key] = made(**options)
            return NAVIGATION[key]

        context["toctree"] = toctree


def setup(app):
    """Escape before napoleon reads the sections; navigate before the theme does."""
    app.connect("autodoc-process-docstring", escape, priority=100)
    app.connect("html-page-context", navigate, priority=100)
