"""How good a policy is at a task: its mean return over N episodes, with a 95 % confidence interval.

    python scripts/evaluate.py                                                # the policy that training begins with
    python scripts/evaluate.py --checkpoint latest --episodes 100             # the newest checkpoint of all runs
    python scripts/evaluate.py --checkpoint output/<run> --success-return 3   # how often does it kill three cows?
    python scripts/evaluate.py --model-path 2x.model --weights-path rl.weights --task my_task.py:env_generator
    python scripts/evaluate.py --player hunter --task MineStudio/KillCow-v0   # the ceiling: rules that see the cows

Which N count is settled beforehand: of every environment its first ones, equally many (or one more). The first N to end
would be too often short ones. Environment i's k-th episode is the same world whatever --num-envs is.
"""

import dataclasses
import importlib.util
import inspect
import json
import logging
import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parents[1]))  # the scripts are no package
import ppo_vpt_online as ppo  # first of all: it sets how torch's threads wait

# isort: split
import gymnasium
import numpy as np
import torch
import tyro
from rich.progress import BarColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

import minestudio_envs
from minestudio_envs.scripted_players import HABITS, HUNTER, RandomPlayers, ScriptedPlayers
from minestudio_envs.training.checkpoints import CheckpointError, find_checkpoint, read_manifest
from minestudio_envs.training.hardware import choose_device, keep_freed_memory
from minestudio_envs.training.run_logger import make_console
from minestudio_envs.training.video import VideoRecorder
from minestudio_envs.training.vpt_files import VPTFileError
from minestudio_envs.voxel.errors import nearest

logger = logging.getLogger("evaluate")


@dataclass
class Args:
    checkpoint: str | None = None  # checkpoint folder, a run's folder (its newest good one), or "latest" of all runs
    save_path: str = "output"  # folder of all runs, where "latest" looks
    model_path: str | None = None  # VPT .model file or MineStudio checkpoint folder, in place of --checkpoint
    weights_path: str | None = None  # VPT .weights, MineStudio .ckpt or .safetensors file; none: random weights
    temperature: float | None = None  # of the action heads; none: the policy file's
    player: Literal["policy", "random", "habits", "hunter"] = "policy"  # random: uniform; others: scripted_players.py's
    deterministic: bool = False  # take the likeliest action; no: sample, as in training
    task: str | None = None  # registered task, file.py:function or module:function; none: that of ppo_vpt_online.py
    episodes: int = 32  # episodes that count
    num_envs: int = 16  # environments stepped together
    seed: int = 0  # of worlds and actions, and of random weights; other than the training's, for other worlds
    max_steps: int = 36_000  # a longer episode is an error, in a task without a longer time limit; half an hour's play
    success_return: float | None = None  # an episode that returns at least this is a success; none: no success rate
    device: str = "auto"  # torch device of the policy; auto: cuda when there is one, else cpu
    videos: int = 2  # films, of environment 0's first episodes that count
    video_dir: Path = Path("output/evaluation")  # folder of films
    output: Path = Path("output/evaluation/results.json")  # settings, statistics and every episode


def check_args(args: Args) -> torch.device:
    """Refuse settings that cannot work before anything starts -> the device."""

    def refuse(name: str, fault: str) -> None:
        raise SystemExit(f"--{name.replace('_', '-')} {getattr(args, name)} {fault}")

    for name, low in {"episodes": 1, "num_envs": 1, "max_steps": 1, "videos": 0, "seed": 0}.items():
        if not low <= getattr(args, name) < 2**63:
            refuse(name, f"must be at least {low}" if getattr(args, name) < low else "is too large")
    if args.temperature is not None and not 0 < args.temperature < math.inf:
        refuse("temperature", "must be positive")
    if args.success_return is not None and not math.isfinite(args.success_return):
        refuse("success_return", "must be finite")
    if args.checkpoint is not None and args.model_path is not None:
        refuse("model_path", "is a second policy beside --checkpoint: pass one of them")
    if args.weights_path is not None and args.model_path is None:
        refuse("weights_path", "needs --model-path, which says which network it is for")
    if args.player != "policy" and (args.checkpoint is not None or args.model_path is not None or args.deterministic):
        refuse("player", "is no policy: leave out --checkpoint, --model-path and --deterministic")
    if args.temperature is not None and args.model_path is None and args.checkpoint is None:
        refuse("temperature", "needs a policy: --checkpoint or --model-path")
    if args.output.is_dir():
        refuse("output", "is a folder: name a file in it")
    for name in ("output", "video_dir") if args.videos else ("output",):
        try:
            folder = args.video_dir if name == "video_dir" else args.output.parent
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            refuse(name, f"cannot be written: {error}")
    return choose_device(args.device)


