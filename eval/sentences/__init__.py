"""Measuring encoders on sentences: similarity, translation, paraphrase, probes, bitext mining."""
