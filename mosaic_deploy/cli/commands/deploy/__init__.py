"""The commands that deploy: `validate`, `plan`, `apply`, `watch` and `dev`. Begin with `plan`."""
