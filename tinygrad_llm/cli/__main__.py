"""`python -m tinygrad_llm.cli`: the same as `tinygrad-llm`."""

import sys

from tinygrad_llm.cli import main

sys.exit(main())
