"""`wispy token`: makes a token, which is shown once, and the entry for it, which holds only its hash."""

import argparse
import json
import secrets
import sys
from typing import Final

from wispy.cli.outcome import CommandError
from wispy.frontend.auth.verifying import MAX_NAME, MAX_ROLES, digest_of, grant_of

TOKEN_BYTES: Final = 32
"""256 random bits: nobody guesses them, so that a plain SHA-256 of them may lie in a file."""


def token(arguments: argparse.Namespace) -> int:
    """`wispy token USER [--role ROLE]...`.

    Raises:
        CommandError: a server would not take the entry.
    """
    if grant_of(arguments.name, arguments.roles) is None:
        raise CommandError(
            f"USER and each ROLE must be a text of 1 to {MAX_NAME} characters, and a user has at most {MAX_ROLES} roles"
        )
    made = secrets.token_urlsafe(TOKEN_BYTES)
    # JSON strings are YAML's, too: no name can become more than a name.
    roles = ", ".join(map(json.dumps, arguments.roles))
    sys.stdout.write(f"{json.dumps(arguments.name)}:\n  sha256: [{digest_of(made)}]\n  roles: [{roles}]\n")
    sys.stdout.flush()
    sys.stderr.write(f"the token of {arguments.name}, which is shown only now:\n{made}\n")
    return 0
