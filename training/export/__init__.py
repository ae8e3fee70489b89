"""Trained students as files: Tandem's formats, sentence-transformers folders, ONNX, model cards."""
