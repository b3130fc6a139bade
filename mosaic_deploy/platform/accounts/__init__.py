"""Accounts and API keys: authentication, rotation and expiry.

May import `http`, `machine` and `postgres`. Begin with `accounts`; `local_key` is the embedded platform's own key.
"""
