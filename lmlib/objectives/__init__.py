"""Pre-training objectives: text in, batches out, each with its loss (section 3.2)."""
