"""The guard: what a step did to rows and objects that existed before the run, measured in the step's own transaction.

PostgreSQL counts the rows that a transaction deletes and updates, whichever way the SQL goes: triggers, cascades, functions,
dynamic SQL. So consent doesn't depend on what can be read in a text.
"""
