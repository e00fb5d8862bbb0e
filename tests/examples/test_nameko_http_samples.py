"""The HTTP samples of nameko's document, with nothing changed but the names in their import lines.

Indentation is put back. What the document leaves to the reader stands beside the samples: a service behind the proxy,
helpers of the handlers, and a name for the class that has none.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from textwrap import dedent
from typing import Any

import pytest

from tests.programs import Program

from .test_shop import free_port

pytestmark = pytest.mark.slow

REQUESTS = """
    from nameko.web.handlers import http
    import json

    class UploadService:
        name = "upload_service"

        @http('POST', '/api/upload')
        def handle_upload(self, request):
            # Access different request components
            content_type = request.headers.get('Content-Type')
            query_params = request.args

            if content_type == 'application/json':
                data = request.get_json()
                return self._process_json(data)
            elif 'multipart/form-data' in content_type:
                files = request.files
                form_data = request.form
                return self._process_upload(files, form_data)
            else:
                raw_data = request.get_data(as_text=True)
                return self._process_raw(raw_data)

        def _process_json(self, data):
            return {"json": data}

        def _process_upload(self, files, form_data):
            return {"files": {name: file.read().decode() for name, file in files.items()}, "form": dict(form_data)}

        def _process_raw(self, raw_data):
            return {"raw": raw_data}
"""

ROUTING = """
    from nameko.web.handlers import http

    class APIService:
        name = "api_service"

        # Path parameters with type conversion
        @http('GET', '/users/<int:user_id>')
        def get_user(self, request, user_id):
            # user_id is automatically converted to int
            pass

        # Multiple path parameters
        @http('GET', '/users/<int:user_id>/posts/<int:post_id>')
        def get_user_post(self, request, user_id, post_id):
            pass

        # String parameters (default)
        @http('GET', '/categories/<category_name>')
        def get_category(self, request, category_name):
            pass

        # UUID parameters
        @http('GET', '/orders/<uuid:order_id>')
        def get_order(self, request, order_id):
            pass

        # Query parameters
        @http('GET', '/search')
        def search(self, request):
            query = request.args.get('q', '')
            limit = int(request.args.get('limit', 10))
            offset = int(request.args.get('offset', 0))
            return self._search(query, limit, offset)

        def _search(self, query, limit, offset):
            return [query, limit, offset]
"""

CORS = """
    from nameko.web.handlers import http

    class Data:
        name = "data"

        @http('GET', '/api/data', cors={
            'origins': ['http://localhost:3000', 'https://myapp.com'],
            'methods': ['GET', 'POST', 'PUT', 'DELETE'],
            'headers': ['Content-Type', 'Authorization'],
            'credentials': True
        })
        def api_endpoint(self, request):
            \"\"\"Endpoint with CORS configuration\"\"\"
            # Return with status code and headers
            return (
                {'data': 'value'},
                200,
                {'Content-Type': 'application/json', 'X-Custom': 'header'}
            )
"""

ERRORS = """
    from nameko.web.handlers import http
    from nameko.exceptions import BadRequest, NotFound, Forbidden

    class APIErrorHandler:
        name = "api_errors"

        @http('POST', '/api/users', expected_exceptions=(BadRequest, NotFound))
        def create_user_endpoint(self, request):
            try:
                data = request.get_json()
                if not data.get('email'):
                    raise BadRequest("Email is required")

                user = self.user_service.get_user_by_email(data['email'])
                if user:
                    raise BadRequest("User already exists")

                return self.user_service.create_user(data)

            except BadRequest as e:
                return {'error': str(e)}, 400
            except NotFound as e:
                return {'error': str(e)}, 404
            except Exception as e:
                return {'error': 'Internal server error'}, 500

        class user_service:
            @staticmethod
            def get_user_by_email(email):
                if email == "lost@x.org":
                    raise NotFound("no such house")
                return email == "known@x.org"

            @staticmethod
            def create_user(data):
                return {"id": 1, **data}
"""


def changed(sample: str) -> str:
    """The sample with our name in its import lines."""
    text = dedent(sample).replace("from nameko.web.handlers import", "from tautomer import")
    return text.replace("from nameko.exceptions import", "from tautomer import")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of all samples, run by the command line from one folder."""
    chosen = free_port()
    folder = tmp_path_factory.mktemp("nameko")
    for name, sample in (("upload", REQUESTS), ("routing", ROUTING), ("cors", CORS), ("errors", ERRORS)):
        (folder / f"{name}.py").write_text(changed(sample))
    command = (sys.executable, "-W", "error", "-m", "tautomer", "run", folder, "--http", f"127.0.0.1:{chosen}")
    with Program(*command) as program:
        program.wait_for("node started")
        yield chosen
        assert 0 == program.end()


def ask(
    port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, str, Mapping[str, str]]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, dict(headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


PARTS = (
    b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--x\r\nContent-Disposition: form-data; name="f"; filename="b.txt"\r\n\r\nhi\r\n--x--\r\n'
)


@pytest.mark.parametrize(
    ("content_type", "body", "told"),
    [
        ("application/json", b'{"a":1}', {"json": {"a": 1}}),
        ("multipart/form-data; boundary=x", PARTS, {"files": {"f": "hi"}, "form": {"a": "1"}}),
        ("text/plain", b"raw", {"raw": "raw"}),
    ],
)
def test_requests(port: int, content_type: str, body: bytes, told: Any) -> None:
    status, text, _ = ask(port, "POST", "/api/upload?x=1", body, {"Content-Type": content_type})

    assert (200, told) == (status, json.loads(text))


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/users/5", 204, ""),
        ("/users/x", 404, None),
        ("/users/5/posts/6", 204, ""),
        ("/categories/books", 204, ""),
        ("/orders/09d594d1-f1b8-460f-ae2e-9794973769f0", 204, ""),
        ("/orders/5", 404, None),
        ("/search?q=a&limit=3", 200, '["a",3,0]'),
        ("/search?limit=x", 500, None),
    ],
)
def test_routing(port: int, path: str, status: int, body: str | None) -> None:
    got = ask(port, "GET", path)

    assert status == got[0]
    assert body is None or body == got[1]


def test_cors(port: int) -> None:
    status, text, headers = ask(port, "GET", "/api/data", headers={"Origin": "https://myapp.com"})

    assert (200, {"data": "value"}, "header") == (status, json.loads(text), headers["X-Custom"])
    assert "https://myapp.com" == headers["Access-Control-Allow-Origin"]
    assert 403 == ask(port, "GET", "/api/data", headers={"Origin": "https://other.com"})[0]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"email": "new@x.org"}, 200, {"id": 1, "email": "new@x.org"}),
        ({}, 400, {"error": "Email is required"}),
        ({"email": "known@x.org"}, 400, {"error": "User already exists"}),
        ({"email": "lost@x.org"}, 404, {"error": "no such house"}),
        ([], 500, {"error": "Internal server error"}),
    ],
)
def test_errors(port: int, body: Any, status: int, told: Any) -> None:
    got = ask(port, "POST", "/api/users", json.dumps(body).encode(), {"Content-Type": "application/json"})

    assert (status, told) == (got[0], json.loads(got[1]))
