"""Collecting from environments that are processes at paces of their own; a toy here, real Minecraft's elsewhere."""

import pytest
import torch
from colour_env import ReadyColourEnv
from test_ppo import collected, iterate, make_trainer

from minestudio_envs.training.resume import load_trainer, save_trainer
from ppo_vpt_online import ReadyCollector


def make(tmp_path, failing=0.0, **kwargs):
    env = ReadyColourEnv(kwargs.setdefault("num_envs", 8), failing)
    trainer = make_trainer(tmp_path, env, **{"inference_batch_size": 3, "zero_initial_vf": False} | kwargs)
    assert isinstance(trainer.collector, ReadyCollector)
    return trainer


@pytest.mark.parametrize("failing", [0.0, 0.01])
@pytest.mark.parametrize("at_once", [1, 3, 8])
def test_what_it_remembers_is_what_the_learner_sees(tmp_path, failing, at_once):
    """Memory, first and values are right whoever acted with whom, also across resets, chunks and failures."""
    trainer = make(tmp_path, failing, inference_batch_size=at_once, fragments_per_chunk=2, learning_rate=0.0)
    for _ in range(4):
        trainer.collect()
        batch = collected(trainer)
        prox, values = trainer.learner.see_anew(batch, torch.ones(len(batch.valid), dtype=torch.bool))
        torch.testing.assert_close(prox, batch.logprobs, rtol=0, atol=1e-4)
        if trainer.learner.iteration == 0:  # later the normalizer has moved
            torch.testing.assert_close(values, batch.values, rtol=0, atol=1e-4)
        metrics = trainer.update()
        assert metrics["invariants/fresh_log_prox_behavior"] < 1e-4
        assert metrics["invariants/first_kl_to_reference"] < 1e-4
    assert (trainer.collector.envs.restarts > 0) == (failing > 0)


@pytest.mark.parametrize("failing", [0.0, 0.03])
def test_chunks_tell_what_happened_and_nothing_else(tmp_path, failing):
    """The toy pays 1 when attack was pressed on a light picture, and no other time; its episodes have 11 steps."""
    trainer = make(tmp_path, failing)
    for _ in range(8):
        trainer.collect()
        batch = collected(trainer)
        light = batch.images[:, :-1].float().mean((2, 3, 4)) > 120
        pays = (batch.buttons // 4 % 2 == light) & batch.valid
        assert torch.equal(batch.rewards, pays.float())
        # A reset's step, and only that, is not valid; it comes after an episode's end, and an episode begins after it.
        ends = batch.truncated | batch.terminated
        assert torch.equal(batch.first[:, 1:], ~batch.valid)
        assert torch.equal(~batch.valid[:, 1:], ends[:, :-1])
        assert not batch.terminated.any()
        trainer.update()
    episodes = trainer.collector.episode_lengths
    assert set(episodes) == {11}
    assert (trainer.collector.envs.lost_steps > 0) == (failing > 0)


def test_whoever_is_slow_keeps_nobody_waiting(tmp_path):
    trainer = make(tmp_path, num_envs=4, batches_per_iteration=4)
    envs = trainer.collector.envs
    send = envs.send

    def slow(action, ids):
        send(action, ids)
        if (ids == 0).any():
            envs.clock[0] += 1000

    envs.send = slow
    trainer.collect()
    assert len(trainer.replay.chunks) >= 16
    assert trainer.collector.have[0] <= 1


def test_versions_are_those_of_the_weights_that_acted(tmp_path):
    """Chunks in progress go on with new weights."""
    trainer = make(tmp_path, max_staleness=2)
    mixed = 0
    for iteration in range(4):
        trainer.collect()
        batch = collected(trainer)
        assert batch.versions.max() == iteration and (batch.versions.diff(dim=1) >= 0).all()
        mixed += int((batch.versions[:, 0] < iteration).sum())
        assert trainer.update()["offpolicy/staleness_max"] <= 2
    assert mixed


def test_with_no_staleness_chunks_in_progress_are_dropped(tmp_path):
    trainer = make(tmp_path, max_staleness=0)
    for _ in range(4):
        metrics = iterate(trainer)
        assert metrics["offpolicy/staleness_max"] == 0
        assert metrics["invariants/fresh_log_prox_behavior"] < 1e-4


@pytest.mark.parametrize("changes", [{"max_staleness": 0}, {"enable_ref_update": True, "keep_interval": 1}])
def test_what_is_dropped_both_policies_forget(tmp_path, changes):
    """A reference with the policy's weights says what the policy says."""
    trainer = make(tmp_path, learning_rate=0.0, **changes)
    for _ in range(4):
        metrics = iterate(trainer)
        assert metrics["invariants/fresh_log_prox_behavior"] < 1e-4
        assert metrics["invariants/first_kl_to_reference"] < 1e-4


def test_an_interrupt_leaves_nothing_half_done_and_new_episodes_follow_a_resume(tmp_path, caplog):
    trainer = make(tmp_path, 0.01)
    iterate(trainer, 2)
    trainer.collector.interrupted = True
    assert trainer.collector.collect() is None
    trainer.collector.interrupted = False
    assert iterate(trainer)["invariants/fresh_log_prox_behavior"] < 1e-4
    step, folder = trainer.collector.global_step, save_trainer(trainer)
    again = make(tmp_path, 0.01)
    load_trainer(again, folder)
    assert "new episodes begin" in caplog.text
    assert again.collector.global_step == step and again.learner.iteration == 3
    assert iterate(again)["invariants/fresh_log_prox_behavior"] < 1e-4
