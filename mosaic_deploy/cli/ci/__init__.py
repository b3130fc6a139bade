"""`mosaic-deploy ci`: plan and apply as a pipeline's steps, told to whoever reads its pages."""
