"""`python -m tests.security.fuzz.run TARGET [libFuzzer's own arguments]`: fuzzes one target until libFuzzer ends it.

libFuzzer starts itself again to merge: by the program that `FUZZ_PROGRAM` in the environment names.
"""

import importlib
import os
import sys
from typing import Any

atheris: Any = importlib.import_module("atheris")  # it is there only after `make fuzz`

# What is imported within this block is measured: which branches an input takes decides whether it is kept.
with atheris.instrument_imports(include=["wispy"]):
    from tests.security.fuzz.targets import TARGETS


def main() -> None:
    _, name, *arguments = sys.argv
    atheris.Setup([os.environ.get("FUZZ_PROGRAM", sys.argv[0]), *arguments], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
