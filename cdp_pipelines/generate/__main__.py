"""`python -m cdp_pipelines.generate [--check]`."""

import sys

from cdp_pipelines.generate import main
from cdp_pipelines.mapping import MappingError

try:
    sys.exit(main("--check" in sys.argv[1:]))
except MappingError as error:
    sys.exit(str(error))
