"""Two browsers need no backend but for their page: penstock introduces them."""

import sys

sys.path.insert(0, sys.path[0] + "/..")
from serve import run  # noqa: E402

run()
