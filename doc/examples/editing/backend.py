"""An editor needs no backend but for its page and its packages: NODE names the
folder in which `npm install yjs` has been run."""

import sys

sys.path.insert(0, sys.path[0] + "/..")
from serve import run  # noqa: E402

run()
