"""Desired and live compared, purely: two snapshots in, a plan out."""
