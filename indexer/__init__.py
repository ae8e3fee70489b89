"""Documents to passages to vectors and postings to one index folder; the shared types."""
