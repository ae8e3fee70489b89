# What this package offers to the others; nothing else of it is imported from outside.
from .dispatch import Export, export_student

__all__ = ["Export", "export_student"]
