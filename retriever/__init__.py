"""Asks each side of an index, fuses their answers and explains them."""
