"""A wheel is built in a folder that goes away; all else is in pyproject.toml.

setuptools would leave build/ here, and pack what lies in it into the next wheel too: a
module that has been removed or renamed since.
"""

import tempfile

from setuptools import setup

with tempfile.TemporaryDirectory() as folder:
    setup(options={"build": {"build_base": folder}})
