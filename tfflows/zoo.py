"""The zoo under this package's own name: `from tfflows import zoo`."""

import sys

import zoo

sys.modules[__name__] = zoo
