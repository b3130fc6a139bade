"""Sign-in for the users of projects: magic links, the emails that carry them, and the local inbox.

May import `http`, `postgres` and `projects`. Begin with `magic_link`.
"""
