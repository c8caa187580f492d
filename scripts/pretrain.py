"""Pretrain a policy by behaviour cloning, as VPT was: first watch others play, then learn what they would press.

    python scripts/pretrain.py                                     # scripted players; half an hour on two cores
    python scripts/pretrain.py --frames 25600 --epochs 1 --output output/first_look
    python scripts/pretrain.py --dataset my_play.h5                # frames and actions of your own
    python scripts/pretrain.py --dataset output/play               # a folder of mp4 + jsonl: VPT's or scripts/play.py's

What a run writes under --output: dataset.h5 (what was collected, or made of recordings), trainer.pt (after Ctrl-C, or a
kill, the same command goes on there), curve.csv, curve.png, results.json (the loss and the accuracy for each button on
frames that were held out) and the policy as policy.model and policy.weights, VPT's own format, for
`ppo_vpt_online.py --model-path ... --weights-path ...`.
"""

import csv
import hashlib
import json
import logging
import math
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the scripts are no package
import ppo_vpt_online as ppo  # first of all: it sets how torch's threads wait

# isort: split
import numpy as np
import torch
import torch.nn as nn
import tyro
from rich.progress import BarColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

import minestudio_envs
from minestudio_envs.actions import BUTTONS, button_table
from minestudio_envs.scripted_players import HABITS, ScriptedPlayers
from minestudio_envs.training.dataset import Dataset, DatasetError, DatasetWriter, remove_unfinished
from minestudio_envs.training.demonstrations import find_recordings, read_recording
from minestudio_envs.training.hardware import choose_device, keep_freed_memory
from minestudio_envs.training.run_logger import make_console
from minestudio_envs.training.vpt_files import VPTFileError, replace_file, save_vpt_policy

logger = logging.getLogger("pretrain")


@dataclass
class Args:
    output: Path = Path("output/pretrain")
    """folder of the run"""
    dataset: Path | None = None
    """HDF5 file (minestudio_envs/training/dataset.py), or folder of mp4 + jsonl recordings; none: scripted players"""
    model_path: Path | None = None
    """VPT .model file that says which network; none: SMALL_NET_ARGS of ppo_vpt_online.py"""
    weights_path: Path | None = None
    """to go on from; none: random weights"""
    seed: int = 1
    """of weights, worlds, players and the order of sequences"""
    frames: int = 614_400
    """to collect, if there is no --dataset; in whole rounds of num_envs episodes"""
    num_envs: int = 64
    """players at once"""
    hunt: float = HABITS.hunt
    """weight of hunting among the players' goals; the others' stay what they are (scripted_players.HABITS)"""
    held_out: float = 0.05
    """part of the frames, the last ones, that are not trained on; of collected ones in other worlds, but for one cut"""
    epochs: int = 6
    """passes over the rest"""
    sequence_length: int = 64
    """consecutive steps through which memory is carried, from empty"""
    context_length: int = 32
    """steps back-propagated through at once, after each of which the optimizer steps"""
    batch_size: int = 8
    """sequences side by side"""
    learning_rate: float = 1e-3
    """AdamW's, which falls to 0 along a cosine"""
    weight_decay: float = 0.01
    """AdamW's, on matrices only"""
    max_grad_norm: float = 5.0
    """gradients are scaled down to this norm"""
    device: str = "auto"
    """torch device; auto: cuda when there is one, else cpu"""


EPISODE_STEPS = 400
CURVE_SEQUENCES = 64  # held out ones that a point of the curve is of


def env_generator():
    """What the players find: land of several kinds, mostly with cows and other animals, something in the hand."""
    from minestudio_envs import MinecraftSim
    from minestudio_envs.callbacks import (
        CommandsCallback,
        Compose,
        FastResetCallback,
        JudgeResetCallback,
        MaskActionsCallback,
        SummonMobsCallback,
    )

    def animals(**numbers: int) -> SummonMobsCallback:
        near = {"range_x": [-9, 9], "range_z": [-9, 9]}
        return SummonMobsCallback([{"name": name, "number": number, **near} for name, number in numbers.items()])

    tools = ("iron_sword", "iron_sword", "iron_sword", "stone_sword", "iron_axe")
    return MinecraftSim(
        render_size=None,
        callbacks=[
            Compose([animals(cow=10), animals(cow=8, pig=3), animals(cow=6, sheep=3, chicken=3), animals()], 1),
            Compose([CommandsCallback([f"/give @p minecraft:{tool} 1"]) for tool in tools], 1),
            MaskActionsCallback(inventory=0),
            Compose(
                [
                    FastResetCallback(["plains"], 1000, start_time=0),
                    FastResetCallback(["plains"], 1000, start_time=5000),
                    FastResetCallback(["forest", "taiga", "savanna"], 1000),
                ],
                1,
            ),
            JudgeResetCallback(EPISODE_STEPS),
        ],
    )


