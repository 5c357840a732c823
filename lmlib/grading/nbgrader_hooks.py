"""What this course adds to nbgrader; see nbgrader_config.py."""

from typing import Any

from nbgrader import utils
from nbgrader.preprocessors import Execute


class ExecuteForStudent(Execute):  # type: ignore[misc]  # nbgrader is untyped
    """Run a submission with the student's name in LMLIB_STUDENT, for hidden inputs."""

    def preprocess(self, nb: Any, resources: Any, km: Any = None) -> Any:
        with utils.setenv(LMLIB_STUDENT=resources["nbgrader"]["student"]):
            return super().preprocess(nb, resources, km)
