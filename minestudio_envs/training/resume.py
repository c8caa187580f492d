"""What a checkpoint holds: all that a run is, so that a resumed one goes on as if it had never stopped.

Everything is in plain values and tensors, and nothing else is loaded. On the CPU the resumed run is the same bit for
bit, also from the middle of a chunk. The trainer is one of ppo_vpt_online.py.
"""

import dataclasses
import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from minestudio_envs.training.checkpoints import CheckpointError, remove_old_checkpoints, write_checkpoint
from minestudio_envs.training.vpt_files import read_vpt_weights, save_vpt_policy

logger = logging.getLogger("ppo_vpt")

COUNTERS = ("iteration", "optimizer_steps", "trained_steps", "nonfinite_steps")
MISFITS = (KeyError, ValueError, TypeError, RuntimeError, OSError, pickle.UnpicklingError)
BUFFERS = ("next_obs", "next_first", "next_done", "last_reward")


def save_trainer(trainer: Any) -> Path:
    """Write a checkpoint -> its folder, complete or not there."""
    iteration = trainer.learner.iteration
    folder = trainer.run_path / "checkpoints" / f"iteration_{iteration:06d}"
    if iteration == trainer.saved_iteration and folder.exists():  # an interrupt came before another iteration was done
        return folder
    about = {"kind": "ppo_vpt_online", "iteration": iteration, "args": dataclasses.asdict(trainer.args)}
    with write_checkpoint(folder, **about) as aside:
        save_policies(aside, trainer.policy, trainer.reference)
        state = {
            "shapes": _shapes(trainer),
            "learner": learner_state(trainer.learner),
            "collector": _collector_state(trainer.collector),
            "replay": trainer.replay.save(aside / "replay"),
            "fragments_collected": trainer.fragments_collected,
            "torch_rng": torch.get_rng_state(),
        }
        torch.save(state, aside / "trainer.pt")
    trainer.saved_iteration = iteration
    remove_old_checkpoints(folder, trainer.args.keep_interval)
    return folder


def load_trainer(trainer: Any, folder: Path) -> None:
    """Go on from a checkpoint. Raises CheckpointError if it is another code's, or of other settings that matter."""
    try:
        state = torch.load(folder / "trainer.pt", map_location="cpu", weights_only=True)
        saved, own = state["shapes"], _shapes(trainer)
        other = [f"{name} {saved.get(name)}, not {own[name]}" for name in own if saved.get(name) != own[name]]
        if other:
            raise ValueError(f"it has {', '.join(other)}")
        load_policies(folder, trainer.policy, trainer.reference)
        load_learner(trainer.learner, state["learner"])
        _load_collector(trainer.collector, state["collector"])
        trainer.replay.load(state["replay"], folder / "replay", type(trainer.collector.chunks), trainer.device)
        trainer.fragments_collected = state["fragments_collected"]
        torch.set_rng_state(state["torch_rng"])
    except MISFITS as error:
        raise misfit(folder, error) from error
    trainer.collector.version = trainer.saved_iteration = trainer.learner.iteration


def misfit(folder: Path, error: Exception) -> CheckpointError:
    """What to raise when one of MISFITS comes up in loading."""
    return CheckpointError(
        f"{folder} does not fit this code or these settings ({type(error).__name__}: {str(error).splitlines()[0]}). "
        "Resume it with those it was written with, or begin a new run from its policy.model and policy.weights"
    )


def save_policies(folder: Path, policy: Any, reference: Any) -> None:
    save_vpt_policy(policy, folder / "policy.model", folder / "policy.weights")
    if reference is not None:
        torch.save(reference.state_dict(), folder / "reference.pt")


def load_policies(folder: Path, policy: Any, reference: Any) -> None:
    policy.load_state_dict(read_vpt_weights(folder / "policy.weights"))
    if reference is not None:
        reference.load_state_dict(read_vpt_weights(folder / "reference.pt"))


def _shapes(trainer: Any) -> dict[str, Any]:
    """Settings without which what was saved means nothing."""
    names = ("num_envs", "fragment_length", "fragments_per_chunk")
    own = {"reference policy": trainer.reference is not None}
    return own | {name: getattr(trainer.args, name) for name in names} | trainer.policy.net_args


def learner_state(learner: Any) -> dict[str, Any]:
    state = {name: getattr(learner, name) for name in COUNTERS}
    return state | {"rng": learner.rng.bit_generator.state, "optimizer": learner.optimizer.state_dict()}


def load_learner(learner: Any, state: dict[str, Any]) -> None:
    for name in COUNTERS:
        setattr(learner, name, state[name])
    learner.rng.bit_generator.state = state["rng"]
    if learner.args.resume_optimizer:
        settings = [{k: v for k, v in group.items() if k != "params"} for group in learner.optimizer.param_groups]
        learner.optimizer.load_state_dict(state["optimizer"])
        for group, own in zip(learner.optimizer.param_groups, settings, strict=True):
            group.update(own)  # flags given anew hold


def _collector_state(collector: Any) -> dict[str, Any]:
    state = {
        "action_rng": collector.action_rng.get_state(),
        "global_step": collector.global_step,
        "episodes": list(zip(collector.episode_returns, collector.episode_lengths, strict=True)),
        "envs": None,
    }
    if not hasattr(collector.envs, "state_dict"):  # their episodes end with them
        return state
    reference, cat = collector.reference is not None, type(collector.memories[0]).cat
    return (
        {name: getattr(collector, name) for name in BUFFERS}
        | state
        | {
            "t": collector.t,
            "in_progress": [*collector.chunks, collector.ended] if collector.t else [],
            "memory": list(cat(collector.memories)),
            "reference_memory": list(cat(collector.reference_memories)) if reference else None,
            "envs": collector.envs.state_dict(),
        }
    )


def _load_collector(collector: Any, state: dict[str, Any]) -> None:
    collector.action_rng.set_state(state["action_rng"])
    collector.global_step = state["global_step"]
    for returns, length in state["episodes"]:
        collector.episode_returns.append(returns)
        collector.episode_lengths.append(length)
    if state["envs"] is None or not hasattr(collector.envs, "load_state_dict"):
        logger.warning("these environments cannot be saved: new episodes begin, and the run is not bit for bit")
        return
    collector.envs.load_state_dict(state["envs"])
    collector.t = state["t"]
    own = [getattr(collector, name) for name in BUFFERS]
    saved = [state[name] for name in BUFFERS]
    if collector.t:  # the chunks in progress
        own += [*collector.chunks, collector.ended]
        saved += state["in_progress"]
    for tensor, values in zip(own, saved, strict=True):
        tensor.copy_(values)
    memory = type(collector.memories[0])
    collector.spread(memory(*state["memory"]), collector.acting, collector.memories)
    if collector.reference is not None:
        collector.spread(memory(*state["reference_memory"]), collector.watching, collector.reference_memories)
