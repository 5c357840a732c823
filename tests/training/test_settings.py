"""Settings say what is wrong with them."""

import pytest

from lmlib.training.settings import Settings


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"warmup": -1}, "warmup must not be negative"),
        ({"optimizer": "sgd"}, "optimizer must be one of adamw, muon, got 'sgd'"),
    ],
)
def test_settings_are_checked(no_runtime_types, change, words):
    with pytest.raises(ValueError, match=words):
        Settings(**{"steps": 1} | change)
