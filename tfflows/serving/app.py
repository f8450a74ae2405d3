"""The HTTP side: routes, limits, errors, and the process that listens."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
from functools import partial
from pathlib import Path

from tfflows.serving import image_files, page, rest, v2
from tfflows.serving.errors import RequestError
from tfflows.serving.model import ServedModel
from tfflows.serving.observation import Observer, log_to_stderr

HOST = "127.0.0.1"
LOCAL_NAMES = (HOST, "localhost")
MAX_BODY = 32 * 2**20  # bytes
PAGE = Path(__file__).parent / "web"
_LONGEST_MESSAGE = 1000


def listen(port: int, host: str = HOST) -> socket.socket:
    """A socket that listens, before any work is done.

    Args:
        port: 0 takes a free one.
        host: an IPv4 address of this machine, or a name of it; 0.0.0.0 for all of them.

    Raises:
        OSError: if the address is not this machine's, or the port is taken or out of range.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise OSError(
            f"Cannot listen on {host}:{port}: {error}; give another --port, or an IPv4 address of "
            "this machine as --host."
        ) from error
    return listener


def is_local(listener: socket.socket) -> bool:
    """Whether this machine alone can reach a socket."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def server_of(models: dict[str, ServedModel], hosts: tuple[str, ...] = LOCAL_NAMES):
    """A `uvicorn.Server` of the models; `run(sockets=[listen(port)])` serves until interrupted.

    Args:
        models: by name.
        hosts: names of the server that requests may use.

    Raises:
        ImportError: without one of the extra's libraries.
    """
    require_libraries()
    import uvicorn

    # uvicorn's own configuration of logging would close the handlers of all others.
    quiet = {"log_level": "warning", "log_config": None}
    config = uvicorn.Config(app_of(models, hosts), lifespan="off", ws="none", **quiet)
    return uvicorn.Server(config)


def require_libraries() -> None:
    """Raise an ImportError with what to install where a library of the server is missing."""
    try:
        import PIL  # noqa: F401
        import platformdirs  # noqa: F401
        import prometheus_client  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"The server needs {error.name}, which is not installed: pip install tfflows[serve]."
        ) from error


def app_of(models: dict[str, ServedModel], hosts: tuple[str, ...] = LOCAL_NAMES):
    """The Starlette application of models by name.

    One request is worked on at a time, which bounds the memory that all of them take.
    """
    import anyio
    from prometheus_client import CONTENT_TYPE_LATEST
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import FileResponse, PlainTextResponse, Response
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    one_at_a_time = anyio.CapacityLimiter(1)
    observer = Observer()

    def response(status, answer):
        return Response(json.dumps(answer), status, media_type="application/json")

    def subject_of(path):
        """The model that a path names, or all of them."""
        return _model_of(models, **path) if path else models

    def get(path, answer_of):
        async def endpoint(request):
            return response(200, answer_of(subject_of(request.path_params)))

        return Route(path, endpoint)

    async def worked_out(answer_of, subject, request, max_bytes):
        body = await _body_of(request, max_bytes)
        work = partial(answer_of, subject, body)
        return response(200, await anyio.to_thread.run_sync(work, limiter=one_at_a_time))

    def post(path, answer_of, max_bytes=MAX_BODY):
        async def endpoint(request):
            return await worked_out(answer_of, subject_of(request.path_params), request, max_bytes)

        return Route(path, endpoint, methods=["POST"])

    def call(path, answer_of):
        async def endpoint(request):
            with observer.call() as call:
                call.model = subject_of(request.path_params)
                return await worked_out(answer_of, call, request, MAX_BODY)

        return Route(path, endpoint, methods=["POST"])

    async def metrics(request):
        return PlainTextResponse(observer.text(), media_type=CONTENT_TYPE_LATEST)

    async def docs(request):
        return FileResponse(PAGE / "docs.html")

    async def refused(request, error):
        return response(error.status, {"error": str(error)[:_LONGEST_MESSAGE]})

    async def http_error(request, error):
        message = f"{request.method} {request.url.path}: {error.detail}."
        return response(error.status_code, {"error": message[:_LONGEST_MESSAGE]})

    def of_versions(route, prefix, suffix, answer_of):
        versions = "", "/versions/{version}"
        return [route(prefix + version + suffix, answer_of) for version in versions]

    v1_path, v2_path, page_path = "/v1/models/{name}", "/v2/models/{name}", "/page/models/{name}"
    routes = [
        get("/v1/models", rest.model_list),
        *of_versions(call, v1_path, ":predict", rest.predict),
        *of_versions(get, v1_path, "/metadata", rest.metadata),
        *of_versions(get, v1_path, "", rest.status),
        get("/v2", v2.server_metadata),
        get("/v2/health/live", v2.is_live),
        get("/v2/health/ready", v2.is_ready),
        post("/v2/repository/index", v2.repository_index),
        *of_versions(get, v2_path, "/ready", v2.is_model_ready),
        *of_versions(call, v2_path, "/infer", v2.infer),
        *of_versions(get, v2_path, "", v2.model_metadata),
        get(f"{page_path}/facts", page.facts),
        get(f"{page_path}/attributes", page.attributes),
        post(f"{page_path}/image", page.image, image_files.MAX_BYTES),
        post(f"{page_path}/table", page.table),
        Route("/metrics", metrics),
        Route("/docs", docs),
        Mount("/", StaticFiles(directory=PAGE, html=True)),
    ]
    # No other site's page can reach a local server under a name of its own.
    middleware = Middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    handlers = {HTTPException: http_error, RequestError: refused}
    return Starlette(routes=routes, middleware=[middleware], exception_handlers=handlers)


def _model_of(models, name, version=None):
    """The model of a path.

    Raises:
        RequestError: where there is no such model or version.
    """
    if name not in models:
        raise RequestError(f"There is no model {name!r}: this server has {', '.join(models)}.", 404)
    model = models[name]
    if version not in (None, model.version):
        raise RequestError(
            f"There is no version {version!r} of {name}: this server has {model.version}.", 404
        )
    return model


async def _body_of(request, max_bytes):
    """The whole body of a request.

    Raises:
        RequestError: for one that is too long or does not end.
    """
    from starlette.requests import ClientDisconnect

    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                message = f"The request's body has more than the {max_bytes:,} bytes allowed."
                raise RequestError(message, 413)
    except ClientDisconnect as error:
        raise RequestError("The request was not sent to its end.") from error
    return bytes(body)


def serve(models: dict[str, ServedModel], listener: socket.socket) -> None:
    """Serve models by name until the process is interrupted.

    A socket that others can reach answers to whatever name they have for it. Requests to the models
    are logged on standard error.
    """
    log_to_stderr()
    hosts = LOCAL_NAMES if is_local(listener) else ("*",)
    with contextlib.suppress(KeyboardInterrupt):
        server_of(models, hosts).run(sockets=[listener])
