"""The zoo by a name that no other project's package has: `from tfflows import zoo`."""

import sys

import zoo

sys.modules[__name__] = zoo
