"""The code of README.md, of the guides and of the tutorials runs, with one epoch of training."""

import linecache
import re
from pathlib import Path

import pytest
import tensorflow as tf

from tfflows.model.checked_steps import CheckedSteps

ROOT = Path(__file__).parent.parent
FOLDERS = [ROOT / "docs" / name for name in ("guides", "tutorials")]
PAGES = ["README.md", *(str(p.relative_to(ROOT)) for f in FOLDERS for p in sorted(f.glob("*.md")))]
BLOCK = re.compile(r"^```python(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What is not run is fenced as `python no-run`: it needs data or objects that are not at hand.
NO_RUN = "no-run"


def blocks_of(page):
    found = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [code for words, code in found if NO_RUN not in words]


def with_code():
    return [page for page in PAGES if blocks_of(page)]


@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.parametrize("page", with_code())
def test_code_runs(page, tmp_path, monkeypatch, two_replicas):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: two_replicas)
    fit = CheckedSteps.fit
    one_epoch = lambda model, *args, epochs=1, **kwargs: fit(model, *args, **kwargs)  # noqa: E731
    monkeypatch.setattr(CheckedSteps, "fit", one_epoch)
    code = "\n".join(blocks_of(page))
    # AutoGraph and tracebacks find its lines under this name.
    name = f"<{page}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    exec(compile(code, name, "exec"), {"__name__": "__main__"})


def test_pages_have_code():
    assert {"README.md", "docs/guides/training.md", "docs/guides/inference.md"} <= {*with_code()}


def test_links_of_pages_hold():
    for page in PAGES:
        text = BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}."
