"""Exercises, and what checks and grades them."""
