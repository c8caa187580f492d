"""Numbers that say how off-policy an iteration was, and whether two sets of weights are the same."""

from collections.abc import Sequence

import numpy as np
import torch

from minestudio_envs.training.replay import Chunk


def off_policy_metrics(
    chunks: Sequence[Chunk],
    version: int,
    optimizer_steps: int,
    logrho: torch.Tensor,
    weights: torch.Tensor,
    valid: torch.Tensor,
    is_clip: float,
) -> dict[str, float]:
    """Of an iteration's chunks, just sampled: staleness, reuse, and how far pi_prox is from mu, whatever the loss.

    version, optimizer_steps: of the weights now. logrho: log pi_prox - log mu, float32 [C, S]. weights: float32 [C, S],
    pi_prox / mu up to is_clip. valid: bool [C, S], the steps that count.
    """
    staleness = np.array([version - chunk.version for chunk in chunks])
    steps = np.array([optimizer_steps - chunk.optimizer_steps for chunk in chunks])
    uses = np.array([chunk.uses for chunk in chunks])
    w = torch.where(valid, weights, 0.0)
    count = valid.sum().clamp(min=1)
    return {
        "offpolicy/staleness_mean": float(staleness.mean()),
        "offpolicy/staleness_max": int(staleness.max()),
        "offpolicy/staleness_optimizer_steps_mean": float(steps.mean()),
        "offpolicy/staleness_optimizer_steps_max": int(steps.max()),
        "offpolicy/w_mean": float(w.sum() / count),
        "offpolicy/w_max": float(w.max()),
        "offpolicy/w_at_clip": float((valid & (weights >= is_clip)).sum() / count),
        "offpolicy/effective_sample_size": float(w.sum() ** 2 / (count * w.square().sum().clamp(min=1e-20))),
        "offpolicy/log_prox_behavior_mean": float(torch.where(valid, logrho.abs(), 0.0).sum() / count),
        "replay/reuse_mean": float(uses.mean()),
        "replay/reuse_max": int(uses.max()),
    }


@torch.no_grad()
def weights_digest(policy: torch.nn.Module) -> int:
    """A number that is the same for the same float32 weights, bit for bit: the sum of their bits, as integers."""
    sums = [p.detach().contiguous().view(torch.int32).sum(dtype=torch.int64) for p in policy.parameters()]
    return int(torch.stack([s.cpu() for s in sums]).sum()) % 2**48