def load_policy(args: Args) -> tuple[ppo.VPTPolicy, str]:
    """The policy and where it is from."""
    if args.checkpoint is not None:
        folder = find_checkpoint(args.checkpoint, args.save_path)
        manifest = read_manifest(folder)
        policy = ppo.load_openai_policy(folder / "policy.model", folder / "policy.weights", args.temperature)
        # films show values in units of reward
        policy.value_head.normalizer.enabled = manifest.get("args", {}).get("use_normalized_vf", True)
        return policy, str(folder)
    if args.model_path is not None:
        policy = ppo.load_openai_policy(args.model_path, args.weights_path, args.temperature)
        fresh = args.weights_path is None and not Path(args.model_path).is_dir()
        return policy, f"{args.model_path}, {'RANDOM WEIGHTS' if fresh else args.weights_path or 'its own weights'}"
    return ppo.policy_generator(), "policy_generator" if args.player == "policy" else args.player


def load_task(task: str | None) -> Callable[[], minestudio_envs.MinecraftSim]:
    """The environment generator that --task means. Raises SystemExit."""
    if task is None:
        return ppo.env_generator
    entries = {id: str(spec.entry_point) for id, spec in gymnasium.registry.items()}
    ours = {id: entry for id, entry in entries.items() if entry.startswith("minestudio_envs.tasks:")}
    ours |= {entry.split(":")[1]: entry for entry in ours.values()}
    where, colon, name = ours.get(task, task).rpartition(":")
    if not colon:
        raise SystemExit(f"--task {task} is no task, file.py:function or module:function; {nearest(task, ours)}")
    sys.path.append(str(Path(where).parent))  # of a module: the current folder
    try:
        if where.endswith(".py"):
            spec = importlib.util.spec_from_file_location(f"task_{Path(where).stem}", where)
            module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(where)
    except Exception as error:  # anyone's file can raise anything
        raise SystemExit(f"--task {task}: {where} cannot be loaded ({type(error).__name__}: {error})") from error
    if not callable(getattr(module, name, None)):
        known = inspect.getmembers(module, lambda f: inspect.isfunction(f) and f.__module__ == module.__name__)
        raise SystemExit(f"--task {task}: {where} has no function {name!r}; {nearest(name, dict(known))}")
    return getattr(module, name)


