"""The loop every recipe runs in: steps, evaluations, alarm, early stopping, checkpoints.

Why not the trainer of sentence-transformers: its checkpoints are written in place (a full disk spoils
the newest), hold pickles, and its runs go on after a kill from a data loader's position and random
states. Here a step is a function of the weights, the optimiser's state, the settings and its number
alone: its examples come from a plan made by the seed, and its dropout from the seed and the number.
So a run that was killed goes on from its last checkpoint to the very weights it would have had.
Losses and models are those of sentence-transformers where it has them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from configs.errors import ConfigError, TandemError
from configs.training import RunSettings
from training.data.batches import Rows
from training.run import checkpoints
from training.run.collapse_alarm import Collapse, Health, collapse
from training.run.device import pick_precision
from training.run.run_log import Journal

__all__ = ["Evaluation", "Outcome", "Progress", "Task", "silent", "train"]

LOG_EVERY = 50
"""Steps between two lines of the log."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the held-out texts say. `score` is the one figure that decides, higher is better."""

    score: float
    figures: Mapping[str, float]
    health: Health | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """What a recipe gives the loop."""

    module: nn.Module
    """Everything that is trained, on its device."""
    order: Rows
    """(steps, batch) rows of the examples, step by step."""
    loss: Callable[[Rows], Tensor]
    """The loss of one batch of rows, a scalar with a gradient."""
    evaluate: Callable[[], Evaluation] | None
    """Looks at the held-out texts; None where there are none: the last weights are then kept."""
    facts: Mapping[str, Any]
    """What must be the same for a run to be resumed: settings, and what the data came to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `first` is the evaluation before the first step."""

    steps: int
    best_step: int
    first: float | None
    best: float | None
    early: bool
    """Whether it stopped because the score no longer rose."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `left` is an estimate in seconds, None before there is one."""

    step: int
    steps: int
    loss: float
    score: float | None
    left: float | None
    message: str = ""
    """Something to tell at once, such as an evaluation; else empty."""


def silent(progress: Progress) -> None:
    """For a caller that does not want to be told."""


@dataclass(slots=True)
class _State:
    """Where the run stands: all that a checkpoint holds beside tensors."""

    step: int = 0
    best_step: int = -1
    best: float | None = None
    first: float | None = None
    stale: int = 0  # evaluations since the best
    loss_sum: float = 0.0  # since the last line of the log
    loss_count: int = 0
    done: bool = False
    early: bool = False
    scaler: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)  # Health of each evaluation
    facts: dict[str, Any] = field(default_factory=dict)


def train(
    task: Task, settings: RunSettings, folder: Path, tell: Callable[[Progress], None] = silent
) -> Outcome:
    """Train `task.module`, and leave the best weights in it.

    Goes on from the newest checkpoint under `folder` when there is one. Raises ConfigError when that
    is of a run with other settings, Collapse when the alarm says so, and TandemError when a loss is no
    number or a checkpoint cannot be written.
    """
    with torch.random.fork_rng():  # the caller's random numbers stay as they were
        run = _Run(task, settings, folder, tell)
        run.resume()
        run.go()
    return run.finish()


