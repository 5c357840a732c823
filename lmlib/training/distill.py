"""Distillation: a small model learns from what a large one thinks (section 2.2).

A label says which answer is right; a teacher's probabilities say how wrong each other
one is. A student learns from those, at a temperature that brings the small ones out,
and may also be led along the teacher's hidden states and attention maps. It starts from
some of the teacher's layers.

Sources: Hinton et al. (2015), "Distilling the Knowledge in a Neural Network"; Sanh et
al. (2019), "DistilBERT", for the start and the cosine; Jiao et al. (2020), "TinyBERT",
for hidden states and attention of mapped layers.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmlib.losses import IGNORE, cross_entropy, kl_divergence
from lmlib.models.bert import Bert
from lmlib.models.gpt import GPT
from lmlib.models.heads import SequenceHead
from lmlib.models.pangu import PanGu
from lmlib.objectives.objective import INPUTS, Batch, Objective
from lmlib.objectives.sequences import real_tokens
from lmlib.training.pretrain import WithHeads
from lmlib.transformer import Output

Teacher = TypeVar("Teacher", Bert, GPT, WithHeads)

PARTS = ("labels", "soft", "hidden", "cosine", "attention")


# -- The losses, each a sum -----------------------------------------------------------


def hidden_loss(
    student: Float[Tensor, "batch length d_student"],
    teacher: Float[Tensor, "batch length d_teacher"],
    real: Bool[Tensor, "batch length"],
    project: nn.Module | None = None,
) -> Float[Tensor, ""]:
    """Σ over real positions of the mean square of project(student) − teacher.

    TinyBERT, eq. 8; `project` brings the student's vectors to the teacher's size.
    """
    student = student[real] if project is None else project(student[real])
    return (student - teacher[real]).square().mean(dim=-1).sum()


def cosine_loss(
    student: Float[Tensor, "batch length d_student"],
    teacher: Float[Tensor, "batch length d_teacher"],
    real: Bool[Tensor, "batch length"],
    project: nn.Module | None = None,
) -> Float[Tensor, ""]:
    """Σ over real positions of 1 − cos(project(student), teacher): DistilBERT."""
    student = student[real] if project is None else project(student[real])
    return (1 - F.cosine_similarity(student, teacher[real], dim=-1)).sum()


def attention_loss(
    student: Float[Tensor, "batch heads query key"],
    teacher: Float[Tensor, "batch heads query key"],
    real: Bool[Tensor, "batch query"],
) -> Float[Tensor, ""]:
    """Σ over real queries of KL(teacher ‖ student) of attention weights, mean of heads.

    What a masked key gets, 0 in both, costs nothing. TinyBERT compares scores before
    the softmax by their squares (eq. 7); of weights the divergence is the measure, as
    in MobileBERT (Sun et al. 2020) and MiniLM (Wang et al. 2020).

    Raises:
        ValueError: student and teacher have not the same number of heads.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            "attention maps are compared head by head: got shapes "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}"
        )
    tiny = torch.finfo(torch.float32).tiny
    log_s, log_t = (x.float().clamp(min=tiny).log() for x in (student, teacher))
    divergence = (teacher * (log_t - log_s)).sum(dim=-1)  # [batch, heads, query]
    return divergence.mean(dim=1)[real].sum()


