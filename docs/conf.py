"""How the site is built, from the repository's root: `python -m sphinx -W -c docs . build/site`.

Pages are the Markdown files that a checkout has anyway, whose links hold in both places, and one
for each public name, from its docstring. Sphinx with MyST was taken for its maintenance: it had
releases in the last year, where the newest of MkDocs, 1.6.1, is of 2024.
"""

import importlib
import inspect
import re
from pathlib import Path

import tfflows

ROOT = Path(__file__).parent.parent
API = ROOT / "docs" / "api"

project = "tfflows"
author = "The tfflows developers"
copyright = author
release = tfflows.__version__
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "benchmarks/*.md",
    "examples/**/README.md",
    "zoo/models/*/card.md",
    *("CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"),
]
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
html_theme = "furo"
html_title = "tfflows"
html_static_path = []
myst_heading_anchors = 3
# What Markdown puts into backticks is code in docstrings, too.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_inherit_docstrings = False  # those of Keras and TFP
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Source", "Source"), ("Args of both directions", "params_style")]

PACKAGES = {
    "tfflows": "Flows",
    "tfflows.layers": "Layers",
    "tfflows.transformers": "Transformers",
    "tfflows.networks": "Networks",
    "tfflows.distributions": "Distributions",
    "tfflows.ode": "Solvers",
    "tfflows.bijectors": "Bijectors",
    "tfflows.training": "Training",
    "tfflows.model.losses": "Losses, as tfflows.training.losses",
    "tfflows.evaluate": "Evaluation",
    "tfflows.inference": "Inference",
    "tfflows.vae": "Autoencoders",
    "tfflows.data": "Data",
    "tfflows.data.toy": "Densities in the plane",
    "tfflows.data.targets": "Targets whose integrals are known",
    "tfflows.data.simulators": "Simulators whose posteriors are known",
    "tfflows.edit": "Edits",
    "tfflows.plots": "Pictures",
    "tfflows.auditing": "Audits",
    "tfflows.export": "Exports",
    "tfflows.random": "Random numbers",
    "zoo": "The zoo",
}


def public(package):
    """Names and things of a package that have a page: its classes and functions."""
    module = importlib.import_module(package)
    names = getattr(module, "__all__", None) or [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    ]
    if package == "tfflows":
        # Its modules have pages of their own, as VAE has in its one.
        names = [name for name in names if name[0].isupper() and name != "VAE"]
    things = {name: getattr(module, name) for name in names}
    return {
        name: thing
        for name, thing in things.items()
        if inspect.isclass(thing) or inspect.isfunction(thing)
    }


def first_line(thing):
    """A docstring's first sentence, or lines up to an empty one."""
    return " ".join(" ".join(escaped([inspect.getdoc(thing).split("\n\n")[0]])).split())


def page(package, name, thing):
    """The page of a class or a function."""
    title = f"{package}.{name}"
    if inspect.isfunction(thing):
        return f"{title}\n{'=' * len(title)}\n\n.. autofunction:: {title}\n"
    # Keras hides the constructor's arguments from Sphinx.
    found = inspect.signature(thing.__init__)
    arguments = [p.replace(annotation=inspect.Parameter.empty) for p in found.parameters.values()]
    signature = inspect.Signature(arguments[1:])
    return f"{title}\n{'=' * len(title)}\n\n.. autoclass:: {title}{signature}\n   :members:\n"


def write_pages(app):
    """The pages of `docs/api/`, which are made anew and are in no commit."""
    index = ["API", "===", ""]
    for package, title in PACKAGES.items():
        folder = API / package
        folder.mkdir(parents=True, exist_ok=True)
        things = public(package)
        module = importlib.import_module(package)
        lines = [title, "=" * len(title), "", f"``{package}``: {first_line(module)}", ""]
        for name, thing in things.items():
            lines += [f":doc:`{package}.{name} <{package}/{name}>`", f"    {first_line(thing)}", ""]
            write(folder / f"{name}.rst", page(package, name, thing))
        lines += [".. toctree::", "   :hidden:", ""]
        lines += [f"   {package}/{name}" for name in things]
        write(API / f"{package}.rst", "\n".join([*lines, ""]))
    index += [".. toctree::", "   :maxdepth: 1", "", *(f"   {package}" for package in PACKAGES), ""]
    write(API / "index.rst", "\n".join(index))


def write(path, text):
    """A file, if it would change."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


SECTION = re.compile(r"(Args|Args of both directions|Attributes|Example|Raises|Returns|Source):$")
BULLET = re.compile(r"\s*([-*]|\d+\.) ")
CODE = re.compile(r"(`[^`]*`)")


def as_rst(app, what, name, thing, options, lines):
    """Docstrings as reStructuredText: their formulas are indented, and all but `code` is plain."""
    result, block, section = [], False, None
    for plain, line in zip(lines, escaped(lines), strict=True):
        indented = line.startswith("    ")
        if SECTION.match(line):
            section = line
        elif line and not indented:
            section, block = None, False
        starts = indented and not section and not block and result and not result[-1]
        if starts and not BULLET.match(paragraph(result)):
            result += ["::", ""]
            block = True
        result.append(plain if block or section == "Example:" else line)
    lines[:] = result


def escaped(lines):
    """Lines without what reStructuredText would take for marks, outside of `code`."""
    parts = CODE.split("\n".join(line.rstrip() for line in lines))
    parts[::2] = [re.sub(r"([*|_])", r"\\\1", part) for part in parts[::2]]
    # What follows on code directly, as an s does.
    parts[2::2] = [re.sub(r"^(?=\w)", r"\\ ", part) for part in parts[2::2]]
    # A single letter and a full stop would begin a list.
    return re.sub(r": ([A-Za-z])\.$", r": \\\1.", "".join(parts), flags=re.MULTILINE).split("\n")


def paragraph(lines):
    """The first line of the last paragraph."""
    text = [line for line in lines if line or not lines[-1]]
    return next((line for line in reversed(text) if line and not line.startswith(" ")), "")


def skip(app, what, name, thing, is_skipped, options):
    """Whether to leave out a member: those that Keras and TFP document."""
    module = getattr(inspect.unwrap(thing), "__module__", None) or ""
    return is_skipped or (callable(thing) and not module.startswith(("tfflows", "zoo")))


def setup(app):
    """Sphinx's hooks."""
    app.connect("autodoc-skip-member", skip)
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", as_rst, priority=400)  # before napoleon
