"""A drawn chart as the SVG that is a file and stands in the page, and how to tell that it is current.

A mark carries its model (``data-model``) and a reader's words for it (``<title>``: browsers show it as a tooltip).

The same chart gives the same bytes with the same versions of matplotlib and seaborn, and other bytes with others. An SVG
therefore begins with digests: of its chart together with the source that draws it, of its own drawing, and of its PDF.
``is_current`` compares these, so that a check neither draws anything nor depends on what is installed.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from leaderboard.board.charts.chart import Chart

_HEAD = re.compile(rb"<!-- `bench leaderboard`: data ([0-9a-f]{64}), drawing ([0-9a-f]{64}), PDF ([0-9a-f]{64}) -->")
_DRAW = ("chart", "figures", "kinds", "labels", "svg")
_SVG = "http://www.w3.org/2000/svg"


def is_current(svg: bytes | None, chart: Chart) -> bool:
    """Whether an SVG shows this chart as figures.py draws it, and was not changed by hand."""
    found = _HEAD.search(svg or b"")
    if svg is None or found is None or found[1].decode() != chart_digest(chart):
        return False
    return found[2].decode() == _sha256(svg.replace(found[0], b"", 1))


def is_pdf_of(pdf: bytes | None, svg: bytes) -> bool:
    """Whether a PDF was drawn together with a current SVG."""
    found = _HEAD.search(svg)
    return pdf is not None and found is not None and found[3].decode() == _sha256(pdf)


def in_page(page: bytes, chart: Chart) -> bytes:
    """The current SVG of this chart that stands in a page; empty: none does."""
    digest = chart_digest(chart).encode()
    found = re.search(rb"<svg[^>]*><!-- `bench leaderboard`: data %b.*?</svg>\n" % digest, page, re.S)
    return found[0] if found and is_current(found[0], chart) else b""


def chart_digest(chart: Chart) -> str:
    """Of all that a figure is made from: the chart, and the source that draws."""
    return _sha256(f"{_source()}\n{chart!r}".encode("utf-8", "backslashreplace"))


@cache
def _source() -> str:
    """What draws, and the colours that it takes; read once for all figures."""
    return "".join(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8") for name in _DRAW)


def with_digests(drawing: bytes, pdf: bytes, digest: str) -> bytes:
    """The SVG with its digests as a comment; ``digest``: its chart's."""
    head = f"<!-- `bench leaderboard`: data {digest}, drawing {_sha256(drawing)}, PDF {_sha256(pdf)} -->"
    return drawing.replace(b">", b">" + head.encode(), 1)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def element_id(role: str, model: str, words: str = "") -> str:
    """A ``gid`` for matplotlib to write down as an element's id, out of which ``embeddable`` makes attributes."""
    return json.dumps([role, model, words])


def embeddable(svg: bytes, label: str) -> bytes:
    """matplotlib's SVG as one element that several may stand in a page: no ids but those referred to, no style for all."""
    root = ElementTree.fromstring(svg)
    root.attrib |= {"role": "img", "aria-label": label, "stroke-linejoin": "round"}
    for child in root.findall(f"{{{_SVG}}}metadata") + root.findall(f"{{{_SVG}}}defs[{{{_SVG}}}style]"):
        root.remove(child)
    referred = set(re.findall(r"#(\w+)", svg.decode()))
    for element in root.iter():
        name = element.attrib.pop("id", "")
        if name in referred:
            element.set("id", name)
        elif name.startswith("["):
            role, model, words = json.loads(name)
            element.attrib |= {"class": role, "data-model": model}
            if words:
                title = ElementTree.Element(f"{{{_SVG}}}title")
                title.text = words
                element.insert(0, title)
        for key in element.attrib.keys() & {"d", "x", "y", "transform"}:  # in points: a hundredth is nothing to see
            numbers = " ".join(element.get(key, "").split())
            element.set(key, re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.2f}", numbers))
        element.text, element.tail = (text and (text.strip() and text) for text in (element.text, element.tail))
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    return ElementTree.tostring(root, encoding="unicode").encode() + b"\n"