@torch.no_grad()
def play(args: Args, policy: Any, envs: Any, device: torch.device, video: VideoRecorder, show: Callable) -> list[dict]:
    """The episodes that count, by number and environment. Calls show(how many so far, steps of those so far).

    envs: as make_vec makes them, a Gymnasium VectorEnv of tensors with NEXT_STEP autoreset.
    """
    n = envs.num_envs
    quota = (args.episodes - torch.arange(n) + n - 1) // n  # they sum up to args.episodes
    films, limit = min(args.videos, int(quota[0])), max(args.max_steps, envs.time_limit or 0)
    rng = torch.Generator(device).manual_seed(args.seed)
    memory = policy.initial_memory(n)
    players = None
    if args.player != "policy":
        habits = {"habits": HABITS, "hunter": HUNTER}.get(args.player)
        players = RandomPlayers(envs, args.seed) if habits is None else ScriptedPlayers(envs, habits, args.seed)
    image = envs.reset(seed=args.seed)[0]["image"]
    first, done = torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.bool)
    reward, returns = torch.zeros(n), torch.zeros(n, dtype=torch.float64)
    lengths, played = torch.zeros(n, dtype=torch.int64), torch.zeros(n, dtype=torch.int64)
    episodes, steps = [], 0
    while (counts := played < quota).any() or video.active:  # a film ends with what its last action led to
        if players is None:
            output = policy(image[:, None].to(device), first[:, None].to(device), memory, inplace=True)
            actions = ppo.sample_actions(output, rng, args.deterministic)
            buttons, camera = (action.squeeze(1).cpu() for action in actions)
        else:
            buttons, camera = players.act().values()
        if first[0] and played[0] < films:
            video.request(f"episode_{int(played[0])}")
        if video.active and video.wants(bool(first[0])):
            value = float(policy.denormalize(output.vpred[0, 0])) if players is None else None
            video.step(value, int(buttons[0]), int(camera[0]), float(reward[0]))

        obs, reward, terminated, truncated, _ = envs.step({"buttons": buttons, "camera": camera})
        image, playing = obs["image"], ~done  # the step after an episode's end only resets
        returns += reward * playing
        lengths += playing
        steps += int((counts & playing).sum())
        first, done = done, terminated | truncated
        for i in done.nonzero().flatten().tolist():
            if counts[i]:
                episode = {"seed": args.seed, "environment": i, "episode": int(played[i])}
                episode |= {"return": float(returns[i]), "length": int(lengths[i])}
                episodes.append(episode | {"terminated": bool(terminated[i])})
            played[i] += 1
            returns[i] = lengths[i] = 0
        for i in (counts & (lengths >= limit)).nonzero().flatten().tolist():
            raise SystemExit(
                f"episode {int(played[i])} of environment {i} is still running after {limit} steps: without it the "
                "mean would be wrong. Raise --max-steps, or give the task a time limit (JudgeResetCallback)"
            )
        show(len(episodes), steps)
    return sorted(episodes, key=lambda episode: (episode["episode"], episode["environment"]))


def t_quantile(dof: int) -> float:
    """t with P(|T| < t) = 0.95 for Student's T: with t = sqrt(dof) tan(a) the density of a is cos(a)^(dof - 1)."""
    edges = np.linspace(0, np.pi / 2, 200_001)
    mass = np.cumsum(np.cos((edges[1:] + edges[:-1]) / 2) ** (dof - 1))
    return math.sqrt(dof) * math.tan(np.interp(0.95 * mass[-1], mass, edges[1:]))


def wilson_interval(successes: int, n: int, z: float = 1.959964) -> list[float]:
    """[low, high] of a rate of successes, 95 % (Wilson 1927): unlike p ± z s it holds near 0 and 1 too."""
    p, shrink = successes / n, 1 + z * z / n
    center, half = (p + z * z / (2 * n)) / shrink, z / shrink * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return [max(0.0, center - half), min(1.0, center + half)]


def summarize(episodes: list[dict], success_return: float | None = None) -> dict[str, Any]:
    """What the episodes say of the policy; None where they say nothing: the spread of one, an undefined success."""
    returns = np.array([episode["return"] for episode in episodes])
    n, mean, std = len(returns), float(returns.mean()), float(returns.std(ddof=1)) if len(returns) > 1 else None
    half = None if std is None else t_quantile(n - 1) * std / math.sqrt(n)
    successes = None if success_return is None else int((returns >= success_return).sum())
    return {
        "episodes": n,
        "return_mean": mean,
        "return_ci95": None if half is None else [mean - half, mean + half],
        "return_std": std,
        "return_min": float(returns.min()),
        "return_max": float(returns.max()),
        "length_mean": float(np.mean([episode["length"] for episode in episodes])),
        "success_rate": None if successes is None else successes / n,
        "success_ci95": None if successes is None else wilson_interval(successes, n),
    }


