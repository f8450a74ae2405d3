"""The verb of the command line that serves a flow to this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tfflows.cli.arguments import export_of
from tfflows.cli.quiet import import_tensorflow


def add_verb(command) -> None:
    """Add the verb to a parser; `command(name, run, summary)` adds one and returns its parser."""
    sub = command("serve", _serve, "Serve a flow to this machine, with a web page to look at it.")
    help_text = "zoo entry, path of a saved .keras flow, or folder that `tfflows export` wrote"
    sub.add_argument("name", help=help_text)
    help_text = "0 for any that is free (default 8501, as TensorFlow Serving's)"
    sub.add_argument("--port", type=int, default=8501, help=help_text)


def _serve(arguments):
    import_tensorflow()
    import absl.logging

    from tfflows.serving import app

    # TensorFlow warns of gradients, which are not served, once for each function that it loads.
    absl.logging.set_verbosity(absl.logging.ERROR)
    app.require_libraries()
    with app.listen(arguments.port) as listener:
        model = _served_model(arguments.name)
        host, port = listener.getsockname()
        print(f"{model.name} at http://{host}:{port}/ (Ctrl+C ends it)", flush=True)
        app.serve(model, listener)


def _served_model(name):
    from tfflows.serving.model import ServedModel

    if Path(name).is_dir():
        return ServedModel(name)
    print(f"Exporting {name}, which may take a minute ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        return ServedModel(export_of(name, folder))
