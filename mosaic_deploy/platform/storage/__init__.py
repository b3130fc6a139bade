"""Storage: upload URLs, uploads, the object store, and the records of which object holds which file.

May import `projects` and what `projects` may. Begin with `storage.py`; `orphans.py` explains crash safety.
"""
