"""Distillation and contrastive training of students, and their export."""
