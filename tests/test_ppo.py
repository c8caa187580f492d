"""The training loop on a toy environment: invariants of the algorithm, and that it learns."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from colour_env import NET_ARGS, ColourEnv

from ppo_vpt_online import SMALL_NET_ARGS, Args, Trainer, VPTPolicy, check_args, kl_divergence, log_prob


def make_trainer(tmp_path, env=None, net_args=NET_ARGS, device="cpu", **kwargs):
    args = dataclasses.replace(
        Args(
            num_envs=8,
            fragment_length=16,
            batch_size_per_gpu=4,
            batches_per_iteration=2,
            gradient_accumulation=1,
            epochs_per_iteration=2,
            context_length=8,
            record_video_interval=0,
            learning_rate=1e-3,
            kl_divergence_coef_rho=0.05,
            entropy_bonus_coef=0.0,
            database_path=str(tmp_path / "replay"),
        ),
        **kwargs,
    )
    check_args(args)
    torch.manual_seed(args.seed)
    envs = env or ColourEnv(args.num_envs)
    return Trainer(args, VPTPolicy(net_args), envs, tmp_path / "run", torch.device(device))


def iterate(trainer, count=1):
    for _ in range(count):
        trainer.collect()
        metrics = trainer.update()
    return metrics


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def collected(trainer):
    """The chunks in the replay, as one batch."""
    (batch,) = trainer.replay.batches([trainer.replay.chunks], trainer.device)
    return batch


def kept(tmp_path, **kwargs):
    """A trainer whose replay holds an iteration's chunks, and those chunks."""
    trainer = make_trainer(tmp_path, **kwargs)
    trainer.collect()
    return trainer, collected(trainer)


# INVARIANTS (numbers 1 to 4; 5, resume, is in test_resume.py)


@pytest.mark.parametrize("memory", ["stored", "burn-in"])
@pytest.mark.parametrize("fragments_per_chunk", [1, 2])
def test_on_fresh_fragments_the_ratio_is_one_and_the_reference_is_the_policy(tmp_path, fragments_per_chunk, memory):
    """Pieces of 8 steps give the log-probabilities of acting step by step, across resets and fragments."""
    trainer = make_trainer(
        tmp_path,
        learning_rate=0.0,
        epochs_per_iteration=1,
        batches_per_iteration=4,
        fragments_per_chunk=fragments_per_chunk,
        memory=memory,
        burn_in_length=8,
        zero_initial_vf=False,
    )
    for _ in range(3):
        trainer.collect()
        batch = collected(trainer)
        assert (~batch.valid).sum() > 0, "no reset in the fragments: the test would show nothing"
        output = trainer.policy(batch.images, batch.first, batch.memory())
        assert (trainer.policy.denormalize(output.vpred) - batch.values).abs().max() < 1e-4
        metrics = trainer.update()
        assert metrics["invariants/fresh_log_prox_behavior"] < 1e-4
        assert metrics["invariants/first_log_ratio"] < 1e-4
        assert metrics["invariants/first_kl_to_reference"] < 1e-4
        assert abs(metrics["losses/approx_kl"]) < 1e-6 and metrics["losses/clipfrac"] == 0.0
        # on every single step of every chunk, not only in the first minibatch
        steps = batch.valid.shape[1]
        new = log_prob(output._replace(buttons=output.buttons[:, :-1], camera=output.camera[:, :-1]), *batch[3:5])
        assert (new - batch.logprobs).abs().max() < 1e-4
        both = trainer.policy.encode(batch.images, batch.first, batch.memory())[0][:, :steps], batch.reference_latents
        kl = kl_divergence(trainer.reference.heads(both[1]), trainer.policy.heads(both[0]))
        assert kl.abs().max() < 1e-4


