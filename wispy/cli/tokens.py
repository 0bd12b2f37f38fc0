"""`wispy token`: makes a token, which is shown once, and the entry for it, which holds only its hash."""

import argparse
import hashlib
import json
import secrets
import sys
from typing import Final

TOKEN_BYTES: Final = 32
"""256 random bits: nobody guesses them, so that a plain SHA-256 of them may lie in a file."""


def token(arguments: argparse.Namespace) -> int:
    """`wispy token USER [--role ROLE]...`."""
    made = secrets.token_urlsafe(TOKEN_BYTES)
    digest = hashlib.sha256(made.encode()).hexdigest()
    # JSON strings are YAML's, too: no name can become more than a name.
    roles = ", ".join(map(json.dumps, arguments.roles))
    sys.stdout.write(f"{json.dumps(arguments.name)}:\n  sha256: [{digest}]\n  roles: [{roles}]\n")
    sys.stdout.flush()
    sys.stderr.write(f"the token of {arguments.name}, which is shown only now:\n{made}\n")
    return 0
