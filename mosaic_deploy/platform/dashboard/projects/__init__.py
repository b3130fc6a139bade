"""The dashboard's pages for one project, except its database.

May import `dashboard.layout` and what the dashboard may. Begin with `pages`.
"""
