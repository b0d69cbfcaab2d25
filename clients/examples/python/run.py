"""Runs the examples."""

import os
import sys
from collections.abc import Callable

from hangup import Hangup, HangupError


def run(
    usage: str,
    example: Callable[..., None],
    *,
    timeout: float = 10,
    max_attempts: int = 8,
    retry_delay: Callable[[int], float] | None = None,
) -> None:
    """Run an example with a client and the arguments of the command.

    `usage` has the name of the file and of each argument. If a request fails, print the error and exit with 1.
    """
    api_key = os.environ.get("HANGUP_API_KEY", "")
    args = sys.argv[1:]
    if len(args) != len(usage.split()) - 1 or not all([api_key, *args]):
        print(f"Usage: HANGUP_API_KEY=KEY python3 {usage}", file=sys.stderr)
        sys.exit(2)
    with Hangup(
        url=os.environ.get("HANGUP_URL", "http://127.0.0.1:8080"),
        api_key=api_key,
        timeout=timeout,
        max_attempts=max_attempts,
        retry_delay=retry_delay,
    ) as hangup:
        try:
            example(hangup, *args)
        except HangupError as error:
            sys.exit(error.message)
