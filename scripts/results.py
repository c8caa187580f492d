"""The README's results: each experiment is some variants of the quick start, several seeds of each, a figure, a table.

    python scripts/results.py leash                         # KillCow: the KL on, off, and from scratch
    python scripts/results.py memory                        # TMaze: with memory, without, and with MineStudio's defect
    python scripts/results.py transfer                      # ChopTree and HuntAnimals with KillCow's settings
    python scripts/results.py schedule                      # KillCow: a constant learning rate, and the quick start's
    python scripts/results.py staleness                     # KillCow: each loss, with fragments that wait for learning
    python scripts/results.py reuse                         # KillCow: each loss, with fragments used 1, 2 and 4 times
    python scripts/results.py table                         # what leash's and schedule's policies are worth elsewhere
    python scripts/results.py memory --seeds 1 --iterations 3 --runs output/look --docs output/look   # does it run?

Runs that are done are not run again, also those that two experiments share, and after Ctrl-C the same command goes on
(staleness: the interrupted run begins anew, for no checkpoint has what is waiting). Figures and tables are written to
docs/results/.
"""

import contextlib
import dataclasses
import json
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

sys.path.insert(0, str(Path(__file__).parent))  # the scripts are no package
sys.path.insert(0, str(Path(__file__).parents[1]))
import ppo_vpt_online as ppo

# isort: split
import evaluate
import numpy as np
import plot
import torch
import tyro

from minestudio_envs import tasks
from minestudio_envs.training.checkpoints import find_checkpoint
from minestudio_envs.training.vpt_files import load_policy

Experiment = Literal["leash", "memory", "transfer", "schedule", "staleness", "reuse", "table"]


@dataclass
class Args:
    experiment: Annotated[Experiment, tyro.conf.Positional]
    """which one"""
    seeds: tuple[int, ...] = (1, 2, 3)
    """of weights, worlds and actions"""
    iterations: int | None = None
    """of each run; none: the experiment's"""
    runs: Path = Path("output/results")
    """folder of the runs"""
    docs: Path = Path("docs/results")
    """folder of figures and tables"""
    episodes: int = 128
    """of each row of the table"""
    held_out_seed: int = 1_000_000
    """of the table's worlds, which no run trains in"""


# VARIANTS


def from_scratch() -> ppo.VPTPolicy:
    return ppo.VPTPolicy(ppo.SMALL_NET_ARGS)


# Not `forward`: the learner calls `encode` and the heads by themselves.
class ForgetfulPolicy(ppo.VPTPolicy):
    """Every step is its episode's first: it remembers nothing."""

    def encode(self, image, first, memory, inplace=False):
        return super().encode(image, torch.ones_like(first), memory, inplace)


class FirstDefectPolicy(ppo.VPTPolicy):
    """MineStudio's defect: when acting, memory ends with the episode; in what it learns from, it goes on.

    Acting is one step in a call. (MineStudio's fragments moreover begin without memory; here they begin with the stored
    one. The reference policy, a copy of this, has the defect too.)
    """

    def encode(self, image, first, memory, inplace=False):
        return super().encode(image, first if first.shape[1] == 1 else torch.zeros_like(first), memory, inplace)


def pretrained(policy_class: type[ppo.VPTPolicy] = ppo.VPTPolicy) -> Callable[[], ppo.VPTPolicy]:
    return lambda: load_policy(policy_class, f"{ppo.PRETRAINED}.model", f"{ppo.PRETRAINED}.weights")


class WaitingTrainer(ppo.Trainer):
    """Fragments wait max_staleness iterations between the environments and the replay, as in arXiv 2110.00641."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        assert self.args.num_envs == self.num_chunks  # a round of the collector is an iteration's
        self.waiting = deque()

    def collect(self) -> None:
        self.replay.evict(self.learner.iteration)
        while len(self.waiting) <= self.args.max_staleness:  # at first the policy of then fills the queue
            chunks = self.collector.collect()
            if chunks is None:  # interrupted
                return
            self.waiting.append((chunks, self.learner.optimizer_steps))
        self.replay.add(*self.waiting.popleft())


@dataclass
class Variant:
    """Some runs: one line of a figure, or one of its points."""

    task: Callable = tasks.kill_cow
    policy: Callable[[], ppo.VPTPolicy] = field(default_factory=pretrained)
    settings: dict[str, Any] = field(default_factory=dict)
    """of ppo_vpt_online.Args, where they differ from the quick start's and COMMON"""
    trainer: type[ppo.Trainer] = ppo.Trainer
    iterations: int = 1
    """times those of the experiment"""


