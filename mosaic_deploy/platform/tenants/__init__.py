"""Keeps projects from taking what all share of the PostgreSQL server: locks, sessions, disk. PostgreSQL itself limits
none of these per account.
"""
