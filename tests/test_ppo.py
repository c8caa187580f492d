"""The training loop on a toy environment: invariants of the algorithm, and that it learns."""

import dataclasses

import numpy as np
import pytest
import torch

from ppo_vpt_online import SMALL_NET_ARGS, Args, Trainer, VPTPolicy, entropy, kl_divergence, log_prob

NET_ARGS = SMALL_NET_ARGS | {
    "hidsize": 32,
    "attention_heads": 2,
    "img_shape": [8, 8, 3],
    "impala_chans": [4, 4, 4],
    "attention_memory_size": 24,
    "timesteps": 16,
}


class ColourEnv:
    """Shows black or white; pressing attack when, and only when, it was white `delay` steps ago pays 1.

    Episodes are truncated after `length` steps; the step after that resets (Gymnasium's NEXT_STEP).
    """

    def __init__(self, num_envs: int, delay: int = 0, length: int = 11, reward: float = 1.0):
        self.num_envs, self.delay, self.length, self.reward = num_envs, delay, length, reward

    def reset(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.age = torch.arange(self.num_envs) % self.length
        self.returns = torch.zeros(self.num_envs)
        self.done = torch.zeros(self.num_envs, dtype=torch.bool)
        self.colours = torch.zeros(self.num_envs, self.delay + 1, dtype=torch.int64)
        return self.show(), {}

    def show(self):
        new = torch.from_numpy(self.rng.integers(0, 2, self.num_envs))
        self.colours = torch.cat([new[:, None], self.colours[:, :-1]], 1)
        image = (new * 255).to(torch.uint8)[:, None, None, None].expand(-1, 8, 8, 3)
        return {"image": image.clone()}

    def step(self, action):
        attack = action["buttons"] // 4 % 2
        rewards = self.reward * (attack == self.colours[:, -1]).float()
        began = self.done
        rewards[began] = 0.0
        self.age = torch.where(began, 0, self.age + 1)
        self.returns = torch.where(began, 0.0, self.returns + rewards)
        self.colours[began] = 0
        self.done = (self.age >= self.length) & ~began
        infos = {"episode": {"r": self.returns, "l": self.age}, "_episode": self.done}
        return self.show(), rewards, torch.zeros_like(self.done), self.done.clone(), infos


def make_trainer(tmp_path, env=None, **kwargs):
    args = dataclasses.replace(
        Args(
            num_envs=8,
            fragment_length=16,
            batch_size=4,
            batches_per_iteration=2,
            gradient_accumulation=1,
            context_length=8,
            record_video_interval=0,
            learning_rate=1e-3,
        ),
        **kwargs,
    )
    torch.manual_seed(args.seed)
    envs = env or ColourEnv(args.num_envs)
    return Trainer(args, VPTPolicy(NET_ARGS), envs, tmp_path, torch.device("cpu"))


def iterate(trainer, count=1):
    for _ in range(count):
        trainer.collect()
        metrics = trainer.update(*trainer.estimate_advantages())
        trainer.iteration += 1
    return metrics


def test_on_fresh_fragments_the_ratio_is_one_and_the_reference_is_the_policy(tmp_path):
    """Chunked recomputation gives the log-probabilities of acting step by step, across resets and fragments."""
    trainer = make_trainer(tmp_path, learning_rate=0.0, epochs_per_iteration=1, batches_per_iteration=4)
    for _ in range(3):
        metrics = iterate(trainer)
        assert (~trainer.fragments.valid).sum() > 0, "no reset in the fragments: the test would show nothing"
        assert abs(metrics["losses/approx_kl"]) < 1e-6
        assert abs(metrics["losses/kl_to_reference"]) < 1e-6
        assert metrics["losses/clipfrac"] == 0.0
        # on every single step, not only on average
        f = trainer.fragments
        output = trainer.policy(f.images[:8], f.first[:8], trainer.start_memories[0])
        new = log_prob(output, f.buttons[:8], f.camera[:8])
        assert (new - f.logprobs[:8]).abs().max() < 1e-4
        kl = kl_divergence(trainer.reference.heads(trainer.reference_latents[:8], None), output)
        assert kl.abs().max() < 1e-4


def gradients(tmp_path, **kwargs):
    trainer = make_trainer(tmp_path, epochs_per_iteration=1, **kwargs)
    trainer.collect()
    seen = []
    trainer.step_optimizer = lambda norm: seen.append(
        [p.grad.clone() for p in trainer.policy.parameters() if p.requires_grad]
    )
    trainer.update(*trainer.estimate_advantages())
    return seen


def test_accumulated_micro_batches_give_the_gradient_of_one_large_batch(tmp_path):
    (large,) = gradients(tmp_path, batch_size=8, batches_per_iteration=1, gradient_accumulation=1)
    (small,) = gradients(tmp_path, batch_size=2, batches_per_iteration=4, gradient_accumulation=4)
    assert any(g.abs().max() > 1e-3 for g in large)
    for a, b in zip(large, small, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_resetting_steps_teach_nothing(tmp_path):
    """Whatever stands in a masked step's action and reward, the update is the same."""
    weights = []
    for junk in (0, 77):
        trainer = make_trainer(tmp_path)
        trainer.collect()
        masked = ~trainer.fragments.valid
        assert masked.any()
        trainer.fragments.buttons[masked] = junk
        trainer.fragments.logprobs[masked] = -float(junk)
        trainer.fragments.rewards[masked] = float(junk)
        trainer.update(*trainer.estimate_advantages())
        weights.append(torch.cat([p.detach().flatten() for p in trainer.policy.parameters()]))
    assert torch.equal(*weights)


def test_a_nonfinite_gradient_is_skipped_counted_and_at_last_fatal(tmp_path):
    trainer = make_trainer(tmp_path, env=ColourEnv(8, reward=float("inf")), max_nonfinite_steps=5)
    before = [p.clone() for p in trainer.policy.parameters()]  # the value's statistics too
    metrics = iterate(trainer)
    assert metrics["losses/skipped_steps"] == 4 and trainer.nonfinite_steps == 4
    after = list(trainer.policy.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    with pytest.raises(FloatingPointError, match=r"6 optimizer steps in a row \(iteration 2\)"):
        iterate(trainer)


def test_the_leash_holds_the_policy_near_the_reference(tmp_path):
    kls = []
    for coef in (1e-6, 1.0):
        trainer = make_trainer(tmp_path, kl_divergence_coef_rho=coef, coef_rho_decay=1.0)
        kls.append(iterate(trainer, 8)["losses/kl_to_reference"])
    assert kls[1] < 0.5 * kls[0]


def test_the_leash_loosens_by_the_decay(tmp_path):
    trainer = make_trainer(tmp_path, kl_divergence_coef_rho=0.2, coef_rho_decay=0.5)
    assert [iterate(trainer)["charts/kl_coef"] for _ in range(3)] == [0.2, 0.1, 0.05]


def test_the_learning_rate_anneals_to_zero(tmp_path):
    trainer = make_trainer(tmp_path, learning_rate=1e-3, anneal_lr_linearly=True, num_iterations=4)
    rates = [iterate(trainer)["charts/learning_rate"] for _ in range(4)]
    np.testing.assert_allclose(rates, [1e-3, 7.5e-4, 5e-4, 2.5e-4])


def test_weight_decay_shrinks_matrices_and_nothing_else(tmp_path):
    trainer = make_trainer(tmp_path, weight_decay=0.5)
    before = {name: p.clone() for name, p in trainer.policy.named_parameters()}
    for p in trainer.policy.parameters():
        p.grad = torch.zeros_like(p) if p.requires_grad else None
    trainer.optimizer.step()
    changed = {name for name, p in trainer.policy.named_parameters() if not torch.equal(p, before[name])}
    matrices = {name for name, p in before.items() if p.ndim >= 2 and p.any()}
    assert changed == matrices


def test_more_entropy_bonus_means_more_entropy(tmp_path):
    entropies = []
    for coef in (-0.5, 0.5):
        trainer = make_trainer(tmp_path, entropy_bonus_coef=coef, kl_divergence_coef_rho=0.0)
        iterate(trainer, 6)
        f = trainer.fragments
        entropies.append(entropy(trainer.policy(f.images, f.first, trainer.memory)).mean().item())
    assert entropies[1] > entropies[0] + 0.5


def test_several_rounds_fill_an_iteration(tmp_path):
    trainer = make_trainer(tmp_path, batch_size=8, batches_per_iteration=3)
    iterate(trainer)
    assert len(trainer.start_memories) == 3 and trainer.fragments.images.shape[:2] == (24, 16)
    assert trainer.global_step == trainer.fragments.valid.sum()


def test_the_same_seed_gives_the_same_weights(tmp_path):
    runs = []
    for seed in (1, 1, 2):
        trainer = make_trainer(tmp_path, seed=seed)
        iterate(trainer, 2)
        runs.append(torch.cat([p.detach().flatten() for p in trainer.policy.parameters()]))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("delay, seed", [(0, 1), (0, 2), (1, 1), (1, 2)])
def test_it_learns_to_see_and_to_remember(tmp_path, delay, seed):
    """delay 0 needs the eyes, delay 1 the memory: the colour that pays is no longer in view. Chance is 0.5."""
    trainer = make_trainer(
        tmp_path,
        env=ColourEnv(32, delay=delay),
        seed=seed,
        num_envs=32,
        batch_size=16,
        batches_per_iteration=2,
        learning_rate=5e-3,
        discount=0.0,
        kl_divergence_coef_rho=0.0,
    )
    rewards = []
    while len(rewards) < 120 and not (len(rewards) > 5 and np.mean(rewards[-3:]) > 0.95):
        iterate(trainer)
        f = trainer.fragments
        rewards.append(float(f.rewards[f.valid].mean()))
    assert np.mean(rewards[:2]) < 0.6
    assert np.mean(rewards[-3:]) > 0.95
