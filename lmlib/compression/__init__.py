"""A language model is a compressor (chapter 5): from predictions to a file and back."""