def test_the_pass_over_stale_chunks_gives_what_acting_gave_if_the_weights_are_the_same(tmp_path):
    trainer, batch = kept(tmp_path, fragments_per_chunk=2, batches_per_iteration=4)
    prox, values = trainer.learner.see_anew(batch, torch.ones(8, dtype=torch.bool))
    torch.testing.assert_close(prox, batch.logprobs, rtol=0, atol=1e-4)
    torch.testing.assert_close(values, batch.values, rtol=0, atol=1e-4)
    with torch.no_grad():
        trainer.policy.pi_head.camera.linear_layer.weight.mul_(5.0)
    some = torch.arange(8) % 2 == 0
    prox, _ = trainer.learner.see_anew(batch, some)
    moved = (prox - batch.logprobs).abs().amax(1) > 1e-3
    assert torch.equal(moved, some)


def gradients(tmp_path, **kwargs):
    trainer = make_trainer(tmp_path, epochs_per_iteration=1, **kwargs)
    trainer.collect()
    seen = []
    trainer.learner.step_optimizer = lambda norm, ids: seen.append(
        [p.grad.clone() for p in trainer.policy.parameters() if p.requires_grad]
    )
    metrics = trainer.update()
    return seen, metrics["invariants/weight_of_a_step"]


def test_accumulated_micro_batches_give_the_gradient_of_one_large_batch(tmp_path):
    (large,), _ = gradients(tmp_path, batch_size_per_gpu=8, batches_per_iteration=1, gradient_accumulation=1)
    (small,), weight = gradients(tmp_path, batch_size_per_gpu=2, batches_per_iteration=4, gradient_accumulation=4)
    assert any(g.abs().max() > 1e-3 for g in large)
    for a, b in zip(large, small, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)
    assert abs(weight - 1) < 1e-6


def test_resetting_steps_teach_nothing(tmp_path):
    """Whatever stands in a masked step's action and reward, the update is the same."""
    results = []
    for junk in (0, 77):
        trainer = make_trainer(tmp_path)
        trainer.collect()
        masked = 0
        for chunk in trainer.replay.chunks:
            masked += (~chunk.data.valid).sum()
            for name in ("buttons", "logprobs", "rewards"):
                getattr(chunk.data, name)[~chunk.data.valid] = -junk if name == "logprobs" else junk
        assert masked
        trainer.update()
        results.append(weights(trainer.policy))
    assert torch.equal(*results)


# STALENESS


def test_reuse_and_staleness_stay_within_their_limits_and_collecting_shrinks(tmp_path):
    trainer = make_trainer(tmp_path, num_envs=2, max_reuse=2, max_staleness=3)
    steps, metrics = [], []
    for _ in range(12):
        before = trainer.collector.global_step
        metrics.append(iterate(trainer))
        steps.append(trainer.collector.global_step - before)
    assert max(m["replay/reuse_max"] for m in metrics) == 2
    assert 1 <= max(m["offpolicy/staleness_max"] for m in metrics) <= 3
    assert max(m["offpolicy/staleness_optimizer_steps_max"] for m in metrics) >= 4
    assert max(m["offpolicy/w_max"] for m in metrics) > 1.0
    assert np.mean(steps[1:]) < 0.7 * steps[0]  # half of an iteration's chunks are new ones


def test_max_staleness_zero_trains_on_fresh_chunks_only(tmp_path):
    trainer = make_trainer(tmp_path, num_envs=6, max_staleness=0, max_reuse=3)
    for _ in range(3):
        metrics = iterate(trainer)
        assert metrics["offpolicy/staleness_max"] == 0 and metrics["offpolicy/w_max"] == 1.0


def test_the_oldest_of_too_many_chunks_go(tmp_path):
    trainer = make_trainer(tmp_path, max_chunks=9, num_envs=5)
    trainer.collect()
    assert [chunk.id for chunk in trainer.replay.chunks] == list(range(1, 10))