# A constant learning rate, so that a short run is the beginning of a longer one, and experiments can share runs.
COMMON = {"anneal_lr_linearly": False, "record_video_interval": 0}
CONSTANT_RATE = Variant()
NO_LEASH = {"kl_divergence_coef_rho": 0.0}
EXPERIMENTS = {
    "leash": {
        "KL to the pretrained policy": CONSTANT_RATE,
        "no KL": Variant(settings=NO_LEASH),
        "from scratch": Variant(policy=from_scratch, settings=NO_LEASH | {"entropy_bonus_coef": 0.01}),
    },
    "memory": {
        "memory": Variant(tasks.t_maze),
        "no memory": Variant(tasks.t_maze, pretrained(ForgetfulPolicy)),
        "memory, first ignored when learning": Variant(tasks.t_maze, pretrained(FirstDefectPolicy)),
    },
    "transfer": {
        "ChopTree": Variant(tasks.chop_tree),
        "HuntAnimals": Variant(tasks.hunt_animals),
    },
    "schedule": {
        "constant learning rate": CONSTANT_RATE,
        "annealed learning rate": Variant(settings={"anneal_lr_linearly": True}),
    },
}

# What makes fragments stale, and how much of it. Where none are, the losses are the same, and share their runs.
LOSSES = ("decoupled", "behavior", "proximal")
SWEEPS = {"staleness": ("iterations that every fragment waits", (0, 2, 8)), "reuse": ("uses of a fragment", (1, 2, 4))}


USED_ONCE = Variant(settings={"epochs_per_iteration": 1})  # each use is one pass


def off_policy(experiment: str, loss: str, amount: int) -> Variant:
    if experiment == "staleness":
        settings = {"loss": loss, "max_staleness": amount}
        return CONSTANT_RATE if amount == 0 else Variant(settings=settings, trainer=WaitingTrainer)
    settings = USED_ONCE.settings | {"loss": loss, "max_reuse": amount, "max_staleness": 2 * amount}
    # In each iteration so many times fewer fragments are collected.
    return USED_ONCE if amount == 1 else Variant(settings=settings, iterations=amount)


EXPERIMENTS |= {
    name: {f"{loss}, {amount}": off_policy(name, loss, amount) for amount in amounts for loss in LOSSES}
    for name, (_, amounts) in SWEEPS.items()
}
ITERATIONS = {"memory": 75, "staleness": 75, "reuse": 75}  # others: the quick start's
STEPS = ppo.Args.num_envs * ppo.Args.fragment_length  # of environments, in an iteration of fresh fragments


# RUNS


def check_args(args: Args) -> None:
    """What would come to light only after hours."""
    if not args.seeds or (args.iterations is not None and args.iterations < 1):
        raise SystemExit("--seeds must name one or more, and --iterations be at least 1")
    if args.episodes < 2:
        raise SystemExit(f"--episodes {args.episodes}: an interval needs 2 or more")
    args.docs.mkdir(parents=True, exist_ok=True)


def folder_name(experiment: str, label: str) -> str:
    variants = EXPERIMENTS[experiment]
    if variants[label] is CONSTANT_RATE:
        return "constant_rate"
    label = next(name for name, variant in variants.items() if variant is variants[label])  # the first that has it
    return f"{experiment}_{label.replace(' ', '_').replace(',', '')}"


def iterations(args: Args, variant: Variant = CONSTANT_RATE) -> int:
    """Of a variant's runs."""
    default = ITERATIONS.get(args.experiment, ppo.Args.num_iterations)
    return variant.iterations * (default if args.iterations is None else args.iterations)


