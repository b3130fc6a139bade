"""`storage put`, `get` and `rm`: changes storage files that no manifest deploys, and downloads any.

May import `applying` and what that may. What these commands change is a plan, with the same approvals and policy as that of
an apply, but it needs no lock and writes nothing to the tracking tables: a file that was put by hand is nobody's, so no
apply prunes it. Files of a manifest are refused. Begin with `stored.py`.
"""
