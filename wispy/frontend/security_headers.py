"""The headers of every HTTP answer that tell a browser what it may do with it.

Rules:
- Made once per process: a handler only names what kind of answer it gives.
- What is no page is told to be none: should a browser ever show it as one, it could do nothing.
- What was uploaded has a policy of its own, which no setting weakens (`static`).
"""

from typing import Final, Literal

from wispy.config.schema import HeadersConfig

Kind = Literal["data", "page", "console", "landing"]
"""What is answered: JSON and plain text, a file of a static folder, a file of the console, the landing page."""

DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"

Headers = dict[Kind, tuple[tuple[str, str], ...]]


def headers_of(config: HeadersConfig, landing_policy: str) -> Headers:
    """The headers of each kind of answer.

    Args:
        config: of it.
        landing_policy: Content-Security-Policy of the landing page.
    """
    policies: dict[Kind, str | None] = {
        "data": DATA_POLICY,
        "page": config.policy,
        "console": config.console_policy,
        "landing": landing_policy,
    }
    common = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": config.referrer_policy, **config.more}
    return {
        kind: (*common.items(), *([("Content-Security-Policy", policy)] if policy else ()))
        for kind, policy in policies.items()
    }
