"""The gateway's own pages, as one more route: whatever else has such a path comes before them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tautomer.web.answers.reply import encode_json
from tautomer.web.messages.message import JSON_TYPE, Reply, Request
from tautomer.web.pages.docs import ASSETS, asset, docs_page, start_script
from tautomer.web.pages.health import PROBES, probe
from tautomer.web.pages.openapi import openapi_document
from tautomer.web.routing.aliases import AliasDef, join_path
from tautomer.web.settings.records import AssetSettings, GatewaySettings, OpenApiSettings, RouteSettings

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.web.routing.routes import Route

__all__ = ["Pages"]


class Pages:
    """Health probes, the OpenAPI document and the page that shows it.

    Args:
        routes: Gives the routes to tell of.
    """

    def __init__(self, broker: Broker, settings: GatewaySettings, routes: Callable[[], list[Route]]) -> None:
        self._broker = broker
        self._routes = routes
        self._document: bytes | None = None
        aliases = [_page(path, probe(broker, look)) for path, look in PROBES.items()] if settings.probes else []
        if settings.openapi is not None:
            aliases += self._documents(settings.openapi, settings.path)
        # What people put into a folder for that very path comes first, too.
        files = settings.assets
        shown = [alias for alias in aliases if files is None or not _is_file(files, alias.path)]
        self.route = RouteSettings(aliases=tuple(shown))

    def refresh(self) -> None:
        """What the mesh or the routes offer has changed."""
        self._document = None

    def _documents(self, settings: OpenApiSettings, prefix: str) -> list[AliasDef]:
        def document(_request: Request) -> Reply:
            if self._document is None:
                made = openapi_document(self._routes(), self._broker.registry.actions, settings)
                self._document = encode_json(made)
            return Reply(200, [JSON_TYPE, ("Cache-Control", "no-cache")], self._document)

        path = join_path(prefix, settings.path)
        pages = [_page(path, document)]
        if settings.docs is not None:
            docs = join_path(prefix, settings.docs)
            pages.append(_page(docs, docs_page(settings.title, docs, path)))
            pages.append(_page(f"{docs}/start.js", start_script(docs, path)))
            pages += [_page(f"{docs}/{name}", asset(name)) for name in ASSETS]
        return pages


def _is_file(assets: AssetSettings, path: str) -> bool:
    """Whether there is a file or folder that is served under this path, when the gateway starts."""
    below = path.removeprefix(assets.path.rstrip("/"))
    return below.startswith("/") and Path(assets.folder, below[1:]).exists()


def _page(path: str, handler: Callable[[Request], Any]) -> AliasDef:
    # As if a service had asked for it: what is written by hand, or made of annotations before, is in front.
    return AliasDef("GET", path, path, path, generated=True, handler=handler)
