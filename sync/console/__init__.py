"""The console: one HTML document that asks the other routes, whole in itself and with nothing of anybody else's.

`page.html` is the frame, `styles/` its looks, `scripts/` what it does, a file a subject. They are joined as they are:
no build step, no framework. What is inline runs only because its hash stands in the Content-Security-Policy, so that
nothing else ever does, whatever a person's name or a certificate says.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from sync.errors import HINTS

SCRIPTS = (
    "elements.js",
    "wording.js",
    "asking.js",
    "trouble.js",
    "confirming.js",
    "overview.js",
    "chart.js",
    "certificates.js",
    "failures.js",
    "person.js",
    "runs.js",
    "theme.js",
    "start.js",
)
"""In the order in which they are joined; they share one scope, and `start.js` begins."""
STYLES = ("palette.css", "frame.css", "controls.css", "figures.css", "subjects.css", "screens.css")
"""In the order in which they are joined: what comes later wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The document, and the headers without which it must not be given away."""

    html: str
    headers: Mapping[str, str]


@cache
def page() -> Page:
    """Join the console's files. Raises FileNotFoundError where one was not packed."""
    style = "\n".join(_read(f"styles/{name}") for name in STYLES)
    script = "\n".join(_read(f"scripts/{name}") for name in SCRIPTS)
    # A block of data, which no browser runs: what each error code asks for, in the product's own words.
    hints = json.dumps(HINTS, sort_keys=True).replace("<", "\\u003c")
    html = _read("page.html")
    for mark, content in (("{{style}}", style), ("{{hints}}", hints), ("{{script}}", script)):
        before, found, after = html.partition(mark)
        assert found, mark
        html = before + content + after
    return Page(html=html, headers=_headers(style, script))


def _headers(style: str, script: str) -> dict[str, str]:
    policy = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


def _hash(content: str) -> str:
    """Of exactly what stands between the tags (CSP Level 3, 6.7.2.3)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode('utf-8')).digest()).decode('ascii')}'"


def _read(name: str) -> str:
    # A browser reads every end of line as LF before it hashes, however a checkout wrote it.
    text = (files(__package__) / name).read_text("utf-8")
    return text.replace("\r\n", "\n").strip("\n")