def stale_trainer(tmp_path, **kwargs):
    """Its replay holds an iteration's chunks that other weights collected."""
    trainer = make_trainer(tmp_path, epochs_per_iteration=1, **kwargs)
    trainer.collect()
    trainer.replay.keep([])  # the next chunks begin with something to remember
    trainer.collect()
    torch.manual_seed(7)
    with torch.no_grad():
        for p in trainer.policy.pi_head.parameters():
            p.add_(torch.randn_like(p) * 0.3)
    trainer.learner.iteration = 1
    return trainer


def test_each_loss_and_each_clip_trains_otherwise_on_stale_chunks(tmp_path):
    base = {}
    cases = [base, {"loss": "behavior"}, {"loss": "proximal"}, {"is_clip": 1.01}, {"log_ratio_range": 0.01}]
    cases += [{"advantage": "vtrace"}, {"advantage": "vtrace", "vtrace_clip": 0.5}, {"memory": "zero"}]
    cases += [{"memory": "burn-in", "burn_in_length": 4}, {"memory": "burn-in", "burn_in_length": 8}]
    results = []
    for case in cases:
        trainer = stale_trainer(tmp_path, **case)
        metrics = trainer.update()
        assert metrics["offpolicy/staleness_max"] == 1
        assert (
            metrics["offpolicy/w_max"] <= case.get("is_clip", 2.0) and metrics["offpolicy/log_prox_behavior_mean"] > 0
        )
        assert metrics["offpolicy/effective_sample_size"] < 0.9 or case in (
            {"is_clip": 1.01},
            {"log_ratio_range": 0.01},
        )
        results.append(weights(trainer.policy))
        if case is base:
            assert metrics["offpolicy/w_max"] == 2.0 and 0 < metrics["offpolicy/w_at_clip"] < 1
            assert metrics["invariants/first_log_ratio"] < 1e-4  # pi_prox is the policy of now, not mu
    for (a, one), (b, other) in itertools.combinations(zip(cases, results, strict=True), 2):
        assert not torch.equal(one, other), (a, b)


def test_vtrace_weighs_once(tmp_path):
    """With decoupled or proximal loss it is the same: the weight stands in the advantages alone."""
    results = []
    for loss in ("decoupled", "proximal"):
        trainer = stale_trainer(tmp_path, advantage="vtrace", loss=loss)
        trainer.update()
        results.append(weights(trainer.policy))
    assert torch.equal(*results)
    with pytest.raises(SystemExit, match="a second time"):
        make_trainer(tmp_path, advantage="vtrace", loss="behavior")


def test_burned_in_steps_are_not_trained_on(tmp_path):
    trainer = make_trainer(tmp_path, memory="burn-in", burn_in_length=5, epochs_per_iteration=1)
    trainer.collect()
    expected = collected(trainer).valid[:, 5:].sum()
    assert trainer.update()["charts/trained_steps"] == expected


def test_memory_zero_forgets_what_came_before_the_chunk(tmp_path):
    trainer = make_trainer(tmp_path, memory="zero")
    iterate(trainer)
    trainer.collect()
    batch = collected(trainer)
    assert batch.memory_valid.any()
    prox, _ = trainer.learner.see_anew(batch, torch.zeros(8, dtype=torch.bool))
    other = batch._replace(memory_keys=torch.randn_like(batch.memory_keys))
    assert torch.equal(trainer.learner.see_anew(other, torch.zeros(8, dtype=torch.bool))[0], prox)
    assert not torch.equal(prox, batch.logprobs)


def test_chunks_on_disk_train_as_chunks_in_memory(tmp_path):
    results = []
    for gigabytes in (4.0, 0.0):
        trainer = make_trainer(tmp_path, replay_memory=gigabytes, max_reuse=2, num_shards=3, prefetch_batches=1)
        iterate(trainer, 3)
        results.append(weights(trainer.policy))
        folders = sorted(p.name for p in (tmp_path / "replay").glob("process_*/*"))
        assert folders == (["shard_000", "shard_001", "shard_002"] if gigabytes == 0 else [])
        files = list((tmp_path / "replay").rglob("*.h5"))
        assert len(files) == (len(trainer.replay.chunks) if gigabytes == 0 else 0)
        trainer.close()
    assert torch.equal(*results) and not list((tmp_path / "replay").iterdir())


