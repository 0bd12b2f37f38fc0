"""`python -m wispy.reload PLAN`: the watcher; what `autoreload` turns a program into (see `watcher`)."""

import sys

import msgspec

from wispy.errors import StartError
from wispy.reload.watcher import Plan, Watcher
from wispy.surroundings import outlive_readers


def main() -> int:
    """Watch as the plan says."""
    try:
        plan = msgspec.json.decode(sys.argv[1], type=Plan)
    except (IndexError, msgspec.MsgspecError):
        sys.stderr.write("this is the inside of wispy: use `wispy serve --autoreload`\n")
        return 2
    outlive_readers()
    try:
        return Watcher(plan).run()
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
