"""Readers of name lists: one module per format."""