def test_so_many_batches_are_read_ahead(tmp_path):
    trainer = make_trainer(tmp_path, replay_memory=0.0, prefetch_batches=3)
    trainer.collect()
    reads, read = [], trainer.replay.store.read
    trainer.replay.store.read = lambda path: (reads.append(path), read(path))[1]
    batches = trainer.replay.batches([[chunk] for chunk in trainer.replay.chunks], trainer.device)
    next(batches)
    trainer.replay._reader.submit(int).result()  # what was asked for before is done
    assert len(reads) == 4
    batches.close()
    trainer.close()


# THE REFERENCE POLICY


def test_the_leash_holds_the_policy_near_the_reference(tmp_path):
    kls = []
    for coef in (1e-6, 1.0):
        trainer = make_trainer(tmp_path, kl_divergence_coef_rho=coef, coef_rho_decay=1.0)
        kls.append(iterate(trainer, 8)["losses/kl_to_reference"])
    assert kls[1] < 0.5 * kls[0]


def test_the_leash_loosens_by_the_decay(tmp_path):
    trainer = make_trainer(tmp_path, kl_divergence_coef_rho=0.2, coef_rho_decay=0.5)
    assert [iterate(trainer)["charts/kl_coef"] for _ in range(3)] == [0.2, 0.1, 0.05]


def test_the_kl_has_two_directions(tmp_path):
    results = []
    for direction in ("ref-to-policy", "policy-to-ref"):
        trainer = make_trainer(tmp_path, kl_direction=direction, kl_divergence_coef_rho=1.0)
        metrics = iterate(trainer, 3)
        results.append((metrics["losses/kl_to_reference"], weights(trainer.policy)))
    assert results[0][0] != results[1][0] and not torch.equal(results[0][1], results[1][1])


def test_without_a_coefficient_there_is_no_reference(tmp_path):
    trainer = make_trainer(tmp_path, kl_divergence_coef_rho=0.0)
    assert "losses/kl_to_reference" not in iterate(trainer) and trainer.reference is None


def test_the_reference_moves_at_keep_interval_if_told_to(tmp_path):
    for update in (False, True):
        trainer = make_trainer(tmp_path, enable_ref_update=update, keep_interval=2, max_reuse=2)
        iterate(trainer, 2)
        assert torch.equal(weights(trainer.policy.net), weights(trainer.reference.net)) == update
        metrics = iterate(trainer)
        assert (metrics["invariants/first_kl_to_reference"] < 1e-4) == update


# FLAGS OF THE ALGORITHM


def test_the_learning_rate_anneals_to_zero(tmp_path):
    trainer = make_trainer(tmp_path, learning_rate=1e-3, anneal_lr_linearly=True, num_iterations=4)
    rates = [iterate(trainer)["charts/learning_rate"] for _ in range(4)]
    np.testing.assert_allclose(rates, [1e-3, 7.5e-4, 5e-4, 2.5e-4])
    assert trainer.learner.optimizer.param_groups[1]["lr"] == 2.5e-4


def test_weight_decay_shrinks_matrices_and_nothing_else(tmp_path):
    trainer = make_trainer(tmp_path, weight_decay=0.5)
    before = {name: p.clone() for name, p in trainer.policy.named_parameters()}
    for p in trainer.policy.parameters():
        p.grad = torch.zeros_like(p) if p.requires_grad else None
    trainer.learner.optimizer.step()
    changed = {name for name, p in trainer.policy.named_parameters() if not torch.equal(p, before[name])}
    matrices = {name for name, p in before.items() if p.ndim >= 2 and p.any()}
    assert changed == matrices


def test_more_entropy_bonus_means_more_entropy(tmp_path):
    entropies = [
        iterate(make_trainer(tmp_path, entropy_bonus_coef=coef, kl_divergence_coef_rho=0.0), 7)["losses/entropy"]
        for coef in (-0.5, 0.5)
    ]
    assert entropies[1] > entropies[0] + 0.5


