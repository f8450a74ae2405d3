"""The verb of the command line that serves flows to this machine."""

from __future__ import annotations

import sys
from pathlib import Path

from tfflows.cli.quiet import import_tensorflow

_WARNING = (
    "Anyone who can reach {host} can use these models, and keep this machine busy: there is no "
    "authentication and no encryption. Put a proxy in front that has both, or leave --host out."
)


def add_verb(command) -> None:
    """Add the verb to a parser; `command(name, run, summary)` adds one and returns its parser."""
    sub = command("serve", _serve, "Serve flows to this machine, with a web page to look at them.")
    help_text = "zoo entry, path of a saved .keras flow, or folder that `tfflows export` wrote"
    sub.add_argument("names", metavar="name", nargs="+", help=help_text)
    help_text = "0 for any that is free (default 8501, as TensorFlow Serving's)"
    sub.add_argument("--port", type=int, default=8501, help=help_text)
    help_text = "IPv4 address to listen on, 0.0.0.0 for all (default 127.0.0.1, this machine alone)"
    sub.add_argument("--host", default="127.0.0.1", help=help_text)


def _serve(arguments):
    import_tensorflow()
    import absl.logging

    from tfflows.serving import app
    from tfflows.serving.model import load_models

    # TensorFlow warns of gradients, which are not served, once for each function that it loads.
    absl.logging.set_verbosity(absl.logging.ERROR)
    app.require_libraries()
    with app.listen(arguments.port, arguments.host) as listener:
        host, port = listener.getsockname()
        if not app.is_local(listener):
            print(f"tfflows: warning: {_WARNING.format(host=f'{host}:{port}')}", file=sys.stderr)
        models = load_models([_folder_of(name) for name in arguments.names])
        print(f"{', '.join(models)} at http://{host}:{port}/ (Ctrl+C ends it)", flush=True)
        app.serve(models, listener)


def _folder_of(name):
    from tfflows.cli.export_cache import cached_export

    return Path(name) if Path(name).is_dir() else cached_export(name)
