"""Disk → model: what the project folder says should be live. Reads only, and nothing outside the folder."""