def test_in_vf_warmup_only_the_value_head_learns(tmp_path):
    trainer = make_trainer(tmp_path, vf_warmup=2)
    before = {name: p.clone() for name, p in trainer.policy.named_parameters()}
    metrics = iterate(trainer, 2)
    assert metrics["losses/value_loss"] > 0 and "losses/policy_loss" not in metrics
    changed = {name for name, p in trainer.policy.named_parameters() if not torch.equal(p, before[name])}
    assert {"value_head.linear.weight", "value_head.linear.bias"} < changed
    assert all(name.startswith("value_head") for name in changed)
    iterate(trainer)
    assert not torch.equal(
        trainer.policy.pi_head.camera.linear_layer.weight, before["pi_head.camera.linear_layer.weight"]
    )


def test_fix_decoder_freezes_the_action_heads(tmp_path):
    trainer = make_trainer(tmp_path, fix_decoder=True)
    before = weights(trainer.policy.pi_head), weights(trainer.policy.net)
    iterate(trainer)
    assert torch.equal(weights(trainer.policy.pi_head), before[0])
    assert not torch.equal(weights(trainer.policy.net), before[1])


def test_zero_initial_vf_begins_with_a_value_of_zero(tmp_path):
    for zero in (True, False):
        _, batch = kept(tmp_path, zero_initial_vf=zero)
        assert (batch.values == 0).all() == zero


def test_the_value_head_learns_normalized_or_plain_returns(tmp_path):
    """Rewards of 100: the normalized head soon predicts them, the plain one has to climb."""
    means = {}
    for normalized in (True, False):
        trainer = make_trainer(
            tmp_path, env=ColourEnv(8, reward=100.0), use_normalized_vf=normalized, discount=0.5, learning_rate=1e-3
        )
        iterate(trainer, 3)
        trainer.collect()
        means[normalized] = collected(trainer).values.mean()
        moved = any(p.any() for p in trainer.policy.value_head.normalizer.parameters())
        assert moved == normalized
    assert means[True] > 10 * means[False].abs()


def test_sleep_teaches_values_to_the_trunk_and_its_leash_keeps_the_policy_near(tmp_path):
    awake = {"ppo_policy_coef": 0.0, "kl_divergence_coef_rho": 0.0, "weight_decay": 0.0}
    kls = []
    for coef in (0.0, 20.0):
        trainer = make_trainer(tmp_path, sleep_epochs=4, sleep_kl_coef=coef, learning_rate=1e-4, **awake)
        before = weights(trainer.policy.net)
        metrics = iterate(trainer)
        assert metrics["sleep/value_loss"] > 0 and not torch.equal(weights(trainer.policy.net), before)
        kls.append(metrics["sleep/kl"])
    assert 0 < kls[1] < 0.5 * kls[0]
    trainer = make_trainer(tmp_path, sleep_epochs=1, sleep_vf_coef=0.0, sleep_kl_coef=0.0, **awake)
    before = weights(trainer.policy.net), weights(trainer.policy.value_head.linear)
    iterate(trainer)
    assert torch.equal(weights(trainer.policy.net), before[0]), "awake, values moved the trunk"
    assert not torch.equal(weights(trainer.policy.value_head.linear), before[1])


