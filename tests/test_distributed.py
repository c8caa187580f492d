"""ppo_vpt_distributed.py on one machine: the online script's weights, several ranks, the rollouts that stay."""

import dataclasses
import itertools
from pathlib import Path

import pytest
import torch

pytest.importorskip("ray", reason="pip install ray")

import ray
from colour_env import NET_ARGS, ColourEnv, env_generator, policy_generator
from toy_cluster import local_ray, rows, toy_config

import ppo_vpt_distributed as distributed
import ppo_vpt_online as online
from minestudio_envs.training import ray_cluster
from minestudio_envs.training.checkpoints import find_checkpoint
from minestudio_envs.training.vpt_files import read_vpt_weights
from ppo_vpt_distributed import PartyError, start_rolloutmanager, start_trainer

MARKS = "# ===== the policy and the algorithm", "# ===== end of the shared block"


@pytest.fixture(scope="module")
def cluster():
    with local_ray():
        yield


def train(config):
    start_rolloutmanager(policy_generator, env_generator, config)
    return start_trainer(policy_generator, env_generator, config)


def test_both_scripts_have_the_same_policy_and_algorithm():
    blocks = []
    for module in (online, distributed):
        text = Path(module.__file__).read_text()
        begin, end = (text.index(mark) for mark in MARKS)
        assert all(text.count(mark) == 1 for mark in MARKS)
        blocks.append(text[begin:end])
    assert blocks[0] == blocks[1] and len(blocks[0]) > 30_000


def online_trainer(path, config):
    """ppo_vpt_online.py's with the same settings."""
    args = distributed.flat(distributed.checked(config))
    names = {field.name for field in dataclasses.fields(online.Args)} & vars(args).keys()
    args = dataclasses.replace(online.Args(), **{name: getattr(args, name) for name in names})
    torch.manual_seed(args.seed)
    policy = online.VPTPolicy(NET_ARGS)
    return online.Trainer(args, policy, ColourEnv(args.num_envs), path / "online", torch.device("cpu"))


@pytest.mark.parametrize(
    "replay,train_config,worker",
    [
        ({}, {}, {}),
        (
            {"max_reuse": 2, "max_staleness": 2, "fragments_per_chunk": 2},
            {"epochs_per_iteration": 2, "batches_per_iteration": 3, "memory": "burn-in", "burn_in_length": 4},
            {"batch_size": 4},
        ),
        ({}, {"enable_ref_update": True, "keep_interval": 2, "num_iterations": 4, "sleep_epochs": 1}, {}),
    ],
    ids=["fresh", "reused chunks of two", "new references, sleep"],
)
def test_synchronous_it_gives_the_online_scripts_weights(tmp_path, cluster, replay, train_config, worker):
    config = toy_config(tmp_path, replay=replay, train=train_config, worker=worker, synchronous=True)
    run_path = train(config)
    trainer, expected = online_trainer(tmp_path, config), []
    for _ in range(trainer.args.num_iterations):
        trainer.collect()
        expected.append(trainer.update())
    done = rows(run_path)
    assert [row["invariants/weights_digest"] for row in done] == [m["invariants/weights_digest"] for m in expected]
    for name in ("losses/policy_loss", "losses/kl_to_reference", "offpolicy/staleness_mean", "charts/trained_steps"):
        assert [row[name] for row in done] == [m[name] for m in expected], name
    saved = read_vpt_weights(find_checkpoint(str(run_path), tmp_path, distributed.KIND) / "policy.weights")
    assert all(torch.equal(saved[name], tensor) for name, tensor in trainer.policy.state_dict().items())


def test_two_ranks_take_one_ranks_step(tmp_path, cluster):
    """One optimizer step on the same 8 chunks: in one process, and 4 in each of two."""
    weights = []
    for ranks, batches in ((1, 2), (2, 1)):
        config = toy_config(
            tmp_path / str(ranks),
            train={
                "num_workers": ranks,
                "batches_per_iteration": batches,
                "gradient_accumulation": batches,
                "num_iterations": 2,
                "zero_initial_vf": False,
            },
            synchronous=True,
        )
        run_path = train(config)
        folder = find_checkpoint(str(run_path), tmp_path, distributed.KIND)
        weights.append((read_vpt_weights(folder / "policy.weights"), rows(run_path)))
    (one, one_rows), (two, two_rows) = weights
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=2e-5)
    assert two_rows[0]["charts/trained_steps"] == one_rows[0]["charts/trained_steps"]
    for name in ("losses/policy_loss", "losses/value_loss", "losses/grad_norm", "losses/explained_variance"):
        assert two_rows[0][name] == pytest.approx(one_rows[0][name], rel=1e-3, abs=1e-5), name


def test_asynchronous_runs_keep_to_staleness_and_reuse(tmp_path, cluster):
    """Two unlike workers, two ranks, chunks of two fragments, reports and films."""
    config = toy_config(
        tmp_path,
        rollout={
            "num_rollout_workers": 2,
            "num_cpus_per_worker": 1,
            "worker_overrides": [{"num_envs": 4, "batch_size": 2}, {"task": "colour_env:env_generator"}],
        },
        replay={"max_reuse": 2, "max_staleness": 1, "fragments_per_chunk": 2, "fragments_per_report": 40},
        train={"num_workers": 2, "num_iterations": 8, "record_video_interval": 2},
        worker={"video_width": 64},
    )
    run_path = train(config)
    done = rows(run_path)
    assert len(done) == 8
    assert all(row["offpolicy/staleness_max"] <= 1 and row["replay/reuse_max"] <= 2 for row in done)
    assert any(row["offpolicy/staleness_max"] == 1 for row in done)
    assert all(row["invariants/fresh_log_prox_behavior"] < 1e-4 for row in done)
    assert done[0]["invariants/first_kl_to_reference"] < 1e-5
    steps = [row["charts/global_step"] for row in done]
    assert all(a <= b for a, b in itertools.pairwise(steps)) and steps[0] < steps[-1]  # some take only reused chunks
    assert done[-1]["tasks/env_generator/episodic_length"] == 11
    reports = [line for line in (run_path / "metrics.jsonl").read_text().splitlines() if "charts/iteration" not in line]
    assert len(reports) > 0
    assert list((tmp_path / "films").rglob("iteration_*.mp4"))
    assert not list((tmp_path / "replay").iterdir()), "files are left"


def no_policy():
    raise RuntimeError("no policy today")


def not_a_policy():
    return "a policy"


def no_env():
    raise AssertionError


def not_an_env():
    return "an environment"


def test_a_generator_that_fails_ends_the_run_soon_and_says_why(tmp_path, cluster):
    overrides = [{"task": "test_distributed:no_env"}, {"task": "test_distributed:not_an_env"}]
    rollout = {"num_rollout_workers": 2, "worker_overrides": overrides, "num_cpus_per_worker": 0.5}
    config = toy_config(tmp_path, rollout=rollout, detach_rollout_manager=True)
    ray_cluster.check_answers(ray.get_runtime_context().gcs_address)
    start_rolloutmanager(policy_generator, env_generator, config)
    with pytest.raises(PartyError, match="no rollout worker is left:") as caught:
        start_trainer(policy_generator, env_generator, config)
    assert "failed: AssertionError" in str(caught.value)
    assert "failed: TypeError: env_generator returned <class 'str'>, expected" in str(caught.value)
    for generator, message in (
        (no_policy, "trainer rank 0 does not start: RuntimeError: no policy today"),
        (not_a_policy, "policy_generator returned <class 'str'>, expected a VPTPolicy of this script"),
    ):
        with pytest.raises(PartyError, match=message):
            start_trainer(generator, env_generator, config)
