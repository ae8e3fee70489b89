"""What students are trained on: parallel corpora, plain sentences, batches; evaluation texts left out."""