CHANGES = {  # another value of each flag that changes nothing but the numbers of the update
    **{"discount": 0.5, "gae_lambda": 0.3, "ppo_clip": 0.01, "ppo_policy_coef": 2.0, "ppo_vf_coef": 3.0},
    **{"max_grad_norm": 0.01, "adam_eps": 1.0, "learning_rate": 1e-2, "weight_decay": 0.9},
    **{"normalize_advantage_full_batch": False, "epochs_per_iteration": 1, "context_length": 16, "vf_ewma_beta": 0.5},
    **{
        "gradient_accumulation": 2,
        "entropy_bonus_coef": 0.1,
        "kl_divergence_coef_rho": 0.5,
        "use_normalized_vf": False,
    },
    **{"batch_size_per_gpu": 2, "batches_per_iteration": 4, "fragment_length": 8, "fragments_per_chunk": 2, "seed": 5},
    **{"num_envs": 4, "sleep_epochs": 1, "zero_initial_vf": False, "fix_decoder": True, "dtype": "bfloat16"},
    **{"kl_direction": "policy-to-ref", "vf_warmup": 1, "log_ratio_range": 1e-3},
}


@pytest.fixture(scope="module")
def base_weights(tmp_path_factory):
    return run_twice(tmp_path_factory.mktemp("base"))


def run_twice(tmp_path, **change):
    trainer = make_trainer(tmp_path, **change)
    iterate(trainer, 2)
    return weights(trainer.policy)


@pytest.mark.parametrize("flag", CHANGES)
def test_no_flag_of_the_algorithm_is_ignored(tmp_path, base_weights, flag):
    changed = run_twice(tmp_path, **{flag: CHANGES[flag]})
    assert torch.isfinite(changed).all() and not torch.equal(changed, base_weights)


def test_clip_vloss_clips(tmp_path):
    plain, clipped = (run_twice(tmp_path, ppo_clip=0.01, clip_vloss=clip) for clip in (False, True))
    assert not torch.equal(plain, clipped)


def test_acting_in_smaller_batches_is_acting_all_the_same(tmp_path):
    """Random numbers are drawn in another order, so what the policy saw and said is compared, not the run."""
    for size in (0, 3):
        trainer, batch = kept(tmp_path, inference_batch_size=size)
        assert [len(m.valid) for m in trainer.collector.memories] == ([8] if size == 0 else [3, 3, 2])
        prox, values = trainer.learner.see_anew(batch, torch.ones(8, dtype=torch.bool))
        torch.testing.assert_close(prox, batch.logprobs, rtol=0, atol=1e-4)
        torch.testing.assert_close(values, batch.values, rtol=0, atol=1e-4)


def test_in_bfloat16_log_probabilities_stay_near():
    """The quick start's network, 64 steps of pictures: a few hundredths of a nat from float32."""
    torch.manual_seed(0)
    policy, memory = VPTPolicy(SMALL_NET_ARGS), VPTPolicy(SMALL_NET_ARGS).initial_memory(4)
    images = torch.randint(0, 256, (4, 64, *SMALL_NET_ARGS["img_shape"]), dtype=torch.uint8)
    first = torch.zeros(4, 64, dtype=torch.bool)
    actions = torch.randint(0, 8641, (4, 64)), torch.randint(0, 121, (4, 64))
    with torch.no_grad():
        exact = log_prob(policy(images, first, memory), *actions)
        with torch.autocast("cpu", torch.bfloat16):
            whole = log_prob(policy(images, first, memory), *actions)
            parts = []
            for t in range(64):
                output = policy(images[:, t : t + 1], first[:, t : t + 1], memory)
                memory = output.memory
                parts.append(log_prob(output, actions[0][:, t : t + 1], actions[1][:, t : t + 1]))
    assert 0 < (whole - exact).abs().mean() < 0.05 and (whole - exact).abs().max() < 0.2
    assert (torch.cat(parts, 1) - exact).abs().mean() < 0.05


def test_a_bfloat16_learner_sees_fresh_chunks_anew(tmp_path):
    """bfloat16 rounds otherwise when it acts than when it learns: pi_prox is the learner's own."""
    trainer, batch = kept(tmp_path, dtype="bfloat16")
    assert trainer.learner.see_anew(batch, torch.zeros(8, dtype=torch.bool))[0].requires_grad
    trainer, batch = kept(tmp_path, dtype="float32")
    assert not trainer.learner.see_anew(batch, torch.zeros(8, dtype=torch.bool))[0].requires_grad


