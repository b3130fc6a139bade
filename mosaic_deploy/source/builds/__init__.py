"""What a build reads, and whether its output is what it would make now. Begin reading in `state`.

`inputs` finds the files, `digests` hashes them, `record` keeps what the last build was made from. Runs no program. May import
`source.files`, `source.manifest` and below.
"""
