"""A student's process, an examiner's process, and what passes between them."""
