"""Reads the project folder: the desired state. Writes only new migrations, saved plans and the stat cache.

`manifest` reads mosaic.yaml, `migrations` SQL, `files` the site and storage; `snapshot` combines them: start there. May
import `mosaic_deploy.errors`, `model` and `sql`, and nothing that knows the API.
"""
