"""Settings of a training run: from the command line or a checkpoint, checked before anything starts."""

import dataclasses
import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
import tyro

from minestudio_envs.training.checkpoints import CheckpointError, find_checkpoint, read_manifest

logger = logging.getLogger("ppo_vpt")
T = TypeVar("T")


def parse_args(args: type[T] | T, description: str | None = None, argv: Sequence[str] | None = None) -> T:
    """`args`, a dataclass or an instance with other defaults, from the command line.

    Each of the dataclass's bases is a group in --help, titled by its docstring; flags carry no group's name.
    """
    default = args() if isinstance(args, type) else args
    bases = type(default).__bases__
    split = dataclasses.make_dataclass("Split", [(base.__name__.removesuffix("Args"), base) for base in bases])
    parts = [base(**{f.name: getattr(default, f.name) for f in dataclasses.fields(base)}) for base in bases]
    config = (tyro.conf.OmitArgPrefixes,)
    parsed = tyro.cli(split, args=argv, default=split(*parts), description=description, config=config)
    values: dict[str, Any] = {}
    for base in bases:
        values |= vars(getattr(parsed, base.__name__.removesuffix("Args")))
    return type(default)(**values)


def command_line(args: type[T], description: str | None = None) -> T:
    """`args` from the command line; with --resume, settings that are not given are the checkpoint's."""
    parsed = parse_args(args, description)
    if parsed.resume is None:
        return parsed
    folder = find_checkpoint(parsed.resume, runs_path(parsed.save_path))
    try:
        saved = args(**read_manifest(folder)["args"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{folder} was written with other settings than this code has: {error}") from error
    again = {"resume": str(folder), "resume_optimizer": parsed.resume_optimizer}  # of this start, not of the run
    return dataclasses.replace(parse_args(saved, description), **again)


def runs_path(save_path: str | None) -> Path:
    """The folder of all runs."""
    return Path.home() / "ray_results" if save_path is None else Path(save_path)


def check_args(args: Any, flags: Mapping[str, str] | None = None, ranks: int | None = None) -> None:
    """Refuse settings that cannot work. Raises SystemExit with a message that names the flag.

    flags: how they are spelled, if not as the settings. ranks: processes that learn, and that do not collect.
    """

    def flag(name: str) -> str:
        return "--" + (flags or {}).get(name, name).replace("_", "-")

    def refuse(name: str, fault: str) -> None:
        raise SystemExit(f"{flag(name)} {getattr(args, name)} {fault}")

    at_least_1 = (
        "num_envs fragment_length num_iterations batch_size_per_gpu batches_per_iteration gradient_accumulation"
    )
    at_least_1 += " epochs_per_iteration context_length save_interval keep_interval video_fps max_chunks max_reuse"
    at_least_1 += " fragments_per_chunk num_shards prefetch_batches"
    at_least_0 = (
        "learning_rate weight_decay adam_eps max_grad_norm ppo_clip ppo_policy_coef ppo_vf_coef is_clip vtrace_clip"
    )
    at_least_0 += " kl_divergence_coef_rho log_ratio_range record_video_interval vf_warmup inference_batch_size"
    at_least_0 += " max_staleness max_nonfinite_steps replay_memory fragments_per_report burn_in_length"
    at_least_0 += " sleep_epochs sleep_vf_coef sleep_kl_coef seed"
    lowest = dict.fromkeys(at_least_1.split(), 1) | dict.fromkeys(at_least_0.split(), 0) | {"video_width": 32}
    for name, low in lowest.items():
        if not low <= getattr(args, name) < math.inf:
            refuse(name, f"must be at least {low}")
    if args.seed >= 2**63:
        refuse("seed", "must be below 2^63")
    for name in ("discount", "gae_lambda", "vf_ewma_beta", "coef_rho_decay"):
        if not 0 <= getattr(args, name) <= 1:
            refuse(name, "must be between 0 and 1")
    if args.temperature is not None and not 0 < args.temperature < math.inf:
        refuse("temperature", "must be positive")
    fragments = args.batch_size_per_gpu * args.batches_per_iteration * (ranks or 1)
    if ranks is None and args.max_staleness and fragments % (args.num_envs * args.fragments_per_chunk):
        logger.warning(
            f"an iteration trains on {fragments} fragments, and --num-envs {args.num_envs} collect "
            f"{args.num_envs * args.fragments_per_chunk} at once: those left over wait for the next iteration"
        )
    if args.batches_per_iteration % args.gradient_accumulation:
        refuse("gradient_accumulation", f"must divide {flag('batches_per_iteration')} {args.batches_per_iteration}")
    if args.batch_size_per_gpu % args.fragments_per_chunk:
        refuse("fragments_per_chunk", f"must divide {flag('batch_size_per_gpu')} {args.batch_size_per_gpu}")
    if fragments > args.max_chunks * args.fragments_per_chunk:
        refuse("max_chunks", f"cannot hold an iteration's {fragments} fragments, batch size times batches")
    if args.memory == "burn-in" and args.burn_in_length >= args.fragment_length * args.fragments_per_chunk:
        refuse("burn_in_length", "leaves no step of a chunk to train on")
    if args.advantage == "vtrace" and args.loss == "behavior":
        refuse("loss", f"would weigh by pi / mu a second time beside {flag('advantage')} vtrace: use decoupled")
    if args.enable_ref_update and args.kl_divergence_coef_rho == 0:
        refuse("enable_ref_update", f"needs a reference policy: {flag('kl_divergence_coef_rho')} above 0")
    try:
        torch.zeros(1, device=args.device if args.device != "auto" else "cpu").cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        refuse("device", f"cannot be used ({reason}): use cpu, or cuda where there is a GPU")
    if not re.fullmatch(r"[\w.+-]+", args.name):
        refuse("name", "names a folder: letters, digits and ._+- only")
    for name in ("weights_path", "temperature"):
        if getattr(args, name) is not None and args.model_path is None:
            refuse(name, f"needs {flag('model_path')}, which says which network it is for")