def make_table(s: dict[str, Any], rows: dict[str, str], success_return: float | None) -> Table:
    """The statistics below `rows`."""
    spread = s["return_std"] is not None
    half = f"± {s['return_ci95'][1] - s['return_mean']:.3f} (95 %, Student's t)" if spread else "(one has no interval)"
    rows |= {"episodes": f"{s['episodes']}", "mean return": f"{s['return_mean']:.3f} {half}"}
    rows |= {"standard deviation": f"{s['return_std']:.3f}"} if spread else {}
    rows["least, greatest"] = f"{s['return_min']:.3f}, {s['return_max']:.3f}"
    rows["mean length"] = f"{s['length_mean']:.1f} steps"
    if success_return is not None:
        low, high = s["success_ci95"]
        rows[f"return >= {success_return:g}"] = f"{s['success_rate']:.1%}, {low:.1%} to {high:.1%} (95 %, Wilson)"
    table = Table(show_header=False)
    for row in (rows | {"SPS, filming included": f"{s['SPS']:,.0f}"}).items():
        table.add_row(*row)
    return table


def main(args: Args) -> dict[str, Any]:
    """Evaluate -> what --output holds."""
    device = check_args(args)
    keep_freed_memory()
    console = make_console()
    torch.manual_seed(args.seed)
    task = load_task(args.task)
    policy, origin = load_policy(args)
    policy.to(device).eval()
    height, width, _ = policy.net_args["img_shape"]
    num_envs, task_name = min(args.num_envs, args.episodes), args.task or "env_generator"
    try:  # no `stagger`: the first episodes count too
        envs = minestudio_envs.make_vec(task, num_envs, seed=args.seed, obs_size=(width, height), copy=False)
    except Exception as error:  # anyone's generator can raise anything
        raise SystemExit(f"--task {task_name} makes no environment ({type(error).__name__}: {error})") from error
    if set(envs.single_action_space) != {"buttons", "camera"}:
        raise SystemExit(f"--task {task_name} has action_type='env': the policy needs 'agent'")
    if args.videos > (films := -(-args.episodes // num_envs)):
        logger.warning(f"{films} films, not {args.videos}: environment 0 plays no more. Fewer --num-envs would help")

    video = VideoRecorder(envs, args.video_dir, width=640, fps=20)
    columns = ("{task.completed}/{task.total} episodes", BarColumn(), "{task.description}", TimeElapsedColumn(), "ETA")
    progress = Progress(*columns, TimeRemainingColumn(), console=console)
    bar = progress.add_task("", total=args.episodes)
    show = lambda done, steps: progress.update(bar, completed=done, description=f"{steps:,} steps")  # noqa: E731
    envs.reset(seed=args.seed)  # compiles the engine, if that was not yet done
    began = time.perf_counter()
    try:
        with progress:
            episodes = play(args, policy, envs, device, video, show)
    finally:
        video.close()
        envs.close()
    statistics = summarize(episodes, args.success_return)
    statistics["SPS"] = sum(episode["length"] for episode in episodes) / (time.perf_counter() - began)
    report = {
        "settings": dataclasses.asdict(args),
        "policy": origin,
        "temperature": policy.temperature,
        "device": str(device),
        "statistics": statistics,
        "films": video.pop_finished(),
        "episodes": episodes,
    }
    args.output.write_text(json.dumps(report, indent=1, default=str) + "\n")
    about = {"policy": origin + ", deterministic" * args.deterministic, "task": task_name}
    console.print(make_table(statistics, about, args.success_return))
    console.print(*report["films"], args.output, sep="\n")
    return report


if __name__ == "__main__":
    try:
        main(tyro.cli(Args, description=__doc__))
    except (VPTFileError, CheckpointError) as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("interrupted: nothing was written, those that had ended were the shorter ones") from None
