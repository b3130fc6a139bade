"""The HTTP client: one table of operations, retries, error mapping, rate limits.

May import `sql`, `model` and `errors`, but nothing else of `live`. Begin with `endpoints.py`, then `client.py`.
"""

import sys

# httpx imports its own command line, with rich and pygments, wherever these are installed. None means not installed.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
