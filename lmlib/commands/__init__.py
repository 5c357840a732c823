"""The commands of `lmlib` that train and use models, a module each.

A module has `add`, which describes its arguments, and a function that does the work and
imports what it needs: `lmlib --help` waits for no library.
"""
