"""Teaches a small semantic network what larger ones agree on: no labels by hand."""