class Interrupt:
    """Ctrl-C and SIGTERM as a flag; a second one leaves at once."""

    def __enter__(self) -> "Interrupt":
        self.set = False
        self.handlers = {number: signal.signal(number, self.handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def handle(self, signum: int, frame: Any) -> None:
        if self.set:
            raise KeyboardInterrupt
        self.set = True
        logger.warning("interrupted: finishing the step, saving, leaving (once more: leaving now)")

    def __exit__(self, *exception: Any) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


def make_progress(console: Any) -> Progress:
    columns = ("{task.completed:,}/{task.total:,}", BarColumn(), "{task.description}", TimeElapsedColumn(), "ETA")
    return Progress(*columns, TimeRemainingColumn(), console=console)


# COLLECT


def play_round(envs: Any, players: ScriptedPlayers, seed: int, stopped: Interrupt) -> dict[str, np.ndarray] | None:
    """An episode of every environment, as DatasetWriter.append takes them, one after the other; None if stopped."""
    n, steps = envs.num_envs, EPISODE_STEPS
    frames = np.empty((n, steps, *envs.single_observation_space["image"].shape), np.uint8)
    buttons, camera = np.empty((n, steps), np.int16), np.empty((n, steps), np.uint8)
    image = envs.reset(seed=seed)[0]["image"]
    for t in range(steps):
        if stopped.set:
            return None
        action = players.act()
        frames[:, t], buttons[:, t], camera[:, t] = image.numpy(), action["buttons"].numpy(), action["camera"].numpy()
        image = envs.step(action)[0]["image"]
    first = np.zeros((n, steps), bool)
    first[:, 0] = True
    flat = {"frames": frames, "buttons": buttons, "camera": camera, "first": first}
    return {name: values.reshape(n * steps, *values.shape[2:]) for name, values in flat.items()}


def collect(args: Args, img_shape: list[int], progress: Progress, stopped: Interrupt) -> Path:
    """Have scripted players play -> the dataset. Each round has a seed of its own, so it can go on where it stopped."""
    path = args.output / "dataset.h5"
    habits = HABITS._replace(hunt=args.hunt)
    about = {"seed": args.seed, "num_envs": args.num_envs, **habits._asdict()}
    writer = DatasetWriter(path, tuple(img_shape), json.dumps(about))
    size = args.num_envs * EPISODE_STEPS
    rounds = math.ceil(args.frames / size)
    bar = progress.add_task("frames collected", total=rounds * size, completed=min(len(writer), rounds * size))
    try:
        if len(writer) < rounds * size:
            height, width, _ = img_shape
            envs = minestudio_envs.make_vec(env_generator, args.num_envs, obs_size=(width, height), copy=False)
            players = ScriptedPlayers(envs, habits, args.seed)
            for i in range(len(writer) // size, rounds):
                steps = play_round(envs, players, args.seed * 1_000_003 + i, stopped)
                if steps is None:
                    break
                writer.append(**steps)
                progress.update(bar, completed=len(writer))
            envs.close()
    finally:
        writer.close()
    return path


def convert(args: Args, img_shape: list[int], progress: Progress, stopped: Interrupt) -> Path:
    """Make a dataset of a folder of recordings -> its path."""
    path, recordings = args.output / "dataset.h5", find_recordings(args.dataset)
    files = [file for film in recordings for file in (film, film.with_suffix(".jsonl"))]
    # Other recordings can have the same names.
    looks = [[str(file.relative_to(args.dataset)), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    digest = hashlib.sha256(json.dumps(looks).encode()).hexdigest()
    names = [film.name for film in recordings]
    about = json.dumps({"folder": str(args.dataset.resolve()), "recordings": names, "sizes_and_times": digest})
    if path.exists():  # of a run that was interrupted later
        writer = DatasetWriter(path, tuple(img_shape), about)
        writer.close()
        return path
    aside = path.with_suffix(".part")
    remove_unfinished(aside)
    writer = DatasetWriter(aside, tuple(img_shape), about)
    bar = progress.add_task("recordings read", total=len(recordings))
    height, width, _ = img_shape
    try:
        for film in recordings:
            for steps in read_recording(film, (width, height)):
                if stopped.set:
                    return aside
                writer.append(**steps)
            progress.advance(bar)
    finally:
        writer.close()
    return aside.replace(path)


# LEARN


def sequences(data: Dataset, args: Args) -> tuple[np.ndarray, np.ndarray]:
    """Where the sequences begin, int64: (those to train on, those held out). What is left over is not used."""
    last = int(len(data) * (1 - args.held_out))
    train = np.arange(0, last - args.sequence_length + 1, args.sequence_length)
    held_out = np.arange(last, len(data) - args.sequence_length + 1, args.sequence_length)
    for what, starts in {"train on": train, "hold out": held_out}.items():
        if len(starts) == 0:
            raise DatasetError(
                f"{data.path}: {len(data)} frames are too few to {what} a sequence of {args.sequence_length}: "
                "collect more, or change --sequence-length or --held-out"
            )
    return train, held_out


def read_batch(data: Dataset, starts: np.ndarray, length: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Sequences -> frames uint8 [B, T, H, W, 3], buttons and camera int64 [B, T], first bool [B, T]."""
    at = starts[:, None] + np.arange(length)
    frames = np.stack([data.frames(int(start), int(start) + length) for start in starts])
    arrays = (frames, data.buttons[at], data.camera[at], data.first[at])
    return tuple(torch.from_numpy(array).to(device) for array in arrays)


def pieces(policy: ppo.VPTPolicy, batch: tuple[torch.Tensor, ...], context: int) -> Iterator[tuple]:
    """A batch, `context` steps at a time, with the memory carried on -> (output, buttons, camera) of each piece."""
    frames, buttons, camera, first = batch
    memory = policy.initial_memory(len(first))
    for steps in ppo.slices(first.shape[1], context):
        output = policy(frames[:, steps], first[:, steps], memory)
        memory = output.memory
        yield output, buttons[:, steps], camera[:, steps]


class Trainer:
    """Behaviour cloning: the negative log-likelihood of the joint action, buttons and camera."""

    def __init__(self, args: Args, policy: ppo.VPTPolicy, data: Dataset):
        self.args, self.policy, self.data = args, policy, data
        self.device = next(policy.parameters()).device
        self.train, self.held_out = sequences(data, args)
        self.batches = len(self.train) // args.batch_size or 1  # in an epoch
        self.contexts = len(ppo.slices(args.sequence_length, args.context_length))
        decayed = {"params": [p for p in policy.parameters() if p.requires_grad and p.ndim >= 2]}
        others = {"params": [p for p in policy.parameters() if p.requires_grad and p.ndim < 2], "weight_decay": 0.0}
        self.optimizer = torch.optim.AdamW(
            [decayed, others], lr=args.learning_rate, weight_decay=args.weight_decay, fused=True
        )
        self.done = 0  # batches
        self.seconds = 0.0  # spent on them
        self.curve: list[dict[str, float]] = []
        self.losses: list[float] = []  # since the curve's last row
        actions = hashlib.sha256()
        for values in (data.buttons, data.camera, data.first):
            actions.update(values)
        # What lies at a path can have been replaced.
        self.settings = settings(args) | {"dataset": f"{args.dataset}, {len(data)} frames, {actions.hexdigest()}"}

    @property
    def total(self) -> int:
        return self.batches * self.args.epochs

    def step(self) -> float:
        """Train on the next batch -> its loss in nats for each step."""
        args, began = self.args, time.perf_counter()
        epoch, i = divmod(self.done, self.batches)
        order = np.random.default_rng([args.seed, epoch]).permutation(self.train)
        starts = order[i * args.batch_size : (i + 1) * args.batch_size]
        losses = []
        batch = read_batch(self.data, starts, args.sequence_length, self.device)
        for k, (output, buttons, camera) in enumerate(pieces(self.policy, batch, args.context_length)):
            progress = (self.done + k / self.contexts) / self.total
            for group in self.optimizer.param_groups:
                group["lr"] = args.learning_rate * (1 + math.cos(math.pi * progress)) / 2
            loss = -ppo.log_prob(output, buttons, camera).mean()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.policy.parameters(), args.max_grad_norm)
            if not torch.isfinite(norm):
                raise FloatingPointError(f"the gradient of batch {self.done} is not finite: lower --learning-rate")
            self.optimizer.step()
            losses.append(float(loss.detach()))
        self.done += 1
        self.seconds += time.perf_counter() - began
        return float(np.mean(losses))

    @torch.no_grad()
    def evaluate(self, most: int | None = None) -> dict[str, Any]:
        """Loss, and how well each button and the camera are foretold, on held-out sequences (at `most` so many)."""
        args = self.args
        presses = torch.tensor(button_table(), dtype=torch.float32, device=self.device)
        presses = torch.cat([presses, (torch.arange(len(presses), device=self.device) % 2)[:, None].float()], 1)
        names = (*BUTTONS, "camera moves")
        sums, count = torch.zeros(6, len(names), dtype=torch.float64), 0
        loss = camera_right = camera_count = 0.0
        for starts in ppo.groups(self.held_out[:most], args.batch_size):
            batch = read_batch(self.data, starts, args.sequence_length, self.device)
            for output, buttons, camera in pieces(self.policy, batch, args.context_length):
                loss -= float(ppo.log_prob(output, buttons, camera).double().sum())
                foretold = (output.buttons.exp() @ presses).double().cpu()  # the chance of each button
                done = presses[buttons].double().cpu()
                right = ((foretold > 0.5) == (done > 0.5)).double()
                for row, values in enumerate((right, done, foretold * done, foretold * (1 - done))):
                    sums[row] += values.sum((0, 1))
                moves = buttons % 2 == 1
                camera_right += float(((output.camera.argmax(-1) == camera) & moves).sum())
                camera_count += float(moves.sum())
                count += buttons.numel()
        right, done, when, otherwise, *_ = sums
        table = {
            name: {
                "pressed": float(done[i] / count),
                "accuracy": float(right[i] / count),
                "accuracy_of_never_or_always": max(float(done[i] / count), 1 - float(done[i] / count)),
                "chance_when_pressed": float(when[i] / done[i]) if done[i] else None,
                "chance_else": float(otherwise[i] / (count - done[i])) if done[i] < count else None,
            }
            for i, name in enumerate(names)
        }
        camera = {"accuracy_when_it_moves": camera_right / max(1.0, camera_count), "chance_level": 1 / 121}
        return {"loss": loss / count, "frames": count, "buttons": table, "camera": camera}

    def state(self) -> dict[str, Any]:
        state = {"policy": self.policy.state_dict(), "optimizer": self.optimizer.state_dict(), "done": self.done}
        state |= {"curve": self.curve, "losses": self.losses, "seconds": self.seconds}
        return state | {"settings": self.settings}

    def save(self, path: Path) -> None:
        with replace_file(path) as file:
            torch.save(self.state(), file)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote. Raises DatasetError if that was with other settings or data, or is broken."""
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            changed = [name for name, value in self.settings.items() if state["settings"].get(name) != value]
            if not changed:
                self.policy.load_state_dict(state["policy"])
                self.optimizer.load_state_dict(state["optimizer"])
                self.done, self.seconds = state["done"], state["seconds"]
                self.curve, self.losses = state["curve"], state["losses"]
        except Exception as error:  # a broken file can raise anything
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise DatasetError(
                f"{path} is broken ({reason}): delete it to train from the beginning; the dataset stays"
            ) from error
        if changed:
            raise DatasetError(f"{path} was made with other --{', --'.join(changed)}: choose another --output")


def settings(args: Args) -> dict[str, Any]:
    """What a checkpoint must have been made with, as plain values."""
    return {
        k: v if isinstance(v, int | float) else str(v) for k, v in vars(args).items() if k not in ("output", "device")
    }


# REPORT


def draw_curve(rows: list[dict[str, float]], path: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        logger.warning(f"no {path}: that needs matplotlib (pip install -e '.[plot]')")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.2), dpi=110)
    frames = [row["frames"] for row in rows]
    axes.plot(frames, [row["loss"] for row in rows], label="trained on", alpha=0.7)
    held_out = [(row["frames"], row["held_out_loss"]) for row in rows if row["held_out_loss"] is not None]
    axes.plot(*zip(*held_out, strict=True), "o-", label="held out")
    axes.set_xlabel("frames seen")
    axes.set_ylabel("-log p(action), nats")
    axes.set_ylim(top=min(axes.get_ylim()[1], 2 * held_out[-1][1]))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def make_table(results: dict[str, Any]) -> Table:
    table = Table("button", "pressed", "accuracy", "of never or always", "chance given when pressed", "else")
    percent = lambda x: "" if x is None else f"{x:.1%}"  # noqa: E731
    for name, row in results["buttons"].items():
        if row["pressed"] > 0:
            table.add_row(name, *map(percent, row.values()))
    return table


def check_args(args: Args) -> torch.device:
    """Refuse settings that cannot work before anything starts -> the device."""
    least = dict.fromkeys(("frames", "num_envs", "epochs", "sequence_length", "context_length", "batch_size"), 1)
    for name, low in (
        least | {"seed": 0, "hunt": 0, "learning_rate": 0, "weight_decay": 0, "max_grad_norm": 0}
    ).items():
        if not low <= getattr(args, name) < math.inf:
            raise SystemExit(f"--{name.replace('_', '-')} {getattr(args, name)} must be at least {low}")
    if args.seed >= 2**63:
        raise SystemExit(f"--seed {args.seed} is too large: it must be below 2^63")
    if not 0 < args.held_out < 1:
        raise SystemExit(f"--held-out {args.held_out} must be between 0 and 1: without it nobody knows what was learnt")
    if args.weights_path is not None and args.model_path is None:
        raise SystemExit(f"--weights-path {args.weights_path} needs --model-path, which says which network it is for")
    return choose_device(args.device)


def main(args: Args) -> dict[str, Any] | None:
    """Pretrain -> what results.json holds; None if interrupted."""
    device, console = check_args(args), make_console()
    keep_freed_memory()
    torch.manual_seed(args.seed)
    if args.model_path is None:
        policy = ppo.VPTPolicy(ppo.SMALL_NET_ARGS)
    else:
        policy = ppo.load_openai_policy(args.model_path, args.weights_path)
    args.output.mkdir(parents=True, exist_ok=True)
    img_shape = policy.net_args["img_shape"]
    with Interrupt() as stopped, make_progress(console) as progress:
        if args.dataset is None:
            path = collect(args, img_shape, progress, stopped)
        else:
            path = convert(args, img_shape, progress, stopped) if args.dataset.is_dir() else args.dataset
        if stopped.set:
            return None
        data = Dataset(path, made_here=path != args.dataset)
        if list(data.img_shape) != img_shape:
            raise DatasetError(f"{path} has frames {data.img_shape}, and the policy sees {img_shape}: collect others")
        trainer = Trainer(args, policy.to(device), data)
        checkpoint = args.output / "trainer.pt"
        if checkpoint.exists():
            trainer.load(checkpoint)
            logger.info(f"goes on after batch {trainer.done} of {trainer.total}, from {checkpoint}")
        bar = progress.add_task("batches", total=trainer.total, completed=trainer.done)
        every = max(1, trainer.total // 20)  # batches in a row of the curve
        while trainer.done < trainer.total and not stopped.set:
            trainer.losses.append(trainer.step())
            if trainer.done % every == 0 or trainer.done == trainer.total:
                row = {
                    "frames": trainer.done * args.batch_size * args.sequence_length,
                    "loss": float(np.mean(trainer.losses)),
                }
                held_out = trainer.evaluate(CURVE_SEQUENCES)["loss"]
                trainer.curve.append(row | {"held_out_loss": held_out, "seconds": trainer.seconds})
                trainer.losses = []
                trainer.save(checkpoint)
                summary = f"loss {row['loss']:.3f}, held out {held_out:.3f}"
                progress.update(bar, description=f"batches  {summary}")
                if not console.is_terminal:
                    console.print(f"batch {trainer.done}/{trainer.total}  {summary}")
            progress.update(bar, completed=trainer.done)
        if stopped.set:
            trainer.save(checkpoint)
            data.close()
            return None
    results = trainer.evaluate()
    data.close()
    results |= {"settings": settings(args), "dataset": {"frames": len(data), "about": data.about}}
    results["seconds"] = trainer.seconds
    save_vpt_policy(policy, args.output / "policy.model", args.output / "policy.weights")
    (args.output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    with (args.output / "curve.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, trainer.curve[0])
        table.writeheader()
        table.writerows(trainer.curve)
    draw_curve(trainer.curve, args.output / "curve.png")
    console.print(make_table(results))
    camera = results["camera"]["accuracy_when_it_moves"]
    console.print(
        f"held out: {results['loss']:.3f} nats a step on {results['frames']:,} frames; camera, where it moves, "
        f"{camera:.1%} (by chance {1 / 121:.1%})",
        *sorted(args.output.glob("policy.*")),
        sep="\n",
    )
    return results


if __name__ == "__main__":
    try:
        if main(tyro.cli(Args, description=__doc__)) is None:
            raise SystemExit("interrupted: the same command goes on from here")
    except (DatasetError, VPTFileError, FloatingPointError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("left at once: the same command goes on from the last save") from None
