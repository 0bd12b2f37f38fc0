"""Writes the reference pages, and other files, that are made from the code: `make docs`."""

from pathlib import Path

from scripts import redis_acl
from wispy import limits, metrics
from wispy.cli import reference
from wispy.config import show
from wispy.protocol import errors

PAGES = {
    "deploy/redis/users.acl": redis_acl.users,
    "k8s/overlays/demo/users.acl": redis_acl.demo_users,
    "docs/reference/commands.md": reference.reference,
    "docs/reference/configuration.md": show.reference,
    "docs/reference/errors.md": errors.reference,
    "docs/reference/limits.md": limits.reference,
    "docs/reference/metrics.md": metrics.reference,
}


def main() -> None:
    """Write each page under the repository's root."""
    root = Path(__file__).parent.parent
    for name, make in PAGES.items():
        page = root / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(make(), encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
