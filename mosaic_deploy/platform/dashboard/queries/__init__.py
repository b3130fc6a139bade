"""The dashboard's SQL tab: queries, what they change, and how PostgreSQL runs them.

A query that changes more than it says runs twice: once to measure what it does, and is undone, then after a person has
agreed. The same rule as of `mosaic-deploy sql`, measured by PostgreSQL itself. Begin with `page`.
"""
