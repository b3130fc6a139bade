"""The dashboard's tabs Site and Storage: a project's files.

May import what the dashboard's pages for one project may. Begin with `site` and `storage`.
"""
