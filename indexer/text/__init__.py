"""What a text becomes: documents from files, languages, passages, words and stems."""
