"""What the experiments share."""

import pathlib
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.append(str(TOP / "tests" / "lib"))  # raw sockets, frames, servers