def rows_of(run: Path) -> list[dict[str, Any]]:
    rows = []
    for line in (run / "metrics.jsonl").read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):  # a run that was killed may leave half a line
            rows.append(json.loads(line))
    return rows


def find_run(args: Args, experiment: str, label: str, seed: int) -> Path | None:
    """The run's folder, if it was begun."""
    found = sorted(args.runs.glob(f"{folder_name(experiment, label)}__{seed}__*/metrics.jsonl"))
    return found[-1].parent if found else None


def check_settings(folder: Path, run: ppo.Args) -> None:
    """That a run which was begun is the one that is asked for."""
    before = json.loads((folder / "args.json").read_text())
    ignored = {"name", "resume", "save_path"} | (set() if run.anneal_lr_linearly else {"num_iterations"})
    for key, value in dataclasses.asdict(run).items():
        if key not in ignored and before.get(key) != value:
            was = f"{folder} was begun with {key} {before.get(key)}, not {value}"
            raise SystemExit(f"{was}: delete it, or name another folder (--runs)")


def train(args: Args, label: str, seed: int) -> Path:
    """One run, from its beginning, its newest checkpoint, or not at all if it is done -> its folder."""
    variant, name = EXPERIMENTS[args.experiment][label], folder_name(args.experiment, label)
    run = ppo.Args(
        **{"name": name, "seed": seed, "num_iterations": iterations(args, variant), "save_path": str(args.runs)}
        | COMMON | variant.settings
    )  # fmt: skip
    ppo.env_generator, ppo.policy_generator = variant.task, variant.policy
    if begun := find_run(args, args.experiment, label, seed):
        check_settings(begun, run)
        if len(rows_of(begun)) >= run.num_iterations:
            return begun
        if variant.trainer is ppo.Trainer:
            with contextlib.suppress(ppo.CheckpointError):  # without one it begins anew
                run = dataclasses.replace(run, resume=str(find_checkpoint(str(begun), args.runs)))
    folder = ppo.main(run, variant.trainer)
    if (done := len(rows_of(folder))) < run.num_iterations:
        if (folder / f"checkpoints/iteration_{run.num_iterations:06d}").exists():
            lost = f"{folder} has its last checkpoint, but {done} of {run.num_iterations} rows in metrics.jsonl"
            raise SystemExit(f"{lost}: delete the folder, and the same command makes it anew")
        raise SystemExit("interrupted: the same command goes on from here")
    return folder


