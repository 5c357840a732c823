import numpy as np
import pytest

from lmlib.scaling import ScalingLaw, fit_scaling_law, rank_correlation

LAW = ScalingLaw(E=2.0, A=30.0, B=400.0, alpha=0.3, beta=0.4)
N, D = (x.ravel() for x in np.meshgrid([1e5, 4e5, 2e6], [1e5, 5e5, 2e6]))


def test_a_law_is_found_again():
    found = fit_scaling_law(N, D, LAW(N, D))
    for name, value in vars(LAW).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-6)


def test_no_term_is_negative():
    law = ScalingLaw(E=0.0, A=30.0, B=400.0, alpha=0.3, beta=0.4)
    found = fit_scaling_law(N, D, law(N, D) * np.linspace(0.99, 1.01, 9))
    assert min(vars(found).values()) >= 0


def test_the_optimum_is_the_least_of_its_budget():
    n, d = LAW.compute_optimal(1e18)
    assert 6 * n * d == pytest.approx(1e18)
    others = n * np.geomspace(0.5, 2, 100)
    assert LAW(n, d) <= LAW(others, 1e18 / (6 * others)).min()


def test_the_published_law_of_chinchilla():
    # Hoffmann et al. (2022), appendix D.3; Chinchilla's own budget.
    law = ScalingLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
    n, d = law.compute_optimal(5.76e23)
    assert d / n == pytest.approx(93, abs=1)


def test_equal_values_share_the_mean_of_their_places():
    x, y = np.array([1.0, 3.0, 3.0, 9.0]), np.array([5.0, 1.0, 8.0, 8.0])
    # Ranks 1, 2.5, 2.5, 4 and 2, 1, 3.5, 3.5, each less its mean of 2.5.
    assert rank_correlation(x, y) == pytest.approx(2.25 / 4.5)
    assert rank_correlation(x, -x) == pytest.approx(-1)


def test_what_cannot_be_fitted_or_ordered():
    with pytest.raises(ValueError, match="five runs"):
        fit_scaling_law(N[:4], D[:4], LAW(N, D)[:4])
    with pytest.raises(ValueError, match="positive"):
        fit_scaling_law(N, D, -LAW(N, D))
    with pytest.raises(ValueError, match="positive"):
        ScalingLaw(1.0, 1.0, 0.0, 0.5, 0.5).compute_optimal(1e9)
    with pytest.raises(ValueError, match="equal"):
        rank_correlation(np.ones(3), np.arange(3.0))
    with pytest.raises(ValueError, match="two values"):
        rank_correlation(np.ones(1), np.ones(1))
