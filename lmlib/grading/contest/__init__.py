"""The compressor contest: what an entry weighs, how it is run, what that is worth."""
