"""A chat needs no backend but for its page: penstock carries the rooms."""

import sys

sys.path.insert(0, sys.path[0] + "/..")
from serve import run  # noqa: E402

run()