def layer_map(n_student: int, n_teacher: int) -> list[tuple[int, int]]:
    """TinyBERT's uniform map: student's layer m learns from teacher's m·N/M.

    Pairs of indices into `Output.hidden_states`, the embeddings (0, 0) first.

    Raises:
        ValueError: N is not a multiple of M.
    """
    if n_student < 1 or n_teacher % n_student:
        raise ValueError(
            f"the teacher's layers must be a multiple of the student's, got "
            f"{n_teacher} and {n_student}: give the pairs yourself"
        )
    return [(m, m * n_teacher // n_student) for m in range(n_student + 1)]


# -- The objective --------------------------------------------------------------------


class Distillation:
    """What a student learns from the batches of another objective, and from a teacher.

    Parts, each a mean in the loop:

    - labels: cross-entropy with the batch's own targets, in nats;
    - soft: T²·KL(teacher ‖ student) at temperature T, at the same positions;
    - hidden: mean squares of mapped hidden states, over real positions and pairs;
    - cosine: of the last hidden states;
    - attention: divergence of mapped attention maps, over real queries and pairs.

    The teacher is set to evaluation mode, gets no gradient, and is no part of the model
    that the loop trains.

    Parameters:
        objective: gives the batches, with `targets` or `labels`.
        teacher: `backbone` and `heads[head]`, such as a `Bert` or a `WithHeads`.
        head: of teacher and student, for `labels` and `soft`.
        weights: of the parts in what is minimised; what is not named has no part.
        layers: pairs (student's, teacher's) of indices of hidden states, see
            `layer_map`; the attention that a layer makes belongs to its output.

    Raises:
        ValueError: a part or temperature that there is not; layers are missing.
    """

    def __init__(
        self,
        objective: Objective,
        teacher: nn.Module,
        *,
        head: str,
        weights: Mapping[str, float],
        temperature: float = 2.0,
        layers: Sequence[tuple[int, int]] = (),
    ) -> None:
        if not weights or set(weights) - set(PARTS) or min(weights.values()) <= 0:
            raise ValueError(
                f"weights must be positive, for parts among {', '.join(PARTS)}; got "
                f"{dict(weights)}"
            )
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        maps = [pair for pair in layers if min(pair) > 0]
        if ("hidden" in weights and not layers) or (
            "attention" in weights and not maps
        ):
            raise ValueError("hidden and attention need layers to compare: layer_map")
        self._objective, self._head, self.weights = objective, head, dict(weights)
        self._temperature, self._layers, self._maps = temperature, list(layers), maps
        self._teacher = teacher.requires_grad_(False).eval()

    def batch(self, step: int) -> Batch:
        return self._objective.batch(step)

    def counts(self, batch: Batch) -> dict[str, int]:
        """Targets; real positions; real positions times pairs of layers."""
        n_targets = _n_targets(batch)
        n_real = int(real_tokens(batch).sum())
        n = {
            "labels": n_targets,
            "soft": n_targets,
            "hidden": n_real * len(self._layers),
            "cosine": n_real,
            "attention": n_real * len(self._maps),
        }
        return {part: n[part] for part in self.weights}

    def losses(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        teacher = self._teacher
        _check_apart(model, teacher)
        teacher.to(batch["token_ids"].device).eval()
        everything = bool({"hidden", "attention"} & self.weights.keys())
        with torch.no_grad():
            theirs = _run(teacher, batch, everything)
        ours = _run(model, batch, everything)
        real = real_tokens(batch)
        project = dict(model.heads.items()).get("project")
        losses: dict[str, Tensor] = {}
        if {"labels", "soft"} & self.weights.keys():
            logits, wanted = _predict(model, self._head, ours, batch)
            losses["labels"] = cross_entropy(logits, wanted, reduction="sum")
            with torch.no_grad():
                taught, _ = _predict(teacher, self._head, theirs, batch)
            losses["soft"] = kl_divergence(
                logits, taught, temperature=self._temperature, reduction="sum"
            )
        if "cosine" in self.weights:
            losses["cosine"] = cosine_loss(ours.hidden, theirs.hidden, real, project)
        if ours.hidden_states and theirs.hidden_states and "hidden" in self.weights:
            pairs = [
                (ours.hidden_states[i], theirs.hidden_states[j])
                for i, j in self._layers
            ]
            hidden = [hidden_loss(s, t, real, project) for s, t in pairs]
            losses["hidden"] = torch.stack(hidden).sum()
        if ours.attentions and theirs.attentions and "attention" in self.weights:
            maps = [
                (ours.attentions[i - 1], theirs.attentions[j - 1])
                for i, j in self._maps
            ]
            attention = [attention_loss(s, t, real) for s, t in maps]
            losses["attention"] = torch.stack(attention).sum()
        return {part: losses[part] for part in self.weights}


def _check_apart(model: nn.Module, teacher: nn.Module) -> None:
    """A teacher that is the student, in whole or in part, agrees with it always."""
    held = {id(p) for p in teacher.parameters()}
    if any(id(p) in held for p in model.parameters()):
        raise ValueError(
            "student and teacher share parameters: the student would be compared with "
            "itself; copy them"
        )


def _n_targets(batch: Batch) -> int:
    if "targets" in batch:
        return int((batch["targets"] != IGNORE).sum())
    return len(batch["labels"])


def _run(model: Any, batch: Batch, everything: bool) -> Output:
    given = {name: batch[name] for name in INPUTS if name in batch}
    output: Output = model.backbone(batch["token_ids"], **given, return_all=everything)
    return output


def _predict(
    model: Any, name: str, output: Output, batch: Batch
) -> tuple[Float[Tensor, "n classes"], Int[Tensor, " n"]]:
    head = model.heads[name]
    if "targets" in batch:
        counted = batch["targets"] != IGNORE
        return head(output.hidden[counted]), batch["targets"][counted]
    if isinstance(head, SequenceHead):
        return head(output.hidden, batch.get("attention_mask")), batch["labels"]
    return head(output.hidden), batch["labels"]


# -- Students -------------------------------------------------------------------------


def spread(n_student: int, n_teacher: int) -> list[int]:
    """`n_student` of the layers 0 … n_teacher − 1, as evenly as can be, from the first.

    Half of them is every second one, as DistilBERT has it.

    Raises:
        ValueError: more layers than the teacher has, or none.
    """
    if not 1 <= n_student <= n_teacher:
        raise ValueError(f"a student has 1 … {n_teacher} layers, got {n_student}")
    return [m * n_teacher // n_student for m in range(n_student)]


def student_of(teacher: Teacher, layers: Sequence[int]) -> Teacher:
    """A copy of the teacher that has only these of its layers, and trains.

    Embeddings, norms and heads are copied as well.

    Raises:
        ValueError: layers that the teacher has not, or shares among each other.
    """
    config = teacher.backbone.config
    if config.n_blocks != config.n_layers or isinstance(teacher, PanGu):
        raise ValueError("layers must be blocks of their own, not shared, nor PanGu's")
    if not layers or not all(0 <= layer < config.n_layers for layer in layers):
        raise ValueError(f"layers must be among 0 … {config.n_layers - 1}: {layers}")
    student = copy.deepcopy(teacher).requires_grad_(True).train()
    backbone = student.backbone
    backbone.blocks = nn.ModuleList(backbone.blocks[layer] for layer in layers)
    backbone.config = replace(config, n_layers=len(layers), n_groups=None)
    if not isinstance(student, WithHeads):
        student.config = backbone.config
    return student


def with_projection(student: Teacher, d_teacher: int) -> WithHeads:
    """The student with a head "project", to vectors of the teacher's size.

    Modules are shared: to train this is to train `student`, which does not keep the
    projection.
    """
    project = nn.Linear(student.backbone.config.d_model, d_teacher)
    return WithHeads(student.backbone, {**student.heads, "project": project})
