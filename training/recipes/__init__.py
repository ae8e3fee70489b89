"""The recipes of tandem train: what is optimised, and what a run leaves behind."""
