"""The dashboard's pages for a project's database: its tables, their structure, and their rows.

Everything is read and changed as the project's role. `queries`, `values` and `addresses` are pure; `changes` decides what
a change may do, by the same rules as the command `sql`. May import what the dashboard may. Begin with `table_pages`.
"""
