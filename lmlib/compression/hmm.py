"""Hidden states that learn themselves: the HMM and Baum–Welch (section 1.1).

A text is written by something that is in one of K states, which nobody sees. A state
emits a symbol, then moves on. Forward runs tell what comes next, and so the bits;
forward and backward together tell which state was likely where, and counting those
again makes the text more probable, always.
Source: Baum et al. (1970); the scaling, and the formulas as they are here, are in
Rabiner (1989), "A Tutorial on Hidden Markov Models", section V.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray


@dataclass
class HMM:
    """Probabilities: of the first state, of the next one, and of each state's symbol.

    Texts are rows of symbols 0 … V − 1, equally long, each begun in a state of
    `initial`. Row i of `transition` has the moves *from* i.
    """

    initial: Float64[ndarray, " K"]
    transition: Float64[ndarray, "K K"]
    emission: Float64[ndarray, "K V"]

    def forward(
        self, texts: Int64[ndarray, "texts n"]
    ) -> tuple[Float64[ndarray, "n texts K"], Float64[ndarray, "n texts"]]:
        """p(state | symbols up to here), and c, p(symbol | symbols before).

        From a symbol on that cannot be, c is 0, and so is what is known of the state.
        """
        n_texts, n = texts.shape
        states, c = np.empty((n, n_texts, len(self.initial))), np.empty((n, n_texts))
        expected = np.broadcast_to(self.initial, states[0].shape)
        for t in range(n):
            joint = expected * self.emission.T[texts[:, t]]
            c[t] = joint.sum(axis=1)
            # Divided at once: a product of thousands of probabilities would be 0.
            states[t] = joint / np.where(c[t] > 0, c[t], 1)[:, None]
            expected = states[t] @ self.transition
        return states, c

    def bits(self, texts: Int64[ndarray, "texts n"]) -> Float64[ndarray, " texts"]:
        """The code length of each text; that of one that cannot be is infinite."""
        with np.errstate(divide="ignore"):
            return -np.log2(self.forward(texts)[1]).sum(axis=0)

    def learn(self, texts: Int64[ndarray, "texts n"], pseudo: float = 0.01) -> "HMM":
        """One round of Baum and Welch: count the states that are likely, each as such.

        `pseudo` is added to each count, for what never occurred may still come.

        Raises:
            ValueError: a text cannot be, so that no state is likely.
        """
        states, c = self.forward(texts)
        if not c.all():
            raise ValueError("the model cannot have written these texts")
        moves, emitted = np.zeros_like(self.transition), np.zeros_like(self.emission).T
        later = np.ones_like(states[0])  # p(symbols after | state), over their c
        for t in reversed(range(texts.shape[1])):
            posterior = states[t] * later
            np.add.at(emitted, texts[:, t], posterior)
            ahead = later * self.emission.T[texts[:, t]] / c[t, :, None]
            if t:
                moves += states[t - 1].T @ ahead
            later = ahead @ self.transition.T
        moves *= self.transition
        return HMM(
            _shares(posterior.sum(axis=0) + pseudo),
            _shares(moves + pseudo),
            _shares(emitted.T + pseudo),
        )


def random_hmm(n_states: int, n_symbols: int, rng: np.random.Generator) -> HMM:
    """Nearly equal probabilities: where they are equal, all states stay alike."""

    def nearly(*shape: int) -> Float64[ndarray, "..."]:
        return _shares(rng.random(shape))

    return HMM(
        nearly(n_states), nearly(n_states, n_states), nearly(n_states, n_symbols)
    )


def _shares(counts: Float64[ndarray, "..."]) -> Float64[ndarray, "..."]:
    return counts / counts.sum(axis=-1, keepdims=True)
