"""`python -m tfflows.cli`."""

import sys

from tfflows.cli.main import main

sys.exit(main())
