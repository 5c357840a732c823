"""What a wheel leaves behind and leaves out; all else is in pyproject.toml.

setuptools would leave build/ here, and pack what lies in it into the next wheel too: a
module that has been removed or renamed since. And students install the wheel: right
solutions, which the tests alone need, stay out of it.
"""

import tempfile

from setuptools import setup
from setuptools.command.build_py import build_py


class WithoutSolutions(build_py):
    def find_package_modules(self, package, package_dir):
        found = super().find_package_modules(package, package_dir)
        return [module for module in found if module[1] != "other_solutions"]


with tempfile.TemporaryDirectory() as folder:
    setup(
        cmdclass={"build_py": WithoutSolutions},
        options={"build": {"build_base": folder}},
    )
