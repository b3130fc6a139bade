"""The web application: routes, authentication, error responses, metrics, and the server that runs it.

May import every room except `daemon` and `cluster`, which start it. Begin with `routes.py`.
"""
