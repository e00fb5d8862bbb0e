"""The page that shows the OpenAPI document: Swagger UI, served from this package. Nothing is asked of other hosts."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

from tautomer.errors import NotFoundError
from tautomer.web.answers.reply import encode_json
from tautomer.web.messages.message import Reply, Request

__all__ = ["ASSETS", "asset", "docs_page", "start_script"]

ASSETS: Final = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
}
"""Files beside the page, and their types."""

SAFETY: Final = [
    (
        "Content-Security-Policy",
        # Swagger UI needs inline styles, and draws its icons from data addresses.
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
]

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{below}swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript. The document itself: <a href="{document}">openapi.json</a></noscript>
<script src="{below}swagger-ui-bundle.js"></script>
<script src="{below}start.js"></script>
</body>
</html>
"""

# `validatorUrl` would have the browser ask a public service about the document.
_START: Final = """window.ui = SwaggerUIBundle({{
  url: {document},
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
}});
"""


def docs_page(title: str, docs_path: str, document_path: str) -> Callable[[Request], Reply]:
    """The page.

    All addresses in it are relative, so that it works behind a proxy that takes a prefix off.
    """
    last = docs_path.rsplit("/", 1)[1]

    def answer(request: Request) -> Reply:
        slash = request.path.endswith("/")
        page = _PAGE.format(
            title=html.escape(title),
            below="" if slash else f"{last}/",
            document=html.escape(_relative(docs_path + "/" if slash else docs_path, document_path)),
        )
        return Reply(200, [("Content-Type", "text/html; charset=utf-8"), *SAFETY], page.encode())

    return answer


def start_script(docs_path: str, document_path: str) -> Callable[[Request], Reply]:
    """The script that starts Swagger UI; a file of its own, since the page allows no inline scripts."""
    # Addresses in a script are relative to the page, with or without its slash: said absolutely by the page's own.
    script = _START.format(
        document=f"new URL({_text(_relative(docs_path + '/x', document_path))}, document.currentScript.src).href"
    )

    def answer(_request: Request) -> Reply:
        return Reply(200, [("Content-Type", ASSETS["swagger-ui-bundle.js"]), *SAFETY], script.encode())

    return answer


def asset(name: str) -> Callable[[Request], Awaitable[Reply]]:
    """The handler of one file. It is read when it is asked for, off the event loop: hardly anybody does."""
    place = files("tautomer.web.pages").joinpath("assets", name)

    async def answer(_request: Request) -> Reply:
        try:
            data = await asyncio.to_thread(place.read_bytes)
        except OSError as error:
            raise NotFoundError() from error
        headers = [("Content-Type", ASSETS[name]), ("Cache-Control", "public, max-age=86400"), *SAFETY]
        return Reply(200, headers, data)

    return answer


def _relative(page: str, target: str) -> str:
    """The way from one absolute path to another."""
    here, there = page.split("/")[:-1], target.split("/")
    while here and there[:-1] and here[0] == there[0]:
        del here[0], there[0]
    return "../" * len(here) + "/".join(there)


def _text(value: str) -> str:
    """A text as JavaScript writes it, safe inside of a script."""
    return encode_json(value).decode().replace("<", "\\u003c")
