"""Sphinx configuration. Nothing is downloaded; the catalogue is written from the registries at build time."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import catalogue

import gamedyn

catalogue.write(Path(__file__).parent / "_generated")

project = "gamedyn"
copyright = "the gamedyn authors, Apache-2.0"
author = "the gamedyn authors"
version = release = gamedyn.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["amsmath", "dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_generated/README.md"]
html_theme = "furo"
html_title = f"gamedyn {release}"
default_role = "code"
nitpicky = False

autodoc_default_options = {"members": True}
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


def setup(app):
    """Escape before napoleon reads the sections."""
    app.connect("autodoc-process-docstring", escape, priority=100)
