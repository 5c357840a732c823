"""The commands of `lmlib`, a module each; `lmlib.cli` only routes.

A module has `add`, which describes its arguments, and a function that does the work and
imports what it needs: `lmlib --help` waits for no library.
"""
