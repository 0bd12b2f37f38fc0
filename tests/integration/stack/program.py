"""A program as the quickstart has it: no `__main__` guard, and `run` in the main thread. Argument: multiprocessed."""

import sys

from served import Sample

from wispy import RPCWebApp

RPCWebApp({"port": 0, "launch": "never", "multiprocessed": sys.argv[1] == "true"}, sample=Sample()).run()
print("run has returned")
