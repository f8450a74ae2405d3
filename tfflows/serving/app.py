"""The HTTP side: routes, limits, errors, and the process that listens."""

from __future__ import annotations

import contextlib
import json
import socket
from functools import partial
from pathlib import Path

from tfflows.serving import image_files, page, rest, v2
from tfflows.serving.errors import RequestError
from tfflows.serving.model import ServedModel

HOST = "127.0.0.1"
MAX_BODY = 32 * 2**20  # bytes
PAGE = Path(__file__).parent / "web"
_LONGEST_MESSAGE = 1000


def listen(port: int) -> socket.socket:
    """A socket on this machine's own address, before any work is done; port 0 takes a free one.

    Raises:
        OSError: if the port is taken or out of range.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise OSError(f"Cannot listen on {HOST}:{port}: {error}; give another --port.") from error
    return listener


def server_of(model: ServedModel):
    """A `uvicorn.Server` of the model; `run(sockets=[listen(port)])` serves until interrupted.

    Raises:
        ImportError: without Starlette, uvicorn or Pillow.
    """
    require_libraries()
    import uvicorn

    config = uvicorn.Config(app_of(model), log_level="warning", lifespan="off", ws="none")
    return uvicorn.Server(config)


def require_libraries() -> None:
    """Raise an ImportError with what to install where a library of the server is missing."""
    try:
        import PIL  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"The server needs {error.name}, which is not installed: pip install tfflows[serve]."
        ) from error


def app_of(model: ServedModel):
    """The Starlette application of a model.

    One request is worked on at a time, which bounds the memory that all of them take.
    """
    import anyio
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import ClientDisconnect
    from starlette.responses import Response
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    one_at_a_time = anyio.CapacityLimiter(1)

    def response(status, answer):
        return Response(json.dumps(answer), status, media_type="application/json")

    def worked_out(answer_of, path, *body):
        try:
            _require_model(model, **path)
            return response(200, answer_of(model, *body))
        except RequestError as error:
            return response(error.status, {"error": str(error)[:_LONGEST_MESSAGE]})

    def get(path, answer_of):
        async def endpoint(request):
            return worked_out(answer_of, request.path_params)

        return Route(path, endpoint)

    def post(path, answer_of, max_bytes=MAX_BODY):
        async def endpoint(request):
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    message = f"The request's body has more than the {max_bytes:,} bytes allowed."
                    return response(413, {"error": message})
            work = partial(worked_out, answer_of, request.path_params, bytes(body))
            return await anyio.to_thread.run_sync(work, limiter=one_at_a_time)

        return Route(path, endpoint, methods=["POST"])

    async def http_error(request, error):
        message = f"{request.method} {request.url.path}: {error.detail}."
        return response(error.status_code, {"error": message[:_LONGEST_MESSAGE]})

    async def hung_up(request, error):
        return response(400, {"error": "The request was not sent to its end."})

    def of_versions(route, prefix, suffix, answer_of):
        versions = "", "/versions/{version}"
        return [route(prefix + version + suffix, answer_of) for version in versions]

    v1_path, v2_path = "/v1/models/{name}", "/v2/models/{name}"
    routes = [
        *of_versions(post, v1_path, ":predict", rest.predict),
        *of_versions(get, v1_path, "/metadata", rest.metadata),
        *of_versions(get, v1_path, "", rest.status),
        get("/v2", v2.server_metadata),
        get("/v2/health/live", v2.is_live),
        get("/v2/health/ready", v2.is_ready),
        *of_versions(get, v2_path, "/ready", v2.is_model_ready),
        *of_versions(post, v2_path, "/infer", v2.infer),
        *of_versions(get, v2_path, "", v2.model_metadata),
        get("/page/facts", page.facts),
        get("/page/attributes", page.attributes),
        post("/page/image", page.image, image_files.MAX_BYTES),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
    # No other site's page can reach the server under a name of its own.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    handlers = {HTTPException: http_error, ClientDisconnect: hung_up}
    return Starlette(routes=routes, middleware=[hosts], exception_handlers=handlers)


def _require_model(model, name=None, version=None):
    """Refuse the path of another model or version."""
    if name not in (None, model.name):
        raise RequestError(f"There is no model {name!r}: this server has {model.name}.", 404)
    if version not in (None, model.version):
        raise RequestError(
            f"There is no version {version!r} of {model.name}: this server has {model.version}.",
            404,
        )


def serve(model: ServedModel, listener: socket.socket) -> None:
    """Serve a model until the process is interrupted."""
    with contextlib.suppress(KeyboardInterrupt):
        server_of(model).run(sockets=[listener])
