"""What staleness costs each loss: one task, with fragments that wait so many iterations before they are trained on.

    python scripts/compare_losses.py --output docs/compare_losses.png          # an hour or more on two cores
    python scripts/compare_losses.py --iterations 3 --staleness 0 2 --seeds 1  # does it run?

Each run is the quick start's, but its fragments pass through a queue, as in a cluster with slow learners: the
policy that acted is `staleness` iterations older than the one that learns (arXiv 2110.00641 does so with its batches).
A run's rows go to a file of its own, and runs that are done are not run again.
"""

import dataclasses
import json
import math
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parents[1]))  # the scripts are no package
import ppo_vpt_online as ppo

# isort: split
import matplotlib
import numpy as np
import torch
import tyro
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

matplotlib.use("Agg")
import matplotlib.pyplot as plt


@dataclass
class Args:
    losses: tuple[Literal["decoupled", "behavior", "proximal"], ...] = ("decoupled", "behavior", "proximal")
    """what is compared"""
    staleness: tuple[int, ...] = (0, 2, 8)
    """iterations that fragments wait"""
    seeds: tuple[int, ...] = (1, 2)
    """of weights, worlds and actions"""
    iterations: int = 75
    """of each run; a run's score is the mean return of its last fifth"""
    learning_rate: float = ppo.Args.learning_rate
    """AdamW's; the higher, the further the policy moves while fragments wait"""
    epochs: int = ppo.Args.epochs_per_iteration
    """passes over an iteration's fragments"""
    runs: Path = Path("output/compare_losses")
    """folder of the runs' rows"""
    output: Path = Path("compare_losses.png")
    """the picture"""


class WaitingTrainer(ppo.Trainer):
    """A trainer whose fragments wait max_staleness iterations between the environments and the replay."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.waiting = deque()

    def collect(self) -> None:
        while len(self.waiting) <= self.args.max_staleness:  # at first the untrained policy fills the queue
            self.waiting.append((self.collector.collect(), self.learner.optimizer_steps))
        self.replay.add(*self.waiting.popleft())


def settings(args: Args, loss: str, staleness: int, seed: int) -> ppo.Args:
    return ppo.Args(
        seed=seed,
        loss=loss,
        max_staleness=staleness,
        num_iterations=args.iterations,
        learning_rate=args.learning_rate,
        epochs_per_iteration=args.epochs,
        record_video_interval=0,
    )


def train(run: ppo.Args, path: Path, progress: Progress, task) -> None:
    """One run -> its rows in `path`, there only when it is done."""
    assert run.num_envs == run.batch_size_per_gpu * run.batches_per_iteration  # a round is an iteration
    torch.manual_seed(run.seed)
    trainer = ppo.make_trainer(run, ppo.policy_generator(), path.parent, WaitingTrainer)
    rows = []
    for iteration in range(run.num_iterations):
        trainer.collect()
        metrics = {"charts/iteration": iteration + 1} | trainer.update() | trainer.statistics()
        rows.append({key: value if math.isfinite(value) else None for key, value in metrics.items()})
        progress.update(task, advance=1)
    trainer.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "args.json").write_text(json.dumps(dataclasses.asdict(run), indent=2))
    aside = path.with_suffix(".tmp")
    aside.write_text("".join(json.dumps(row) + "\n" for row in rows))
    aside.rename(path)


def done(run: ppo.Args, path: Path) -> bool:
    """Whether the very same run's rows are there."""
    return path.exists() and json.loads((path.parent / "args.json").read_text()) == dataclasses.asdict(run)


def score(path: Path) -> float:
    """Mean return over the last fifth of a run."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    returns = [row["charts/episodic_return"] for row in rows[-max(1, len(rows) // 5) :]]
    return float(np.mean([r for r in returns if r is not None] or [math.nan]))


def report(args: Args, scores: dict[tuple[str, int], list[float]], console: Console) -> None:
    table = Table(title=f"return at the end of {args.iterations} iterations, mean (lowest to highest of the seeds)")
    table.add_column("staleness")
    figure, axes = plt.subplots(figsize=(6.4, 3.6), dpi=110)
    for loss in args.losses:
        table.add_column(loss)
        values = np.array([scores[loss, staleness] for staleness in args.staleness])
        (line,) = axes.plot(args.staleness, values.mean(1), marker="o", label=f"{loss} ({len(args.seeds)} seeds)")
        axes.fill_between(args.staleness, values.min(1), values.max(1), color=line.get_color(), alpha=0.2, linewidth=0)
    for staleness in args.staleness:
        cells = (np.array(scores[loss, staleness]) for loss in args.losses)
        table.add_row(str(staleness), *(f"{c.mean():.2f} ({c.min():.2f} to {c.max():.2f})" for c in cells))
    axes.set_xlabel("staleness of every fragment (iterations)")
    axes.set_ylabel("episodic return")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.output)
    console.print(table, str(args.output))


def main(args: Args) -> None:
    if min(args.staleness) < 0 or args.iterations < 1:
        raise SystemExit("--staleness must not be negative, and --iterations at least 1")
    ppo.keep_freed_memory()
    console = Console(width=None if sys.stdout.isatty() else 120)
    cases = [(loss, stale, seed) for seed in args.seeds for stale in args.staleness for loss in args.losses]
    scores: dict[tuple[str, int], list[float]] = {}
    columns = (*Progress.get_default_columns()[:2], TimeElapsedColumn(), "ETA", TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("runs", total=len(cases) * args.iterations)
        for loss, stale, seed in cases:
            run = settings(args, loss, stale, seed)
            path = args.runs / f"{loss}_staleness_{stale}__{seed}" / "metrics.jsonl"
            progress.update(task, description=f"{loss}, staleness {stale}, seed {seed}")
            if done(run, path):
                progress.update(task, advance=args.iterations)
            else:
                began = time.perf_counter()
                train(run, path, progress, task)
                console.print(f"{path.parent}: return {score(path):.2f} after {time.perf_counter() - began:.0f} s")
            scores.setdefault((loss, stale), []).append(score(path))
    report(args, scores, console)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
