"""The searches over one index folder: by meaning (FAISS) and by words (tantivy, rank_bm25)."""
