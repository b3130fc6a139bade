"""Reads mosaic.yaml and .env into a Manifest, or reports every mistake with its line and column.

Start with `read`. The steps: `find` the file, `text` decodes it, `yaml_tree` parses it, `interpolation` replaces
variables, `schema_check` validates, `values` builds the model. May import `mosaic_deploy.errors` and `model`.
"""
