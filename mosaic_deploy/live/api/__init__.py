"""The HTTP client: one table of operations, retries, error mapping, rate limits.

May import `sql`, `model` and `errors`, but nothing else of `live`. Begin with `endpoints.py`, then `client.py`.
"""
