"""Options become settings, and help says defaults."""

import argparse

from lmlib.commands import options
from lmlib.training.settings import Settings


def test_options_become_settings():
    parser = argparse.ArgumentParser(formatter_class=options.Teaching)
    options.add_training(parser, steps=100, lr=0.5, batch=8, every=10)
    given = parser.parse_args(["--optimizer", "muon", "--seed", "3", "--patience", "2"])
    assert options.settings_of(given) == Settings(
        steps=100,
        lr=0.5,
        optimizer="muon",
        warmup=5,
        validate_every=10,
        patience=2,
        seed=3,
    )
    said = parser.format_help()
    assert "(default: 100)" in said
    assert "None" not in said