class _Run:
    """One run: what its parts share."""

    def __init__(
        self, task: Task, settings: RunSettings, folder: Path, tell: Callable[[Progress], None]
    ) -> None:
        self.task = task
        self.settings = settings
        self.folder = folder
        self.saved = folder / "checkpoints"
        self.tell = tell
        self.steps = len(task.order)
        self.device = next(task.module.parameters()).device
        self.precision = pick_precision(settings.precision, self.device)
        self.optimizers = _optimizers(task.module, settings)
        self.scaler = torch.amp.GradScaler("cuda", enabled=self.precision == torch.float16)
        self.state = _State(facts=json.loads(json.dumps(task.facts)))
        self.last_loss = math.nan

    def resume(self) -> None:
        """Take up the newest checkpoint, or look at the held-out texts before the first step."""
        found = checkpoints.newest(self.saved)
        self.journal = Journal.open(self.folder, found.step if found else 0)
        self.began, self.began_at = time.monotonic(), found.step if found else 0
        if found is None:
            self.evaluate()
            return
        _same_run(self.saved, found.state["facts"], self.state.facts)
        checkpoints.restore(found, self.task.module, self.optimizers)
        self.state = _State(**found.state)
        if self.state.scaler:
            self.scaler.load_state_dict(self.state.scaler)
        self.say(f"goes on from the checkpoint of step {found.step}")

    def go(self) -> None:
        state, settings = self.state, self.settings
        while state.step < self.steps and not state.done:
            self.step(self.task.order[state.step])
            state.step += 1
            last = state.step == self.steps
            if state.step % LOG_EVERY == 0 or last:
                self.log()
            if state.step % settings.evaluate_every == 0 or last:
                self.evaluate()
            state.done = last or state.early
            if state.step % settings.checkpoint_every == 0 or state.done:
                self.save()
            self.say()

    def step(self, rows: Rows) -> None:
        """One update of the weights."""
        state, settings = self.state, self.settings
        torch.manual_seed((settings.seed * 1_000_003 + state.step) % 2**63)
        rate = settings.learning_rate * _rate(settings, state.step, self.steps)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
        self.task.module.train()
        with self.autocast():
            loss = self.task.loss(rows)
        self.last_loss = loss.item()
        if not math.isfinite(self.last_loss):
            raise Collapse(
                f"the loss is {self.last_loss} at step {state.step + 1}; lower run.learning_rate "
                f"({settings.learning_rate}) or set run.precision to float32 ({self.kept()})"
            )
        torch.autograd.backward(self.scaler.scale(loss))
        if settings.clip:
            dense = self.optimizers[0]
            self.scaler.unscale_(dense)
            trained = [p for group in dense.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(trained, settings.clip)
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        state.loss_sum += self.last_loss
        state.loss_count += 1

    def log(self) -> None:
        state = self.state
        seconds = time.monotonic() - self.began
        pace = (state.step - self.began_at) * self.task.order.shape[1] / max(seconds, 1e-9)
        figures = {"loss": state.loss_sum / max(1, state.loss_count)}
        figures |= {
            "rate": self.settings.learning_rate * _rate(self.settings, state.step, self.steps)
        }
        self.journal.write(state.step, figures | {"seconds": seconds, "examples_per_second": pace})
        state.loss_sum, state.loss_count = 0.0, 0

    def evaluate(self) -> None:
        """Look at the held-out texts: keep the best weights, stop when it is time, sound the alarm."""
        if self.task.evaluate is None:
            return
        state = self.state
        self.task.module.train(False)
        with torch.no_grad(), self.autocast():
            now = self.task.evaluate()
        figures = {"score": now.score, **now.figures}
        if now.health is not None:
            state.history.append(dataclasses.asdict(now.health))
            figures |= {k: v for k, v in state.history[-1].items() if v is not None}
        self.journal.write(
            state.step, {f"held_out/{name}": value for name, value in figures.items()}
        )
        self.say(f"step {state.step}: " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items()))
        if state.first is None:
            state.first = now.score
        if state.best is None or now.score > state.best:
            checkpoints.save_best(self.saved, state.step, self.task.module)
            state.best, state.best_step, state.stale = now.score, state.step, 0
        else:
            state.stale += 1
        reason = collapse([Health(**entry) for entry in state.history], self.settings.alarm)
        if reason:
            raise Collapse(
                f"the student has collapsed at step {state.step}: {reason}; lower run.learning_rate "
                f"({self.settings.learning_rate}), look at the corpora, or set run.alarm.enabled to "
                f"false ({self.kept()})"
            )
        state.early = 0 < self.settings.patience <= state.stale

    def save(self) -> None:
        self.state.scaler = self.scaler.state_dict()
        state = dataclasses.asdict(self.state)
        checkpoints.save(self.saved, self.state.step, self.task.module, self.optimizers, state)

    def finish(self) -> Outcome:
        """Put the best weights in place, and say how it went."""
        state = self.state
        if state.best_step >= 0:
            best = self.saved / f"best-{state.best_step:08}" / "weights.safetensors"
            with torch.no_grad():
                checkpoints.put_back(self.task.module, best)
        self.task.module.train(False)
        self.journal.close()
        best_step = state.best_step if state.best_step >= 0 else state.step
        return Outcome(state.step, best_step, state.first, state.best, state.early)

    def say(self, message: str = "") -> None:
        done = self.state.step - self.began_at
        pace = (time.monotonic() - self.began) / done if done else None
        left = None if pace is None else pace * (self.steps - self.state.step)
        self.tell(
            Progress(self.state.step, self.steps, self.last_loss, self.state.best, left, message)
        )

    def kept(self) -> str:
        """What is left of the run when it ends badly."""
        found = checkpoints.newest(self.saved)
        return f"kept: {found.path.name} in {self.saved}" if found else "no checkpoint was due yet"

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """The forward pass in `precision`; float32 is left alone."""
        if self.precision == torch.float32:
            yield
        else:
            with torch.autocast(self.device.type, dtype=self.precision):
                yield


def _optimizers(module: nn.Module, settings: RunSettings) -> list[torch.optim.Optimizer]:
    """AdamW (Loshchilov and Hutter 2019) that decays matrices, and neither biases nor norms.

    With `embedding_rate`, the tables of token vectors get an Adam of their own that touches only the
    rows of a step: with 160,000 tokens the other one would spend its time on rows without a gradient.
    """
    tables: list[Tensor] = []
    if settings.embedding_rate:
        found = [m for m in module.modules() if isinstance(m, nn.Embedding)]
        largest = max(found, key=lambda table: table.num_embeddings, default=None)
        if largest is not None and largest.weight.requires_grad:
            largest.sparse = True
            tables = [largest.weight]
    trained = [
        p for p in module.parameters() if p.requires_grad and p is not next(iter(tables), None)
    ]
    if not trained:
        raise TandemError("the student has no weight that can be trained")
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW([{**g, "share": 1.0} for g in groups if g["params"]])
    ]
    if tables:
        share = settings.embedding_rate / settings.learning_rate
        optimizers.append(torch.optim.SparseAdam([{"params": tables, "share": share}]))
    return optimizers


def _rate(settings: RunSettings, step: int, steps: int) -> float:
    """The learning rate of `step` (from 0) as a share of the highest one."""
    rise = settings.warmup_steps or math.ceil(settings.warmup * steps)
    if step < rise:
        return (step + 1) / rise
    if settings.schedule == "constant":
        return 1.0
    past = (step - rise) / max(1, steps - rise)  # 0 at the top, 1 at the end
    if settings.schedule == "cosine":
        return (1 + math.cos(math.pi * min(1.0, past))) / 2
    return max(0.0, 1 - past)


def _same_run(folder: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuse to go on from a checkpoint of other settings or data, naming every difference."""
    different = [
        f"{name} was {there.get(name)!r} and is {here.get(name)!r}"
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name)
    ]
    if different:
        raise ConfigError(
            f"{folder} holds a run with other settings: {'; '.join(different)}; "
            "use the same ones to go on, or another --out to start anew"
        )
