"""Sphinx configuration. Nothing is downloaded; the catalogue is written from the registries at build time."""

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import catalogue
import computed
import execute
import findings
import method_pages
import ziamath

import gamedyn

warnings.filterwarnings("ignore", "A worker stopped", UserWarning)  # joblib replaces workers whose memory has grown
GENERATED = Path(__file__).parent / "_generated"
facts, places = computed.compute(GENERATED / "methods")
catalogue.write(GENERATED, facts)
method_pages.write(GENERATED / "methods", facts, places)
drawn = findings.draw(GENERATED / "studies", GENERATED / "reports" / "studies")  # while the reference is read

project = "gamedyn"
copyright = "the gamedyn authors, Apache-2.0"
author = "the gamedyn authors"
version = release = gamedyn.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "sphinx_gallery.gen_gallery"]
myst_enable_extensions = ["amsmath", "dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = [
    "_build",
    *(f"_generated/{x}" for x in ("README.md", "backreferences", "reports", "studies", "options.md")),
]
html_extra_path = ["_generated/reports"]
html_math_renderer = "mathml"
html_theme = "furo"
html_static_path = ["_static", str(Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf")]
html_css_files = ["tables.css", "fonts.css"]
html_js_files = ["tables.js"]
html_title = f"gamedyn {release}"
default_role = "code"
nitpicky = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "_generated/gallery",
    "backreferences_dir": "_generated/backreferences",
    "doc_module": ("gamedyn",),
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "parallel": computed.PROCESSES,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "download_all_examples": False,
    "thumbnail_size": (320, 220),
    "matplotlib_animations": False,
    "plot_gallery": True,
    "reset_modules": ("matplotlib", "gallery.reset"),
    "log_level": {"backreference_missing": "debug"},
}

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


MADE = ("_generated/gallery/plot_", "_generated/methods", "studies")
"""Beginnings of the names of pages whose figures and numbers this build has made."""


def signed(app, pagename, templatename, context, doctree):
    """With what this build was made, at the foot of the pages whose figures and numbers it made."""
    if pagename.startswith(MADE):
        context["body"] += f'<hr><p class="provenance"><em>Made by this build with {execute.provenance()}.</em></p>'


def wait(app, docname, content):
    """Pages that are written by hand show the studies' figures."""
    if not docname.startswith("_generated"):
        drawn()


def setup(app):
    """Escape before napoleon reads the sections; navigate before the theme does."""
    app.connect("source-read", wait)
    app.connect("html-page-context", signed)
    app.connect("autodoc-process-docstring", escape, priority=100)
    app.connect("html-page-context", navigate, priority=100)
