"""Texts to vectors: the encoders that Tandem can open."""
