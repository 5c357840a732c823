"""The mixer: its arithmetic by hand, and what it makes of texts."""

import bz2
import inspect
import lzma
import math

import pytest

from lmlib.compression import mixing
from lmlib.compression.coder import ONE
from lmlib.compression.mixing import Mixed, Mixer, Mixture, Refinement, squash, stretch
from lmlib.compression.predictors import Bits, KTBits, NGram, bits

pytestmark = pytest.mark.usefixtures("no_runtime_types")


def test_stretch_and_squash_undo_one_another():
    for p in range(64, ONE - 64, 97):
        assert stretch(p) == pytest.approx(256 * math.log(p / (ONE - p)), abs=40)
        # A cell of stretch has 16 of p, a step of squash up to 64.
        assert squash(stretch(p)) == pytest.approx(p, abs=8 + 32)
    assert squash(10**6) == ONE - 1 == ONE - squash(-(10**6))


def test_two_that_agree_are_surer_than_each():
    x = stretch(round(0.9 * ONE))
    mixer = Mixer(2, start=ONE)
    assert squash(mixer.mix((x, x), 0)) / ONE == pytest.approx(81 / 82, abs=0.001)


def test_weights_go_to_the_one_that_is_right():
    mixer, right, wrong = Mixer(2), 500, -500
    said = []
    for bit in [1, 0] * 300:
        x = right if bit else wrong
        said.append(abs(bit - squash(mixer.mix((x, -x), 0)) / ONE))
        mixer.update(bit)
    assert said[0] == pytest.approx(0.5, abs=0.01)
    assert said[-1] < 0.05
    assert squash(mixer.mix((right, wrong), 1)) == ONE // 2  # another set of weights


def test_what_is_too_sure_is_corrected():
    refinement = Refinement()
    x = stretch(round(0.95 * ONE))
    assert refinement.refine(x, 7) / ONE == pytest.approx(0.95, abs=0.01)
    for i in range(3000):
        refinement.refine(x, 7)
        refinement.update(int(i % 5 > 0))  # right four times in five
    assert refinement.refine(x, 7) / ONE == pytest.approx(0.8, abs=0.05)
    assert refinement.refine(x, 8) / ONE == pytest.approx(0.95, abs=0.01)


@pytest.fixture(scope="module")
def text():
    """Source code of the standard library: everybody has it."""
    return inspect.getsource(inspect).encode()[:8_000]


def test_shorter_than_what_everybody_uses(text):
    n = bits(Mixed(), text) / 8
    assert n < 0.85 * len(bz2.compress(text))
    assert n < 0.85 * len(lzma.compress(text))


def test_every_part_is_worth_its_lines(text):
    whole = bits(Mixed(), text)
    assert whole < bits(Mixed(words=False), text) - 0.002 * whole
    assert whole < bits(Mixed(match=False), text) - 0.002 * whole
    assert whole < bits(Mixed((1, 2)), text) - 0.02 * whole


def test_a_mixture_is_shorter_than_its_best_part(text):
    parts = [lambda: KTBits(2, 0.1), lambda: Bits(NGram(4))]
    alone = [bits(part(), text) for part in parts]
    assert bits(Mixture([part() for part in parts]), text) < 0.97 * min(alone)


def test_it_fits_on_a_page():
    lines = inspect.getsource(mixing.Mixed).splitlines()
    assert len([line for line in lines if line.strip()]) < 170
