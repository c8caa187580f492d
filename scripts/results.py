"""The README's results: each experiment is some variants of the quick start, several seeds of each, curves and a table.

    python scripts/results.py leash                         # KillCow: the KL on, off, and from scratch
    python scripts/results.py memory                        # TMaze: with memory, without, and with MineStudio's defect
    python scripts/results.py transfer                      # ChopTree and HuntAnimals with KillCow's settings
    python scripts/results.py reuse                         # KillCow: each loss, with fragments used 1, 2 and 4 times
    python scripts/results.py table                         # what the leash experiment's policies are worth elsewhere
    python scripts/results.py memory --seeds 1 --iterations 3 --docs output/look    # does it run?

(What a queue before the learner costs: compare_losses.py.) Runs that are done are not run again, and after Ctrl-C the
same command goes on. Pictures and tables are written to docs/results/.
"""

import contextlib
import dataclasses
import json
import sys
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


@dataclass
class Args:
    experiment: Annotated[Literal["leash", "memory", "transfer", "reuse", "table"], tyro.conf.Positional]
    """which one"""
    seeds: tuple[int, ...] = (1, 2, 3)
    """of weights, worlds and actions"""
    iterations: int | None = None
    """of each run; none: the experiment's"""
    runs: Path = Path("output/results")
    """folder of the runs"""
    docs: Path = Path("docs/results")
    """folder of pictures and tables"""
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
    """MineStudio's defect: when acting, memory ends with the episode; in what it learns from, it goes on."""

    def encode(self, image, first, memory, inplace=False):
        return super().encode(image, first if first.shape[1] == 1 else torch.zeros_like(first), memory, inplace)


def pretrained(policy_class: type[ppo.VPTPolicy] = ppo.VPTPolicy) -> Callable[[], ppo.VPTPolicy]:
    def policy_generator() -> ppo.VPTPolicy:
        policy = ppo.load_openai_policy(f"{ppo.PRETRAINED}.model", f"{ppo.PRETRAINED}.weights")
        policy.__class__ = policy_class
        return policy

    return policy_generator


@dataclass
class Variant:
    """One line of a figure."""

    task: Callable = tasks.kill_cow
    policy: Callable[[], ppo.VPTPolicy] = field(default_factory=pretrained)
    settings: dict[str, Any] = field(default_factory=dict)
    """of ppo_vpt_online.Args, where they differ from the quick start's"""


NO_LEASH = {"kl_divergence_coef_rho": 0.0}
EXPERIMENTS = {
    "leash": {
        "KL to the pretrained policy": Variant(),
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
    "reuse": {
        "used once": Variant(),  # all losses are the same
        **{
            f"{loss}, used {uses} times": Variant(settings={"loss": loss, "max_reuse": uses, "max_staleness": 2 * uses})
            for uses in (2, 4)
            for loss in ("decoupled", "behavior", "proximal")
        },
    },
}


# RUNS


def folder_name(experiment: str, label: str) -> str:
    return f"{experiment}_{label.replace(' ', '_').replace(',', '')}"


def rows_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def find_run(args: Args, experiment: str, label: str, seed: int) -> Path | None:
    """The run's folder, if it was begun."""
    found = sorted(args.runs.glob(f"{folder_name(experiment, label)}__{seed}__*/metrics.jsonl"))
    return found[-1].parent if found else None


def train(args: Args, experiment: str, label: str, variant: Variant, seed: int) -> Path:
    """One run, from its beginning, its newest checkpoint, or not at all if it is done -> its folder."""
    settings = {"record_video_interval": 0, "name": folder_name(experiment, label)} | variant.settings
    run = ppo.Args(seed=seed, save_path=str(args.runs), **settings)
    if args.iterations is not None:
        run.num_iterations = args.iterations
    ppo.env_generator, ppo.policy_generator = variant.task, variant.policy
    if begun := find_run(args, experiment, label, seed):
        if len(rows_of(begun)) >= run.num_iterations:
            return begun
        with contextlib.suppress(ppo.CheckpointError):  # without one it begins anew
            run = dataclasses.replace(run, resume=str(find_checkpoint(str(begun), args.runs)))
    folder = ppo.main(run)
    if len(rows_of(folder)) < run.num_iterations:
        raise SystemExit("interrupted: the same command goes on from here")
    return folder


def final_return(run: Path) -> float:
    """Mean return in a run's last tenth."""
    values = [row["charts/episodic_return"] for row in rows_of(run)]
    return float(np.mean([value for value in values[-max(1, len(values) // 10) :] if value is not None]))


# REPORTS


def write_table(path: Path, head: list[str], rows: list[list[str]]) -> None:
    lines = [head, ["---"] * len(head), *rows]
    text = "".join("| " + " | ".join(line) + " |\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(text, path, sep="\n")


def run_experiment(args: Args) -> None:
    variants = EXPERIMENTS[args.experiment]
    runs = {
        label: [train(args, args.experiment, label, variant, seed) for seed in args.seeds]
        for label, variant in variants.items()
    }
    rows = []
    for label, folders in runs.items():
        last = [final_return(folder) for folder in folders]
        rows.append([label, f"{np.mean(last):.2f}", ", ".join(f"{value:.2f}" for value in last)])
    write_table(args.docs / f"{args.experiment}.md", ["", "return in the last tenth", "of each seed"], rows)
    plot.draw(runs, plot.Args(output=args.docs / f"{args.experiment}.png"))


def kill_cow_elsewhere():
    """KillCow in land that it is not trained in."""
    return tasks.kill_cow(biomes=("savanna", "taiga", "forest"))


def make_evaluation_table(args: Args) -> None:
    """Floor, beginning, what was learnt, and ceiling, in the same worlds, which nobody was trained in."""
    leash = EXPERIMENTS["leash"]
    players: dict[str, dict[str, Any]] = {"uniformly random": {"player": "random"}}
    players |= {"its teachers": {"player": "habits"}}
    players |= {"pretrained": {"model_path": f"{ppo.PRETRAINED}.model", "weights_path": f"{ppo.PRETRAINED}.weights"}}
    for label in leash:
        for seed in args.seeds:
            run = find_run(args, "leash", label, seed)
            if run is None:
                raise SystemExit(f"no run of {label!r}, seed {seed}, in {args.runs}: first `results.py leash`")
            players[f"{label}, seed {seed}"] = {"checkpoint": str(run)}
    players["scripted hunter"] = {"player": "hunter"}
    rows = []
    for label, player in players.items():
        row = [label]
        for task in ("minestudio_envs.tasks:kill_cow", f"{__file__}:kill_cow_elsewhere"):
            for deterministic in (False, True) if "player" not in player else (False,):
                settings = evaluate.Args(
                    **player, deterministic=deterministic, task=task, seed=args.held_out_seed,
                    episodes=args.episodes, num_envs=64, videos=0, output=args.runs / "evaluation.json",
                )  # fmt: skip
                s = evaluate.main(settings)["statistics"]
                row.append(f"{s['return_mean']:.2f} ± {s['return_ci95'][1] - s['return_mean']:.2f}")
            row += [""] * ("player" in player)
        rows.append(row)
    head = ["kills in 600 steps", "plains, sampled", "likeliest action", "elsewhere, sampled", "likeliest action"]
    write_table(args.docs / "table.md", head, rows)


if __name__ == "__main__":
    given = tyro.cli(Args, description=__doc__)
    try:
        (make_evaluation_table if given.experiment == "table" else run_experiment)(given)
    except (ppo.VPTFileError, ppo.CheckpointError, FloatingPointError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("left at once: the same command goes on from the newest checkpoints") from None
