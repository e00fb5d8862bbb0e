"""Where the token of a request is found (JSON-RPC reference, section 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["BaseValidationStrategy", "BasicCookieStrategy", "HeaderValidationStrategy"]

Template = Callable[[str], "str | None"]


class BaseValidationStrategy:
    """Subclass it for a place of your own. A service asks its `validation_strategies` in order; the first token counts."""

    def extract_api_token(self, request: Any) -> str | None:
        """The token of a request, which has `headers` and `cookies` as mappings; None where it has none."""
        raise NotImplementedError


class HeaderValidationStrategy(BaseValidationStrategy):
    """A header.

    Args:
        header_name: In any case.
        template: From the header's value to the token, such as ``lambda value: value.removeprefix("Bearer ")``.
    """

    def __init__(self, header_name: str = "X-Api-Token", template: Template | None = None) -> None:
        self._name = header_name
        self._template = template

    def extract_api_token(self, request: Any) -> str | None:
        """As the class says."""
        return _formed(request.headers.get(self._name), self._template)


class BasicCookieStrategy(BaseValidationStrategy):
    """A cookie. The arguments are those of `HeaderValidationStrategy`."""

    def __init__(self, cookie_name: str = "AuthToken", template: Template | None = None) -> None:
        self._name = cookie_name
        self._template = template

    def extract_api_token(self, request: Any) -> str | None:
        """As the class says."""
        return _formed(request.cookies.get(self._name), self._template)


def _formed(value: str | None, template: Template | None) -> str | None:
    """The token, if there is one: a template is never asked to make one of nothing."""
    return value if not value or template is None else template(value)
