"""The dashboard's tabs Site and Storage: a project's files, and what the tracking tables say of them.

May import what the dashboard's pages for one project may. Begin with `site` and `storage`.
"""