def final_return(args: Args, label: str, run: Path) -> float:
    """Mean return in the last tenth of a run's iterations."""
    rows, end = rows_of(run), iterations(args, EXPERIMENTS[args.experiment][label])
    values = [row["charts/episodic_return"] for row in rows[end - max(1, end // 10) : end]]
    return float(np.mean([value for value in values if value is not None] or [np.nan]))


# REPORTS


def write_table(path: Path, head: list[str], rows: list[list[str]]) -> None:
    lines = [head, ["---"] * len(head), *rows]
    text = "".join("| " + " | ".join(line) + " |\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(text, path, sep="\n")


def run_experiment(args: Args) -> None:
    runs = {label: [] for label in EXPERIMENTS[args.experiment]}
    for seed in args.seeds:  # all variants of a seed first: what is done by then can be compared
        for label, folders in runs.items():
            folders.append(train(args, label, seed))
    if args.experiment in SWEEPS:
        return report_sweep(args, {label: [final_return(args, label, run) for run in runs[label]] for label in runs})
    rows = []
    for label, folders in runs.items():
        last = [final_return(args, label, folder) for folder in folders]
        rows.append([label, f"{np.mean(last):.2f}", ", ".join(f"{value:.2f}" for value in last)])
    write_table(args.docs / f"{args.experiment}.md", ["", "return in the last tenth", "of each seed"], rows)
    plot.draw(runs, plot.Args(output=args.docs / f"{args.experiment}.png"))


def report_sweep(args: Args, returns: dict[str, list[float]]) -> None:
    """Final returns of each loss against what makes fragments stale: mean, lowest and highest of the seeds."""
    what, amounts = SWEEPS[args.experiment]
    cell = lambda last: f"{np.mean(last):.2f} ({min(last):.2f} to {max(last):.2f})"  # noqa: E731
    rows = [[str(amount), *(cell(returns[f"{loss}, {amount}"]) for loss in LOSSES)] for amount in amounts]
    write_table(args.docs / f"{args.experiment}.md", [what, *LOSSES], rows)
    values = {loss: [returns[f"{loss}, {amount}"] for amount in amounts] for loss in LOSSES}
    merit = f"return after {iterations(args) * STEPS:,} steps"
    plot.draw_sweep(amounts, values, what, merit, args.docs / f"{args.experiment}.png")


def kill_cow_elsewhere():
    """KillCow in land that it is not trained in."""
    return tasks.kill_cow(biomes=("savanna", "taiga", "forest"))


def evaluate_player(args: Args, name: str, **settings: Any) -> str:
    """Mean return and its 95 % interval, of evaluate.py, or its report that is newer than the weights."""
    output = args.runs / f"evaluation_{name.replace(' ', '_').replace(',', '')}.json"
    wanted = evaluate.Args(
        **settings, seed=args.held_out_seed, episodes=args.episodes, num_envs=64, videos=0, output=output
    )
    played = [Path(settings["checkpoint"]) / "checkpoints"] if "checkpoint" in settings else []
    played += [Path(settings["weights_path"])] if "weights_path" in settings else []
    fresh = output.exists() and all(output.stat().st_mtime >= path.stat().st_mtime for path in played)
    report = json.loads(output.read_text()) if fresh else None
    if report is None or report["settings"] != json.loads(json.dumps(dataclasses.asdict(wanted), default=str)):
        report = evaluate.main(wanted)
    mean, (_, high) = report["statistics"]["return_mean"], report["statistics"]["return_ci95"]
    return f"{mean:.2f} ± {high - mean:.2f}"


def make_evaluation_table(args: Args) -> None:
    """Floor, beginning, what was learnt, and ceiling, in the same worlds, which nobody was trained in."""
    players: dict[str, dict[str, Any]] = {"uniformly random": {"player": "random"}}
    players["pretrained"] = {"model_path": f"{ppo.PRETRAINED}.model", "weights_path": f"{ppo.PRETRAINED}.weights"}
    quick_start = ("schedule", "annealed learning rate")
    for experiment, label in [quick_start, *(("leash", label) for label in EXPERIMENTS["leash"])]:
        for seed in args.seeds:
            run = find_run(args, experiment, label, seed)
            if run is None or len(rows_of(run)) < iterations(args):
                missing = f"no finished run of {label!r}, seed {seed}, in {args.runs}"
                raise SystemExit(f"{missing}: first `results.py {experiment}`")
            players[f"{label}, seed {seed}"] = {"checkpoint": str(run)}
    players |= {"its teachers (habits)": {"player": "habits"}, "only hunts (hunter)": {"player": "hunter"}}
    places = {"plains": "minestudio_envs.tasks:kill_cow", "elsewhere": f"{__file__}:kill_cow_elsewhere"}
    rows = []
    for label, player in players.items():
        row = [label]
        for place, task in places.items():
            row.append(evaluate_player(args, f"{label} {place}", task=task, **player))
            likeliest = {"task": task, "deterministic": True} | player
            row.append("" if "player" in player else evaluate_player(args, f"{label} {place} likeliest", **likeliest))
        rows.append(row)
    head = ["kills in 600 steps", "plains, sampled", "likeliest action", "elsewhere, sampled", "likeliest action"]
    write_table(args.docs / "table.md", head, rows)


if __name__ == "__main__":
    given = tyro.cli(Args, description=__doc__)
    try:
        check_args(given)
        (make_evaluation_table if given.experiment == "table" else run_experiment)(given)
    except (ppo.VPTFileError, ppo.CheckpointError, FloatingPointError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("left at once: the same command goes on from the newest checkpoints") from None
