"""Advantages, against the textbook sum written out episode by episode."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_vpt_online import gae, masked_mean, normalize_advantages, policy_loss


def episode_advantages(rewards, values, bootstrap, discount, lam):
    """sum_k (discount * lam)^k delta_{t+k} over the rest of one episode, in plain Python."""
    values = [*values, bootstrap]
    deltas = [r + discount * values[t + 1] - values[t] for t, r in enumerate(rewards)]
    return [sum((discount * lam) ** (k - t) * deltas[k] for k in range(t, len(deltas))) for t in range(len(deltas))]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 24), st.floats(0.5, 1.0), st.floats(0.0, 1.0))
def test_gae_equals_the_sum_over_each_episode(seed, length, discount, lam):
    rng = np.random.default_rng(seed)
    rewards, values = rng.normal(size=length), rng.normal(size=length)
    next_value = rng.normal()
    terminated, truncated, valid = np.zeros(length, bool), np.zeros(length, bool), np.ones(length, bool)
    if rng.random() < 0.3:  # the fragment begins with the reset after an episode that ended in the one before
        valid[0] = False
    for t in range(length):
        if not valid[t]:
            continue
        end = rng.random()
        terminated[t], truncated[t] = end < 0.2, 0.1 < end < 0.3  # some steps are both
        if (terminated[t] or truncated[t]) and t + 1 < length:
            valid[t + 1] = False
    rewards[~valid] = 0.0

    expected = np.zeros(length)
    start = 0
    for t in range(length):
        if not valid[t]:
            start = t + 1
            continue
        last = terminated[t] or truncated[t] or t == length - 1
        if last:
            after = values[t + 1] if t + 1 < length else next_value
            bootstrap = 0.0 if terminated[t] else after
            expected[start : t + 1] = episode_advantages(
                rewards[start : t + 1], values[start : t + 1], bootstrap, discount, lam
            )
            start = t + 1

    tensors = (torch.tensor(x)[None] for x in (rewards, values))
    flags = (torch.tensor(x)[None] for x in (terminated, truncated, valid))
    advantages, returns = gae(*tensors, torch.tensor([next_value], dtype=torch.float64), *flags, discount, lam)
    np.testing.assert_allclose(advantages[0], expected, atol=1e-9)
    np.testing.assert_allclose(returns[0], np.where(valid, expected + values, 0.0), atol=1e-9)


def test_a_time_limit_bootstraps_and_a_death_does_not():
    no, yes = torch.tensor([[False]]), torch.tensor([[True]])
    reward, value, next_value = torch.tensor([[1.0]]), torch.tensor([[0.5]]), torch.tensor([10.0])
    dead, _ = gae(reward, value, next_value, yes, no, yes, 0.9, 0.95)
    out_of_time, _ = gae(reward, value, next_value, no, yes, yes, 0.9, 0.95)
    assert dead.item() == 0.5
    assert abs(out_of_time.item() - 9.5) < 1e-6


def test_masked_steps_count_in_no_statistic():
    x = torch.tensor([[1.0, torch.nan, 3.0]])
    mask = torch.tensor([[True, False, True]])
    assert masked_mean(x, mask) == 2.0
    normalized = normalize_advantages(x, mask)
    torch.testing.assert_close(normalized, torch.tensor([[-1.0, 0.0, 1.0]]))


def test_policy_loss_clips_only_where_the_step_would_go_too_far():
    ratio = torch.tensor([0.5, 0.5, 1.5, 1.5, 1.1]).requires_grad_()
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])
    loss, _ = policy_loss(ratio.log(), torch.zeros(5), advantages, 0.2, 50.0)
    torch.testing.assert_close(loss, torch.tensor([-0.5, 0.8, -1.2, 1.5, -1.1]))
    loss.sum().backward()
    assert (ratio.grad != 0).tolist() == [True, False, False, True, True]


def test_policy_loss_stays_finite_for_impossible_actions():
    loss, logratio = policy_loss(torch.tensor([0.0]), torch.tensor([-1e4]), torch.tensor([-1.0]), 0.2, 50.0)
    assert torch.isfinite(loss).all() and logratio.item() == 50.0
