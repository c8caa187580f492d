"""Advantages, against the textbook sum written out episode by episode."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_vpt_online import (
    gae,
    masked_mean,
    normalize_advantages,
    off_policy_terms,
    policy_loss,
    value_loss,
    vtrace,
)


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

    columns = (torch.tensor(x)[None] for x in (rewards, [*values, next_value], terminated, truncated, valid))
    advantages, returns = gae(*columns, discount, lam)
    np.testing.assert_allclose(advantages[0], expected, atol=1e-9)
    np.testing.assert_allclose(returns[0], np.where(valid, expected + values, 0.0), atol=1e-9)


def test_a_time_limit_bootstraps_and_a_death_does_not():
    no, yes = torch.tensor([[False]]), torch.tensor([[True]])
    reward, values = torch.tensor([[1.0]]), torch.tensor([[0.5, 10.0]])
    dead, _ = gae(reward, values, yes, no, yes, 0.9, 0.95)
    out_of_time, _ = gae(reward, values, no, yes, yes, 0.9, 0.95)
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
    loss, _ = policy_loss(ratio.log(), torch.zeros(5), advantages, torch.ones(5), 0.2, 50.0)
    torch.testing.assert_close(loss, torch.tensor([-0.5, 0.8, -1.2, 1.5, -1.1]))
    loss.sum().backward()
    assert (ratio.grad != 0).tolist() == [True, False, False, True, True]


def test_policy_loss_stays_finite_for_impossible_actions():
    loss, logratio = policy_loss(*torch.tensor([[0.0], [-1e4], [-1.0], [1.0]]), 0.2, 50.0)
    assert torch.isfinite(loss).all() and logratio.item() == 50.0


def random_episodes(seed, length=20):
    """(rewards, values, terminated, truncated, valid), each [1, T] but values [1, T + 1], and logrho [1, T]."""
    rng = np.random.default_rng(seed)
    terminated, truncated, valid = np.zeros(length, bool), np.zeros(length, bool), np.ones(length, bool)
    for t in range(length - 1):
        if valid[t] and rng.random() < 0.3:
            (terminated if rng.random() < 0.5 else truncated)[t] = True
            valid[t + 1] = False
    rewards = rng.normal(size=length) * valid
    columns = rewards, rng.normal(size=length + 1), terminated, truncated, valid
    return [torch.tensor(x)[None] for x in columns], torch.tensor(rng.normal(size=length))[None]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.5, 1.0), st.floats(0.0, 1.0), st.floats(0.3, 3.0))
def test_vtrace_is_the_papers_sum(seed, discount, lam, clip):
    """v_s = V_s + sum_t discount^(t-s) (prod_{i<t} c_i) rho_t delta_t, over the rest of the episode."""
    columns, logrho = random_episodes(seed)
    rewards, values, terminated, truncated, valid = (x[0].numpy() for x in columns)
    rho = np.minimum(clip, np.exp(logrho[0].numpy()))
    length = len(rewards)

    def v(s):
        if s == length or not valid[s]:  # the last observation: of an episode, or of the chunk
            return values[s]
        total, weight = values[s], 1.0
        for t in range(s, length):
            delta = rewards[t] + discount * (0.0 if terminated[t] else values[t + 1]) - values[t]
            total += weight * rho[t] * delta
            weight *= discount * lam * rho[t]
            if terminated[t] or truncated[t]:
                break
        return total

    advantages, returns = vtrace(*columns, logrho, discount, lam, clip)
    for t in range(length):
        if not valid[t]:
            assert advantages[0, t] == 0 and returns[0, t] == 0
            continue
        after = 0.0 if terminated[t] else values[t + 1] if truncated[t] else v(t + 1)
        np.testing.assert_allclose(advantages[0, t], rho[t] * (rewards[t] + discount * after - values[t]), atol=1e-9)
        np.testing.assert_allclose(returns[0, t], v(t), atol=1e-9)


def test_vtrace_on_fresh_fragments_is_gae():
    columns, logrho = random_episodes(3)
    fresh = torch.zeros_like(logrho)
    torch.testing.assert_close(vtrace(*columns, fresh, 0.9, 0.8, 1.0)[1], gae(*columns, 0.9, 0.8)[1])
    torch.testing.assert_close(vtrace(*columns, fresh, 0.9, 1.0, 1.0)[0], gae(*columns, 0.9, 1.0)[0])


def test_the_three_losses_differ_in_what_they_divide_by():
    """mu 0.1, pi_prox 0.2, pi_theta 0.22: by hand."""
    new, prox, mu = torch.tensor([[0.22], [0.2], [0.1]]).log()
    advantages = torch.tensor([1.0])
    losses = {}
    for name in ("decoupled", "behavior", "proximal"):
        old, weights = off_policy_terms(name, prox, mu, 5.0, 50.0)
        losses[name] = policy_loss(new, old, advantages, weights, 0.2, 50.0)[0].item()
    np.testing.assert_allclose(losses["decoupled"], -2.0 * 1.1, rtol=1e-5)
    np.testing.assert_allclose(losses["behavior"], -1.2, rtol=1e-5)  # 2.2, clipped
    np.testing.assert_allclose(losses["proximal"], -1.1, rtol=1e-5)
    assert off_policy_terms("decoupled", prox, mu, 1.5, 50.0)[1].item() == 1.5
    np.testing.assert_allclose(off_policy_terms("decoupled", prox, mu - 9, 1e9, 1.0)[1].item(), np.e, rtol=1e-5)


def test_without_staleness_the_three_losses_are_one():
    new, mu, advantages = torch.randn(3, 50)
    losses = [
        policy_loss(new, old, advantages, weights, 0.2, 50.0)[0]
        for old, weights in (
            off_policy_terms(name, mu, mu, 2.0, 50.0) for name in ("decoupled", "behavior", "proximal")
        )
    ]
    assert torch.equal(losses[0], losses[1]) and torch.equal(losses[0], losses[2])


def test_a_clipped_value_loss_has_no_gradient_beyond_the_clip():
    vpred = torch.tensor([0.5, 0.5, 0.1, -0.5], requires_grad=True)
    returns, old = torch.tensor([1.0, 0.0, 1.0, 1.0]), torch.zeros(4)
    loss = value_loss(vpred, returns, old, 0.2)
    torch.testing.assert_close(loss, torch.tensor([0.64, 0.25, 0.81, 2.25]))
    loss.sum().backward()
    assert (vpred.grad != 0).tolist() == [False, True, True, True]
    torch.testing.assert_close(value_loss(vpred, returns, old, None), (vpred - returns) ** 2)
