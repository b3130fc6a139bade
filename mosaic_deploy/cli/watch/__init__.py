"""What `watch` and `dev` do between two saves. Begin reading in `loop` (when to run), then `run` (one deploy).

Beside them: errors as a watch shows them (`failures`, `failed_migration`), drafts of migrations (`drafting`,
`failed_draft`) and the browser (`live_reload`). May import `cli.target`, `cli.terminal`, `deploy` and below.
"""
