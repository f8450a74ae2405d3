"""The zoo under this package's own name: `from tfflows import zoo`."""

import sys
from typing import TYPE_CHECKING

import zoo

if TYPE_CHECKING:
    from zoo import *  # noqa: F403

sys.modules[__name__] = zoo
