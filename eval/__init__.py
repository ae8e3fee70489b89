"""Relevance, bitext mining, similarity and speed, measured through the index that serves."""
