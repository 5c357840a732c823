"""Records, the gradebook, and the pages that people read."""