def test_fragments_per_report_says_how_often_statistics_come(tmp_path):
    reports = []
    trainer = make_trainer(tmp_path, fragments_per_report=16, batches_per_iteration=8)
    trainer.report = lambda: reports.append(trainer.statistics())
    trainer.collect()
    assert [len(reports), reports[0]["replay/chunks"]] == [2, 16]


def test_a_loss_that_is_averaged_already_is_refused(tmp_path):
    trainer = make_trainer(tmp_path)
    wake = trainer.learner.wake_losses
    trainer.learner.wake_losses = lambda *a: (lambda loss, *rest: (loss.mean(), *rest))(*wake(*a))
    with pytest.raises(ValueError, match=r"must be that of each step, \[4, 8\], not \[\]"):
        iterate(trainer)


def test_the_first_minibatch_shows_whether_stored_log_probabilities_are_right(tmp_path):
    for fault in (0.0, 1.0):
        trainer = make_trainer(tmp_path)
        trainer.collect()
        for chunk in trainer.replay.chunks:
            chunk.data.logprobs.add_(fault)
        metrics = trainer.update()
        assert abs(metrics["invariants/fresh_log_prox_behavior"] - fault) < 1e-4


def test_a_clipped_value_loss_is_that_of_predictions_that_have_moved(tmp_path):
    """The normalizer's statistics move too, but that must not count."""
    trainers = [make_trainer(tmp_path, clip_vloss=clip, learning_rate=0.0) for clip in (False, True)]
    losses = [iterate(trainer, 3)["losses/value_loss"] for trainer in trainers]
    assert losses[0] == losses[1]


def test_a_nonfinite_gradient_is_skipped_counted_and_at_last_fatal(tmp_path):
    trainer = make_trainer(tmp_path, env=ColourEnv(8, reward=float("inf")), max_nonfinite_steps=5)
    before = [p.clone() for p in trainer.policy.parameters()]  # the value's statistics too
    metrics = iterate(trainer)
    assert metrics["losses/skipped_steps"] == 4 and trainer.learner.nonfinite_steps == 4
    assert metrics["charts/optimizer_steps"] == 0 and metrics["charts/trained_steps"] == 0
    after = list(trainer.policy.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    with pytest.raises(FloatingPointError, match=r"6 optimizer steps in a row \(iteration 2, last with chunks \[\d+, "):
        iterate(trainer)


def test_the_same_seed_gives_the_same_weights(tmp_path):
    runs = []
    for seed in (1, 1, 2):
        trainer = make_trainer(tmp_path, seed=seed, max_reuse=2)
        digest = iterate(trainer, 3)["invariants/weights_digest"]
        runs.append((digest, weights(trainer.policy)))
    assert torch.equal(runs[0][1], runs[1][1]) and not torch.equal(runs[0][1], runs[2][1])
    assert runs[0][0] == runs[1][0] != runs[2][0]


@pytest.mark.parametrize("delay, seed", [(0, 1), (0, 2), (1, 1), (1, 2)])
def test_it_learns_to_see_and_to_remember(tmp_path, delay, seed):
    """delay 0 needs the eyes, delay 1 the memory: the colour that pays is no longer in view. Chance is 0.5."""
    trainer = make_trainer(
        tmp_path,
        env=ColourEnv(32, delay=delay, noise=1),
        seed=seed,
        num_envs=32,
        batch_size_per_gpu=16,
        batches_per_iteration=2,
        learning_rate=5e-3,
        discount=0.0,
        kl_divergence_coef_rho=0.0,
    )
    rewards = []
    while len(rewards) < 120 and not (len(rewards) > 5 and np.mean(rewards[-3:]) > 0.95):
        trainer.collect()
        batch = collected(trainer)
        rewards.append(float(batch.rewards[batch.valid].mean()))
        trainer.update()
    assert np.mean(rewards[:2]) < 0.6
    assert np.mean(rewards[-3:]) > 0.95
