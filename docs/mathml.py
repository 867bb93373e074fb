"""Formulas as MathML, which browsers draw themselves: a page needs no script and no network."""

from __future__ import annotations

import re
from typing import Any

from latex2mathml.converter import convert

__all__ = ["setup"]

BAR = '<mo stretchy="false">&#x0007C;</mo>'
"""A bar of an absolute value: what stands in it comes close to it."""


def mathml(tex: str, display: str) -> str:
    """A formula's MathML. Operators that the converter does not know are written upright."""
    tex = re.sub(r"\\(arg|sgn|spec)\b", r"\\operatorname{\1}", tex)
    found: str = convert(tex, display=display)
    if unknown := re.search(r"<m[io]>(\\[A-Za-z]+)", found):
        raise ValueError(f"no MathML for {unknown[1]} in {tex!r}: see docs/mathml.py")
    return found.replace(BAR, BAR.replace(">", ' lspace="0" rspace="0">', 1))


def inline(translator: Any, node: Any) -> None:
    """Within a line."""
    from docutils.nodes import SkipNode

    translator.body.append(mathml(node.astext(), "inline"))
    raise SkipNode


def displayed(translator: Any, node: Any) -> None:
    """On a line of its own, which scrolls in itself where it is too long."""
    from docutils.nodes import SkipNode

    translator.body.append(f'<div class="formula">{mathml(node.astext(), "block")}</div>\n')
    raise SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer `mathml`."""
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
