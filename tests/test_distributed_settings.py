"""ppo_vpt_distributed.py's settings: every key of MineStudio's acts where it should, and what cannot work is refused.

What the Learner and the Collector do with theirs is in test_ppo.py, for both scripts have the same; here is what is the
distributed script's own. They go without Ray: its actors are plain classes.
"""

import asyncio
import contextlib
import inspect
import json
import random
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from unittest.mock import MagicMock, create_autospec

import imageio.v3 as iio
import pytest
import torch

pytest.importorskip("ray", reason="pip install ray")

import ray
from colour_env import ColourSim, ColourVectorEnv, env_generator, policy_generator
from test_nested_settings import DOCUMENT, leaves, lookup
from test_ppo import CHANGES as ALGORITHM
from test_simulator import document_generators
from toy_cluster import toy_config, until

import ppo_vpt_distributed as distributed
import ppo_vpt_online as online
from minestudio_envs.training import ray_cluster
from minestudio_envs.training.checkpoints import write_checkpoint
from minestudio_envs.training.nested_settings import differences, from_config, parse, paths, to_config
from minestudio_envs.training.replay import Chunk
from ppo_vpt_distributed import (
    Args,
    ChunkReader,
    PartyError,
    PPOTrainer,
    ReplayService,
    RolloutManager,
    RolloutWorker,
    Session,
    SettingsError,
    Stamp,
    TrainerRank,
    checked,
    flat,
    start_rolloutmanager,
    start_trainer,
)

SCRIPT = Path(__file__).parents[1] / "ppo_vpt_distributed.py"

# MineStudio's keys, each with another value than its document's.
WORKER = "rollout_config.worker_config."
REPLAY = "rollout_config.replay_buffer_config."
CHANGES = {
    "trainer_name": "Mine",
    "detach_rollout_manager": False,
    "rollout_config.num_rollout_workers": 3,
    "rollout_config.num_gpus_per_worker": 0.5,
    "rollout_config.num_cpus_per_worker": 2.0,
    "rollout_config.fragment_length": 128,
    "rollout_config.to_send_queue_size": 0,
    WORKER + "num_envs": 16,
    WORKER + "batch_size": 4,
    WORKER + "restart_interval": 60,
    WORKER + "video_fps": 10,
    WORKER + "video_output_dir": "films",
    REPLAY + "max_chunks": 1000,
    REPLAY + "max_reuse": 1,
    REPLAY + "max_staleness": 0,
    REPLAY + "fragments_per_report": 10,
    REPLAY + "fragments_per_chunk": 2,
    REPLAY + "database_config.path": "cache",
    REPLAY + "database_config.num_shards": 3,
    "rollout_config.episode_statistics_config.window": 7,  # MineStudio's has none
    "rollout_config.episode_statistics_config.per_task": False,
    "train_config.num_workers": 1,
    "train_config.num_gpus_per_worker": 0.25,
    "train_config.num_iterations": 5,
    "train_config.vf_warmup": 3,
    "train_config.learning_rate": 1e-3,
    "train_config.anneal_lr_linearly": True,
    "train_config.weight_decay": 0.1,
    "train_config.adam_eps": 1e-5,
    "train_config.batch_size_per_gpu": 4,
    "train_config.batches_per_iteration": 100,
    "train_config.gradient_accumulation": 5,
    "train_config.epochs_per_iteration": 2,
    "train_config.context_length": 32,
    "train_config.discount": 0.9,
    "train_config.gae_lambda": 0.5,
    "train_config.ppo_clip": 0.1,
    "train_config.clip_vloss": True,
    "train_config.max_grad_norm": 1.0,
    "train_config.zero_initial_vf": False,
    "train_config.ppo_policy_coef": 2.0,
    "train_config.ppo_vf_coef": 1.0,
    "train_config.kl_divergence_coef_rho": 0.3,
    "train_config.entropy_bonus_coef": 0.1,
    "train_config.coef_rho_decay": 0.5,
    "train_config.log_ratio_range": 20.0,
    "train_config.normalize_advantage_full_batch": False,
    "train_config.use_normalized_vf": False,
    "train_config.num_readers": 2,
    "train_config.num_cpus_per_reader": 0.5,
    "train_config.prefetch_batches": 3,
    "train_config.save_interval": 5,
    "train_config.keep_interval": 20,
    "train_config.record_video_interval": 0,
    "train_config.fix_decoder": True,
    "train_config.enable_ref_update": True,  # this key is not in the document, but in MineStudio's code
    "train_config.resume": "latest",
    "train_config.resume_optimizer": False,
    "train_config.save_path": None,
    "logger_config.project": "cows",
    "logger_config.name": "kill_cow",
}


def changed(config: dict, path: str, value) -> dict:
    """A copy with another value."""
    name, _, rest = path.partition(".")
    return config | {name: changed(config.get(name, {}), rest, value) if rest else value}


def toy(tmp_path, **changes) -> dict:
    """The toy's configuration, changed by leaves' names."""
    config = toy_config(tmp_path)
    for name, value in changes.items():
        config = changed(
            config, {"worker_gpus": "rollout_config.num_gpus_per_worker"}.get(name) or paths(Args)[name], value
        )
    return config


# MINESTUDIO'S DOCUMENT


def as_omegaconf(config):
    return pytest.importorskip("omegaconf").OmegaConf.create(config)


@pytest.mark.parametrize("form", [dict, as_omegaconf, lambda config: from_config(Args, config)])
def test_minestudios_document_is_taken_and_is_the_default(form):
    args = checked(form(DOCUMENT))
    for path, value in leaves(DOCUMENT):
        value = False if path.endswith("anneal_lr_linearly") else value  # there it stands blank
        assert lookup(Args(), path) == value, path
        is_path = path.endswith(("save_path", "video_output_dir", "database_config.path"))
        assert lookup(args, path) == (str(Path(value).absolute()) if is_path else value), path
    assert differences(Args(), from_config(Args, form(DOCUMENT))) == []


def test_minestudios_generators_can_be_sent():
    for name, function in document_generators().items():
        if name.endswith("_generator"):
            assert ray_cluster.fingerprint(name, function) == ray_cluster.fingerprint(name, function)


# THE COMMAND LINE


def test_all_of_minestudios_keys_are_here():
    assert {path for path, _ in leaves(DOCUMENT)} < CHANGES.keys()


def test_each_key_is_a_flag():
    words = []
    for path, value in CHANGES.items():
        section, _, name = path.replace("_", "-").rpartition(".")
        flag = f"--{section}." if section else "--"
        words += [flag + ("" if value else "no-") + name] if isinstance(value, bool) else [flag + name, str(value)]
    given = parse(Args, None, words)
    assert {line.partition(":")[0] for line in differences(Args(), given)} == CHANGES.keys()
    assert {path: lookup(given, path) for path in CHANGES} == CHANGES


def test_every_flag_has_its_line_of_help():
    """tyro reads the comments beside and above the fields: one that was wrapped away would be lost."""
    lines = SCRIPT.read_text().splitlines()
    for path in paths(Args).values():
        name = path.rpartition(".")[2]
        found = [i for i, line in enumerate(lines) if re.match(rf"    {name}: .* = ", line)]
        texts = [lines[i].partition("  # ")[2] or lines[i - 1].strip().removeprefix("# ") for i in found]
        assert texts and all(len(text) > 4 for text in texts), path


def test_resumed_without_flags_it_has_the_checkpoints_settings(tmp_path, monkeypatch):
    args = checked(toy(tmp_path, discount=0.5, weight_decay=0.3, resume_optimizer=False))
    folder = tmp_path / "runs" / "run" / "checkpoints" / "iteration_000002"
    with write_checkpoint(folder, kind=distributed.KIND, iteration=2, args=to_config(args)):
        pass
    seen = []
    monkeypatch.setattr(
        distributed, "start_rolloutmanager", lambda *generators_and_args: seen.append(generators_and_args)
    )
    monkeypatch.setattr(distributed, "start_trainer", lambda *generators_and_args: seen.append(generators_and_args))
    flags = ["--train-config.save-path", str(tmp_path / "runs"), "--train-config.resume", "latest"]
    distributed.main([*flags, "--train-config.weight-decay", "0.1"])
    for _, _, given in seen:
        assert len(seen) == 2 and given.train_config.resume_optimizer  # it is for one start, not the run's
        assert given.train_config.resume == str(folder)
        assert (given.train_config.discount, given.train_config.weight_decay) == (0.5, 0.1)
        assert given.rollout_config.worker_config.num_envs == 8


# WHERE THE KEYS ACT, with Ray's actors in this process

PENDING = object()
NODE = "ab" * 28


class Answer:
    """Of a call: what ray.get takes."""

    def __init__(self, value=None, error=None):
        self.value, self.error = value, error


class Handle:
    """An actor's: calls run at once, where they are made."""

    def __init__(self, actor):
        self.actor = actor

    def __getattr__(self, name):
        def remote(*arguments):
            arguments = [x.value if isinstance(x, Answer) else x for x in arguments]
            try:
                return Answer(getattr(self.actor, name, None) and getattr(self.actor, name)(*arguments))
            except Exception as error:
                return Answer(error=error)

        return SimpleNamespace(remote=remote)


class LocalRay:
    """What the script needs of Ray, in this process. Actors whose class is not in `actors` do nothing."""

    exceptions = ray.exceptions

    def __init__(self):
        self.util = SimpleNamespace(list_named_actors=lambda: list(self.named))
        self.actors, self.named, self.started, self.killed = {}, {}, [], []
        self.resources = {"CPU": 100.0}

    def remote(self, kind=None, concurrency_groups=None):
        if kind is None:  # ray.remote(...)(kind)
            return self.remote

        def options(**options):
            def remote(*arguments):
                self.started.append(SimpleNamespace(kind=kind, options=options, arguments=arguments))
                values = (x.value if isinstance(x, Answer) else x for x in arguments)
                handle = Handle(self.actors.get(kind, MagicMock)(*values))
                return self.named.setdefault(options.get("name", len(self.started)), handle)

            return SimpleNamespace(remote=remote)

        return SimpleNamespace(options=options)

    def options_of(self, kind):
        return [start.options for start in self.started if start.kind is kind]

    def get(self, answer, timeout=None):
        if isinstance(answer, list):
            return [self.get(x) for x in answer]
        if answer.error is not None:
            raise answer.error
        return answer.value

    def wait(self, answers, num_returns=1, timeout=None):
        time.sleep(0.01)
        return [x for x in answers if x.value is not PENDING], [x for x in answers if x.value is PENDING]

    def get_actor(self, name):
        if name not in self.named:
            raise ValueError(name)
        return self.named[name]

    def kill(self, actor):
        self.killed.append(actor)

    def put(self, value):
        return Answer(value)

    def get_gpu_ids(self):
        return []

    def cluster_resources(self):
        return self.resources

    def get_runtime_context(self):
        return SimpleNamespace(was_current_actor_reconstructed=False)


@pytest.fixture
def local(monkeypatch):
    local = LocalRay()
    monkeypatch.setattr(distributed, "ray", local)
    monkeypatch.setattr(distributed, "here", lambda: NODE)
    monkeypatch.setattr(distributed, "alive_nodes", lambda: {NODE})
    monkeypatch.setattr(distributed, "connect", lambda *arguments, **options: False)
    yield local
    assert not ray.is_initialized()


def test_learners_and_collectors_get_all_settings_by_the_online_scripts_names(tmp_path, local):
    """test_ppo.py shows that those of `ALGORITHM` are not ignored; so they are not here."""
    config = toy(tmp_path, **ALGORITHM | {"seed": 5, "batch_size": 2, "clip_vloss": True, "coef_rho_decay": 0.5})
    config = to_config(from_config(Args, config))
    rank = TrainerRank(0, config, policy_generator, Handle(MagicMock()))
    worker = RolloutWorker("writer", flat(from_config(Args, config), 0), (None, None), None, None, 3)
    expected = ALGORITHM | {"inference_batch_size": 2, "clip_vloss": True, "coef_rho_decay": 0.5}
    assert {name: getattr(rank.learner.args, name) for name in expected} == expected
    assert {name: getattr(worker.args, name) for name in expected} == expected | {"seed": 3}
    normalizer = rank.learner.policy.value_head.normalizer
    assert (normalizer.beta, normalizer.enabled) == (ALGORITHM["vf_ewma_beta"], ALGORITHM["use_normalized_vf"])


def test_so_many_rollout_workers_with_such_resources_are_started(tmp_path, local):
    local.actors[RolloutWorker] = lambda *arguments: MagicMock(**{"run.return_value": PENDING})
    config = toy(tmp_path, num_rollout_workers=3, worker_gpus=0.5)
    config["rollout_config"]["num_cpus_per_worker"] = 2
    config["rollout_config"]["worker_overrides"] = [
        {"num_gpus_per_worker": 0, "num_envs": 16},
        {"num_cpus_per_worker": 1.5},
    ]
    mock, before = Handle(MagicMock()), set(threading.enumerate())
    manager = RolloutManager(to_config(checked(config)), (policy_generator, env_generator), {}, mock, mock, 0, {})
    until(lambda: len(local.started) == 3)
    time.sleep(0.1)
    manager.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    resources = [(options["num_gpus"], options["num_cpus"]) for options in local.options_of(RolloutWorker)]
    assert resources == [(0, 2), (0.5, 1.5), (0.5, 2)]
    assert [start.arguments[1].num_envs for start in local.started] == [16, 8, 8]


def test_workers_that_were_given_up_get_another_try_with_the_next_trainer(tmp_path, local):
    failing = MagicMock(**{"run.side_effect": ray.exceptions.RayTaskError("run", "", ValueError("no cows"))})
    local.actors[RolloutWorker] = lambda *arguments: failing
    config = to_config(checked(toy_config(tmp_path)))
    before = set(threading.enumerate())
    manager = RolloutManager(config, (policy_generator, env_generator), {}, *[Handle(MagicMock())] * 2, 0, {})
    given_up = until(lambda: manager.status()["given_up"])
    assert given_up == {0: "rollout worker 0 failed: ValueError: no cows"} and len(local.started) == 3
    failing.run.side_effect, failing.run.return_value = None, PENDING
    manager.publish(Stamp(1, 0, 0, True), Handle(MagicMock(**{"weights.return_value": ({}, {})})), True)
    until(lambda: len(local.started) == 4)
    assert manager.status()["given_up"] == {}
    manager.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)


@contextlib.contextmanager
def collecting(config, replay=None, session=None, env_generator=env_generator):
    """Rollout worker 0, at work in a thread of this process."""
    args = flat(from_config(Args, config), 0)
    replay = replay or SimpleNamespace(add=lambda writer, first, entries: first + len(entries))
    worker = RolloutWorker("worker_0", args, (policy_generator, env_generator), Handle(replay), Handle(session), 1)
    errors = []

    def run():
        try:
            worker.run()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    weights = {name: x.numpy() for name, x in policy_generator().state_dict().items()}
    worker.set_weights(Stamp(1, 0, 0, True), weights, weights)
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(20)
    assert not thread.is_alive() and not errors, errors
    until(lambda: worker.unsent == 0)  # its other thread is done with this test's Ray


class Replay:
    """Takes nothing until it is opened."""

    def __init__(self):
        self.open, self.questions = threading.Event(), 0

    def add(self, writer, first, entries):
        self.open.wait(20)
        return first + len(entries)

    def may_collect(self, *question):
        self.questions += 1
        return self.open.is_set()


@pytest.mark.parametrize("size, rounds", [(7, 1), (8, 2), (20, 3)])
def test_to_send_queue_size_fragments_may_be_unsent_then_a_worker_waits(tmp_path, local, size, rounds):
    """It collects 8 at once, and goes on with up to `size` unsent."""
    replay, session = Replay(), MagicMock()
    with collecting(toy(tmp_path, to_send_queue_size=size), replay, session) as worker:
        until(lambda: worker.state == "waiting for the replay")
        time.sleep(0.2)
        assert session.report.call_count == rounds and worker.unsent == 8 * rounds and replay.questions == 0
        replay.open.set()
        until(lambda: session.report.call_count > rounds + 2)


def test_with_no_queue_a_worker_asks_before_it_collects(tmp_path, local):
    replay, session = Replay(), MagicMock()
    with collecting(toy(tmp_path, to_send_queue_size=0), replay, session):
        until(lambda: replay.questions > 2)
        assert session.report.call_count == 0
        replay.open.set()
        until(lambda: session.report.call_count > 2)


class Restarting(ColourVectorEnv):
    """Like an engine that is a process."""

    restart_interval = None


def test_a_worker_has_such_environments_and_such_files(tmp_path, local):
    changes = {"num_envs": 6, "batch_size": 4, "restart_interval": 7, "num_shards": 3, "fragment_length": 8}
    session, entries = MagicMock(), []
    replay = SimpleNamespace(add=lambda writer, first, new: (entries.extend(new), first + len(new))[1])
    config = toy(tmp_path, **changes, path=str(tmp_path / "cache"), fragments_per_chunk=2)
    with collecting(config, replay, session, lambda: ColourSim(vector_class=Restarting)) as worker:
        until(lambda: len(entries) >= 12)
        collector = worker.collector
        assert (collector.envs.num_envs, collector.envs.restart_interval) == (6, 7)
        assert [(part.start, part.stop) for part in collector.acting] == [(0, 4), (4, 6)]
        files = [Path(path) for *_, path in entries]
        assert {path.parent.name for path in files} == {"shard_000", "shard_001", "shard_002"}
        assert all(path.is_relative_to(tmp_path / "cache") and path.exists() for path in files)
        assert len(distributed.FragmentStore.read(files[0])["rewards"]) == 16
    assert session.report.call_args_list[0].args[1] == 12  # fragments


def test_films_have_their_folder_and_speed(tmp_path, local):
    session = Session(toy(tmp_path, video_output_dir=str(tmp_path / "cinema")), Handle(MagicMock()))
    film = tmp_path / "cinema" / "run" / "iteration_000001.mp4"
    with collecting(toy(tmp_path, video_fps=10, video_width=64), session=session) as worker:
        worker.record("run/iteration_000001")
        until(film.exists)
    assert iio.immeta(film, plugin="pyav")["fps"] == 10 and iio.improps(film, plugin="pyav").shape[1:] == (36, 64, 3)


# Session


def begun(session, tmp_path):
    session.begin(tmp_path, 0, {}, None, {})
    return session


def test_statistics_are_of_the_last_window_episodes_and_of_each_task(tmp_path, local):
    for per_task in (True, False):
        session = begun(Session(toy(tmp_path, window=3, per_task=per_task), None), tmp_path)
        session.report("cows", 4, 100, [(10.0, 5), (1.0, 5), (2.0, 6)])
        session.report("trees", 4, 100, [(4.0, 7)])
        row = session.statistics()
        assert row["charts/global_step"] == 200
        assert row["charts/episodic_return"] == pytest.approx(7 / 3) and row["charts/episodic_length"] == 6
        tasks = {name: value for name, value in row.items() if name.startswith("tasks/")}
        if per_task:
            assert tasks["tasks/cows/episodic_return"] == pytest.approx(13 / 3)
            assert tasks["tasks/trees/episodic_length"] == 7
        else:
            assert not tasks


@pytest.mark.parametrize("every, reports", [(0, 0), (8, 3), (10, 2), (1, 4)])
def test_a_report_comes_every_so_many_fragments(tmp_path, local, every, reports):
    replay = MagicMock(**{"status.return_value": {"replay/chunks": 3}})
    session = Session(toy(tmp_path, fragments_per_report=every), Handle(replay))
    session.report("cows", 60, 100, [])  # by workers that began before the trainer
    begun(session, tmp_path).fragments = 0
    for _ in range(4):
        session.report("cows", 6, 100, [(1.0, 5)])
    rows = session.take_rows()
    assert len(rows) == reports and session.take_rows() == []
    assert all(row["replay/chunks"] == 3 and row["charts/episodic_return"] == 1.0 for row in rows)


def trainer_with(config, local, tmp_path, session=None):
    services = {name: MagicMock() for name in distributed.SERVICES} | ({"session": session} if session else {})
    local.named |= {name: Handle(actor) for name, actor in services.items()}
    answers = {"address.return_value": ("ip", 1), "counters.return_value": {"iteration": 0, "optimizer_steps": 0}}
    local.actors[TrainerRank] = lambda *arguments: MagicMock(**answers, **{"progress.return_value": 0})
    return PPOTrainer(checked(config), policy_generator, tmp_path, None)


def test_wandb_gets_project_name_and_any_other_argument(tmp_path, local, monkeypatch):
    import wandb

    monkeypatch.setattr(wandb, "init", init := create_autospec(wandb.init, return_value=MagicMock(id="abc")))
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = {"project": "cows", "name": "toy", "tags": ["a"], "group": "g", "dir": "logs"}
    for track in (False, True):
        config = toy_config(tmp_path, logger_config=logger | {"track": track})
        trainer_with(config, local, tmp_path, Session(to_config(checked(config)), Handle(MagicMock())))
        assert init.call_count == track
    given = init.call_args.kwargs
    assert (given["project"], given["tags"], given["group"]) == ("cows", ["a"], "g")
    assert given["name"] == tmp_path.name and given["dir"] == str(Path("logs").absolute())
    assert given["config"]["train_config"]["discount"] == 0.999
    begin = trainer_with(config, local, tmp_path).session.actor.begin.call_args.args
    assert begin[-1]["WANDB_MODE"] == "offline"  # the session may be on a cluster that does not have it
    with pytest.raises(SettingsError, match=r"logger_config\.tag: no such setting; did you mean logger_config\.tags\?"):
        checked(toy_config(tmp_path, logger_config={"tag": 1}))


# Trainer


def test_so_many_ranks_with_such_resources_are_started(tmp_path, local):
    config = toy_config(tmp_path, train={"num_workers": 3, "num_gpus_per_worker": 0.25, "num_cpus_per_worker": 1.5})
    trainer_with(config, local, tmp_path)
    options = local.options_of(TrainerRank)
    assert [(o["num_gpus"], o["num_cpus"], o.get("name")) for o in options] == [
        (0.25, 1.5, "trainer"),
        (0.25, 1.5, None),
        (0.25, 1.5, None),
    ]


def test_a_resumed_trainer_goes_on_from_its_own_lineage(tmp_path, local):
    for references_change, after in ((False, 77), (True, None)):
        config = toy_config(tmp_path, train={"enable_ref_update": references_change})
        trainer = trainer_with(config, local, tmp_path)
        assert trainer.replay.actor.attach.call_args.args == (trainer.lineage, 0, None)
        trainer.save()
        _, about, state = trainer.ranks[0].actor.save.call_args.args
        assert state["lineage"] == trainer.lineage and about["kind"] == distributed.KIND
        trainer.ranks[0].actor.load.return_value = {"global_step": 5, "lineage": 77}
        trainer.begin(tmp_path)
        assert trainer.replay.actor.attach.call_args.args == (trainer.lineage, 0, after) and trainer.global_step == 5


class Reader:
    """Notes what it is asked for."""

    asked: ClassVar[list] = []

    def __init__(self, *arguments):
        pass

    def read(self, chunks):
        self.asked.append((self, [chunk.id for chunk in chunks]))
        return {"rewards": torch.tensor([[float(chunk.id)] for chunk in chunks]).numpy()}, {}


@pytest.mark.parametrize("readers, prefetch", [(1, 1), (2, 1), (4, 3)])
def test_so_many_readers_read_so_far_ahead(tmp_path, local, monkeypatch, readers, prefetch):
    monkeypatch.setattr(Reader, "asked", [])
    local.actors[distributed.FragmentReader] = Reader
    args = flat(
        from_config(Args, toy(tmp_path, num_readers=readers, num_cpus_per_reader=0.3, prefetch_batches=prefetch))
    )
    blank = type("Blank", (SimpleNamespace,), {"__iter__": lambda self: iter([self.rewards])})
    reader = ChunkReader(args, "rank", blank(rewards=torch.zeros(1, 1)), Handle(MagicMock()))
    options = local.options_of(distributed.FragmentReader)
    assert [o["num_cpus"] for o in options] == [0.3] * readers
    reader.type, reader.room = (lambda rewards: rewards), 0
    batches = [[Chunk(2 * i, 0, 0, 0, None), Chunk(2 * i + 1, 0, 0, 0, None)] for i in range(8)]
    read = reader.batches(batches, torch.device("cpu"))
    assert next(read).tolist() == [[0.0], [1.0]] and len(Reader.asked) == 1 + prefetch
    assert next(read).tolist() == [[2.0], [3.0]] and len(Reader.asked) == 2 + prefetch
    assert len(list(read)) == 6 and len({id(actor) for actor, _ in Reader.asked}) == readers


def test_a_rank_saves_resumes_and_keeps_what_it_should(tmp_path, local):
    config = to_config(from_config(Args, toy(tmp_path, keep_interval=2)))
    rank = TrainerRank(0, config, policy_generator, Handle(MagicMock()))
    rank.learner.optimizer.state[next(iter(rank.learner.policy.parameters()))] = {"step": torch.tensor(3.0)}
    for iteration in range(1, 6):
        rank.learner.iteration = iteration
        folder = tmp_path / "runs" / "run" / "checkpoints" / f"iteration_{iteration:06d}"
        rank.save(folder, {"kind": distributed.KIND, "iteration": iteration}, {"rngs": [rank.rng()], "global_step": 7})
    assert sorted(path.name[-1] for path in folder.parent.iterdir()) == ["2", "4", "5"]
    for keep in (True, False):
        other = TrainerRank(0, changed(config, "train_config.resume_optimizer", keep), policy_generator, None)
        assert other.load(folder)["global_step"] == 7 and other.counters()["iteration"] == 5
        assert bool(other.learner.optimizer.state) == keep


class Idle(PPOTrainer):
    """Does nothing, and notes when it is told to save."""

    ranks, asked, answers, interrupted, global_step = (), {}, {}, False, 0

    def __init__(self, args, policy_generator, run_path, checkpoint):
        self.args, self.run_path, self.checkpoint, self.saved = args, run_path, checkpoint, []
        self.counters = {"iteration": 0}
        self.manager, self.session = Handle(MagicMock()), Handle(MagicMock(**{"take_rows.return_value": []}))
        Idle.last = self

    def collect(self, show):
        return []

    def update(self, shares):
        self.counters["iteration"] += 1
        return {}

    def statistics(self):
        return {"charts/global_step": 0, "charts/episodic_return": 0.0}

    def save(self):
        self.saved.append(self.iteration)


@pytest.fixture
def idle(local, monkeypatch):
    local.named |= {name: Handle(MagicMock()) for name in distributed.SERVICES}
    monkeypatch.setitem(distributed.TRAINERS, "Idle", Idle)
    return local


def test_a_trainer_of_that_name_iterates_saves_and_films(tmp_path, idle):
    train = {"num_iterations": 7, "save_interval": 3, "record_video_interval": 2, "save_path": str(tmp_path / "out")}
    run_path = start_trainer(policy_generator, env_generator, toy_config(tmp_path, train=train, trainer_name="Idle"))
    trainer = Idle.last
    assert trainer.saved == [3, 6, 7] and trainer.checkpoint is None
    films = [f"{run_path.name}/iteration_{i:06d}" for i in (1, 3, 5, 7)]
    assert [call.args[0] for call in trainer.manager.actor.record.call_args_list] == films
    assert run_path.parent == tmp_path / "out" and run_path.name.startswith("toy__1__")
    rows = [json.loads(line) for line in (run_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["charts/iteration"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert json.loads((run_path / "args.json").read_text())["train_config"]["num_iterations"] == 7
    with pytest.raises(SystemExit, match="--trainer-name Idler is not known: PPOTrainer, Idle"):
        start_trainer(policy_generator, env_generator, toy_config(tmp_path, trainer_name="Idler"))


def test_without_a_save_path_runs_go_to_ray_results_and_resume_from_there(tmp_path, idle, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = toy_config(tmp_path, train={"save_path": None, "record_video_interval": 0}, trainer_name="Idle")
    run_path = start_trainer(policy_generator, env_generator, config)
    assert run_path.parent == tmp_path / "home" / "ray_results"
    assert not Idle.last.manager.actor.record.called
    folder = run_path / "checkpoints" / "iteration_000003"
    with write_checkpoint(folder, kind=distributed.KIND, iteration=3):
        pass
    for which in ("latest", str(run_path), str(folder)):
        assert start_trainer(policy_generator, env_generator, changed(config, "train_config.resume", which)) == run_path
        assert Idle.last.checkpoint == folder


def test_detached_rollouts_stay_others_end_with_the_trainer(tmp_path, idle, monkeypatch):
    monkeypatch.setattr(distributed, "stop_rollouts", stop := MagicMock())
    for detach in (True, False):
        idle.named.clear()
        idle.started.clear()
        config = toy_config(tmp_path, train={"num_iterations": 1}, trainer_name="Idle", detach_rollout_manager=detach)
        start_rolloutmanager(policy_generator, env_generator, config)
        kinds = {start.kind: start.options.get("lifetime") for start in idle.started}
        assert kinds == dict.fromkeys((ReplayService, Session, RolloutManager), "detached" if detach else None)
        stop.reset_mock()
        start_trainer(policy_generator, env_generator, config)
        assert stop.called != detach


# THE REPLAY. The toy's iteration takes 8 chunks.


def service(tmp_path, token="token", **changes):
    return ReplayService(to_config(checked(toy(tmp_path, **changes))), token)


def again(tmp_path, before, token="token", **changes):
    """The service after a kill -9."""
    before.index._db.close()
    return service(tmp_path, token, **changes)


def entries(tmp_path, numbers, lineage=1, version=0):
    """With files."""
    paths = [tmp_path / f"{lineage}_{version}_{number}.h5" for number in numbers]
    for path in paths:
        path.touch()
    return [(lineage, version, 0, NODE, str(path)) for path in paths]


def drive(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


async def waits(call) -> asyncio.Task:
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0.05)
    assert not task.done()
    return task


@pytest.mark.parametrize(
    "changes, wanted",
    [
        ({"max_reuse": 1, "max_staleness": 2}, [8, 8, 8]),
        ({"max_reuse": 2, "max_staleness": 2}, [8, 4, 4]),  # each chunk used twice
        ({"max_reuse": 3, "max_staleness": 1}, [8, 0, 8]),  # used in two iterations, then too old
        ({"max_reuse": 3, "max_staleness": 3}, [8, 3, 3]),
        ({"max_reuse": 3, "max_staleness": 0}, [8, 8, 8]),
        ({"max_reuse": 3, "max_staleness": 1, "synchronous": True}, [8, 4, 6]),
        ({"max_reuse": 1, "fragments_per_chunk": 2}, [4, 4, 4]),
        ({"max_reuse": 1, "num_workers": 3}, [24, 24, 24]),
        ({"max_reuse": 1, "batches_per_iteration": 5}, [20, 20, 20]),
    ],
)
def test_so_many_chunks_are_wanted_for_each_iteration(tmp_path, local, changes, wanted):
    async def run():
        replay, seen, number = service(tmp_path, **changes), [], 0
        await replay.attach(1, 0, None)
        for version in range(3):
            seen.append(missing := replay.missing())
            if missing:
                new = entries(tmp_path, range(number, number + missing), version=version)
                number = await replay.add("writer", number, new)
            assert replay.missing() == 0 and await replay.sample(0.0)
            await replay.updated(version + 1)
        return seen

    assert drive(run()) == wanted


def test_what_is_not_wanted_yet_waits_and_nothing_is_lost(tmp_path, local):
    async def run():
        replay = service(tmp_path)
        await replay.attach(1, 0, None)
        new = entries(tmp_path, range(11))
        assert await replay.add("writer", 0, new) == 8
        rest = await waits(replay.add("writer", 8, new[8:]))
        other = await waits(replay.add("other", 0, entries(tmp_path, range(20, 24))))
        (share,) = await replay.sample(0.0)  # what is learned from now is used up: more is wanted meanwhile
        assert await asyncio.wait_for(rest, 1.0) == 11 and await asyncio.wait_for(other, 1.0) == 4
        assert len(share) == 8 and len(replay.index.chunks) == 7
        await replay.updated(1)
        assert await replay.sample(0.05) is None  # 7 are not enough

    drive(run())


def test_of_too_many_chunks_the_oldest_go_with_their_files(tmp_path, local):
    async def run():
        replay = service(tmp_path, max_chunks=9, synchronous=True)  # then a worker's chunks are taken all
        await replay.attach(1, 0, None)
        new = entries(tmp_path, range(12))
        assert await replay.add("writer", 0, new) == 12
        assert [chunk.id for chunk in replay.index.chunks] == list(range(3, 12))
        assert [Path(path).exists() for *_, path in new] == [False] * 3 + [True] * 9
        assert (await replay.status())["replay/unused_chunks"] == 3

    drive(run())


def test_what_is_too_old_is_taken_and_dropped_at_once(tmp_path, local):
    async def run():
        replay = service(tmp_path, max_reuse=2, max_staleness=2)
        await replay.attach(1, 5, None)
        assert await replay.add("writer", 0, entries(tmp_path, range(8), version=5)) == 8
        old = entries(tmp_path, range(3), version=2)
        assert await asyncio.wait_for(replay.add("old", 0, old), 1.0) == 3
        foreign = entries(tmp_path, range(3), lineage=9, version=5)
        assert await asyncio.wait_for(replay.add("foreign", 0, foreign), 1.0) == 3
        assert not any(Path(path).exists() for *_, path in old + foreign)
        good = await waits(replay.add("good", 0, entries(tmp_path, range(30, 33), version=4)))
        both = entries(tmp_path, [40], version=2) + entries(tmp_path, [41], version=4)
        assert await asyncio.wait_for(replay.add("both", 0, both), 1.0) == 1
        assert [chunk.version for chunk in replay.index.chunks] == [5] * 8
        assert await replay.sample(0.0)  # while its update runs, 3 will be too old after it
        assert await asyncio.wait_for(replay.add("late", 0, entries(tmp_path, range(2), version=3)), 1.0) == 2
        assert await asyncio.wait_for(good, 1.0) == 3
        assert [chunk.version for chunk in replay.index.chunks] == [5] * 8 + [4] * 3

    drive(run())


def test_a_new_trainer_gets_only_chunks_that_its_own_weights_collected(tmp_path, local):
    async def begin(token, *attach):
        """8 chunks of lineage 1, versions 4 and 5, then another trainer -> the versions left, the service."""
        replay = service(tmp_path, token)
        await replay.attach(1, 4, None)
        await replay.add("writer", 0, entries(tmp_path, range(4), version=4))
        await replay.updated(5)
        await replay.add("writer", 4, entries(tmp_path, range(4, 8), version=5))
        await replay.attach(*attach)
        return [chunk.version for chunk in replay.index.chunks], replay

    async def run():
        versions, replay = await begin("anew", 2, 0, None)
        assert versions == []
        assert await replay.add("late", 0, entries(tmp_path, range(50, 52), version=0)) == 2  # of the one before
        assert replay.index.chunks == []
        assert (await begin("another run's", 2, 5, 77))[0] == []
        versions, replay = await begin("resumed", 2, 4, 1)  # the checkpoint was of iteration 4
        assert versions == [4] * 4
        late = entries(tmp_path, [60], version=4) + entries(tmp_path, [61], version=5)
        assert await replay.add("late", 0, late) == 2 and len(replay.index.chunks) == 5
        assert await replay.add("own", 0, entries(tmp_path, [62], lineage=2, version=5)) == 1
        assert [chunk.version for chunk in replay.index.chunks] == [4] * 5 + [5]
        replay = again(tmp_path, replay, "resumed")
        assert (replay.lineage, replay.trusted, replay.version) == (2, 4, 4) and len(replay.index.chunks) == 6

    drive(run())


def test_repeated_calls_after_a_kill_do_no_harm(tmp_path, local):
    async def run():
        changes = {"max_reuse": 2, "max_staleness": 1}
        replay = service(tmp_path, **changes)
        await replay.attach(1, 0, None)
        new = entries(tmp_path, range(12))
        assert await replay.add("writer", 0, new[:5]) == 5
        replay = again(tmp_path, replay, **changes)
        assert await replay.add("writer", 0, new[:5]) == 5  # its answer was lost
        assert len(replay.index.chunks) == 5 and replay.missing() == 3
        assert await replay.add("writer", 3, new[3:8]) == 8
        (first,) = await replay.sample(0.0)
        replay = again(tmp_path, replay, **changes)
        (second,) = await replay.sample(0.0)  # its answer was lost too; that was a use
        assert {chunk.id for chunk in second} == set(range(8)) and {chunk.uses for chunk in second} == {2}
        assert replay.missing() == 8 and all(Path(chunk.data.path).exists() for chunk in second)
        replay = again(tmp_path, replay, **changes)
        assert await replay.add("writer", 8, new[8:]) == 12
        assert all(Path(chunk.data.path).exists() for chunk in first)  # the ranks read them still
        await replay.updated(1)
        assert not any(Path(chunk.data.path).exists() for chunk in first)
        assert len(replay.index.chunks) == 4 and replay.version == 1 and await replay.sample(0.0) is None

    drive(run())


def test_no_more_is_promised_than_is_wanted(tmp_path, local):
    async def run():
        replay = service(tmp_path, synchronous=True)
        await replay.attach(1, 0, None)
        assert await replay.may_collect("a", 4, 0, 1) and await replay.may_collect("b", 4, 0, 1)
        c = await waits(replay.may_collect("c", 4, 0, 1))
        assert not await asyncio.wait_for(replay.may_collect("old", 4, -1, 1), 0.5)  # newer weights are on their way
        assert not await asyncio.wait_for(replay.may_collect("old", 4, 0, 9), 0.5)
        await replay.crew(2, ["a", "c"])  # b died
        await replay.crew(1, ["b"])  # was overtaken on the way
        assert await c or await replay.may_collect("c", 4, 0, 1)
        assert await replay.may_collect("a", 4, 0, 1)  # it asks again, for its environments died
        assert await replay.add("a", 0, entries(tmp_path, range(4))) == 4
        assert not await replay.may_collect("a", 4, 0, 1)
        assert await replay.add("c", 0, entries(tmp_path, range(4, 8))) == 4
        assert await replay.sample(0.0)
        assert not await replay.may_collect("a", 4, 0, 1)  # not in an update
        await replay.updated(1)
        assert await replay.may_collect("a", 4, 1, 1)

    drive(run())


@pytest.mark.parametrize("seed, reuse, staleness", [(0, 1, 1), (1, 2, 2), (2, 3, 1), (3, 4, 5)])
def test_no_chunk_is_used_too_often_or_too_late_whatever_happens(tmp_path, local, seed, reuse, staleness):
    """Two ranks; workers with old weights and slow disks; calls that are cut off and repeated; kills."""
    rng = random.Random(seed)
    changes = {"max_reuse": reuse, "max_staleness": staleness, "num_workers": 2, "max_chunks": 40}
    uses = Counter()

    async def work(box, writer):
        number = 0
        while not box.over:
            new = entries(tmp_path, [f"{writer}{number + i}" for i in range(5)], version=box.version)
            await asyncio.sleep(rng.choice([0, 0, 0.002, 0.02]))
            first, end = number, number + 5
            while number < end and not box.over:
                with contextlib.suppress(asyncio.TimeoutError, sqlite3.ProgrammingError):  # killed meanwhile
                    call = box.replay.add(writer, number, new[number - first :])
                    number = await asyncio.wait_for(call, rng.choice([0.002, 0.01]))

    async def run():
        box = SimpleNamespace(replay=service(tmp_path, **changes), version=0, over=False)
        await box.replay.attach(1, 0, None)
        workers = [asyncio.ensure_future(work(box, writer)) for writer in "abc"]
        try:
            while box.version < 25:
                await iterate(box)
                assert len(box.replay.index.chunks) <= 40
                if rng.random() < 0.2:
                    box.replay = again(tmp_path, box.replay, **changes)
        finally:
            box.over = True
            await asyncio.gather(*workers)

    async def iterate(box):
        shares = await box.replay.sample(0.05)
        if shares is None:
            return
        chunks = [chunk for share in shares for chunk in share]
        assert [len(share) for share in shares] == [8, 8] and len({chunk.id for chunk in chunks}) == 16
        for chunk in chunks:
            path = Path(chunk.data.path)
            uses[path] += 1
            assert path.exists() and path.name.split("_")[1] == str(chunk.version)
            assert box.version - chunk.version <= staleness
        await asyncio.sleep(rng.choice([0, 0.005]))
        if rng.random() < 0.9:  # else asked again
            box.version += 1
            await box.replay.updated(box.version)

    drive(run())
    assert min(reuse, 2) <= max(uses.values()) <= reuse and uses.total() >= 25 * 16


# BAD INPUT

EXPECTED = (SystemExit, *distributed.EXPECTED)


@pytest.fixture
def nothing_starts(tmp_path, monkeypatch):
    """Neither Ray nor a folder."""
    monkeypatch.setattr(ray, "init", lambda *a, **k: pytest.fail("Ray was started"))
    monkeypatch.setattr(ray_cluster.subprocess, "Popen", lambda *a, **k: pytest.fail("a process was started"))
    monkeypatch.setattr(distributed, "running_cluster", lambda: None)
    monkeypatch.setattr(ray_cluster, "running_cluster", lambda: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir())


ROLLOUT, TRAIN = "rollout_config.", "train_config."
OVERRIDES = ROLLOUT + "worker_overrides"


@pytest.mark.parametrize(
    "path, value, message",
    [
        (
            "train_config.learning_rte",
            1,
            "train_config.learning_rte: no such setting; did you mean train_config.learning_rate?",
        ),
        ("num_envs", 4, "num_envs: no such setting; did you mean rollout_config.worker_config.num_envs?"),
        ("train_config.num_workers", "2", "train_config.num_workers: text, not a number; given '2', expected int"),
        ("train_config.num_iterations", 1.5, "train_config.num_iterations: not a whole number"),
        ("trainer_name", "GRPO", "--trainer-name GRPO is not known: PPOTrainer"),
        (
            TRAIN + "gradient_accumulation",
            3,
            "--train-config.gradient-accumulation 3 must divide --train-config.batches-per",
        ),
        (REPLAY + "max_chunks", 7, "max-chunks 7 cannot hold an iteration's 8 fragments"),
        (REPLAY + "fragments_per_chunk", 3, "fragments-per-chunk 3 must divide --train-config.batch-size-per-gpu 4"),
        (TRAIN + "num_readers", 9, "--train-config.num-readers 9, but a rank has only 8 files"),
        (TRAIN + "num_readers", 0, "--train-config.num-readers 0 must be at least 1"),
        (TRAIN + "num_workers", 0, "--train-config.num-workers 0 must be at least 1"),
        (ROLLOUT + "num_rollout_workers", 0, "--rollout-config.num-rollout-workers 0 must be at least 1"),
        (WORKER + "batch_size", 9, "--rollout-config.worker-config.batch-size 9 must be between 1 and"),
        (WORKER + "batch_size", 0, "--rollout-config.worker-config.batch-size 0 must be between 1 and"),
        (WORKER + "batch_size", -1, "--rollout-config.worker-config.batch-size -1 must be at least 0"),
        (WORKER + "num_envs", -8, "--rollout-config.worker-config.num-envs -8 must be at least 1"),
        (WORKER + "restart_interval", -1, "--rollout-config.worker-config.restart-interval -1 must be at least 0"),
        (WORKER + "video_fps", 0, "--rollout-config.worker-config.video-fps 0 must be at least 1"),
        (
            WORKER + "engine",
            "malmo",
            "worker_config.engine: not one of the choices; given 'malmo', expected 'voxel' or 'minecraft'",
        ),
        (
            WORKER + "task",
            "nowhere:cows",
            "worker-config.task nowhere:cows: ModuleNotFoundError: No module named 'nowhere'",
        ),
        (WORKER + "task", "colour_env:cows", "AttributeError: module 'colour_env' has no attribute 'cows'"),
        (WORKER + "task", "colour_env:NET_ARGS", "worker-config.task colour_env:NET_ARGS: is no function"),
        (WORKER + "task", "cows", "worker-config.task cows: ModuleNotFoundError"),
        (ROLLOUT + "to_send_queue_size", -1, "--rollout-config.to-send-queue-size -1 must be at least 0"),
        (
            ROLLOUT + "num_gpus_per_worker",
            1.5,
            "--rollout-config.num-gpus-per-worker 1.5 must be a whole number or less",
        ),
        (ROLLOUT + "num_gpus_per_worker", -1, "--rollout-config.num-gpus-per-worker -1.0 must be at least 0"),
        (TRAIN + "num_gpus_per_worker", 2.5, "--train-config.num-gpus-per-worker 2.5 must be a whole number or less"),
        (TRAIN + "num_cpus_per_worker", float("nan"), "--train-config.num-cpus-per-worker nan must be at least 0"),
        (TRAIN + "num_cpus_per_reader", -0.1, "--train-config.num-cpus-per-reader -0.1 must be at least 0"),
        (TRAIN + "prefetch_batches", 0, "--train-config.prefetch-batches 0 must be at least 1"),
        (TRAIN + "chunk_memory", -1, "--train-config.chunk-memory -1.0 must be at least 0"),
        (TRAIN + "learning_rate", -1, "--train-config.learning-rate -1.0 must be at least 0"),
        (TRAIN + "discount", 1.5, "--train-config.discount 1.5 must be between 0 and 1"),
        (
            ROLLOUT + "episode_statistics_config.window",
            0,
            "--rollout-config.episode-statistics-config.window 0 must be at",
        ),
        (REPLAY + "fragments_per_report", -1, "fragments-per-report -1 must be at least 0"),
        (REPLAY + "database_config.num_shards", 0, "num-shards 0 must be at least 1"),
        ("seed", -1, "--seed -1 must be at least 0"),
        ("wait_limit", 0, "--wait-limit 0.0 must be positive"),
        ("wait_limit", float("inf"), "--wait-limit inf must be positive"),
        ("model_path", "nowhere.model", "nowhere.model: no such file"),
        ("weights_path", "nowhere.weights", "--weights-path nowhere.weights needs --model-path"),
        ("logger_config.name", "a/b", "--logger-config.name a/b names a folder"),
        ("logger_config.config", {}, "logger_config.config: no such setting"),
        (
            OVERRIDES,
            [{"num_env": 4}],
            "worker_overrides, rollout worker 0: num_env: no such setting; did you mean num_envs?",
        ),
        (OVERRIDES, [{}, {}], "--rollout-config.worker-overrides has 2 entries, for more workers than"),
        (OVERRIDES, [{"num_envs": "4"}], "worker_overrides, rollout worker 0: num_envs: text, not a number; given '4'"),
        (
            OVERRIDES,
            [{"num_envs": 4}],
            "batch-size 8 must be between 1 and --rollout-config.worker-config.num-envs 4 (rollout worker 0)",
        ),
        (OVERRIDES, [{"num_gpus_per_worker": 1.5}], "must be a whole number or less than 1 (rollout worker 0)"),
        (
            OVERRIDES,
            [{"num_cpus_per_worker": -1}],
            "--rollout-config.num-cpus-per-worker -1.0 must be at least 0 (rollout worker 0)",
        ),
        (OVERRIDES, [{"video_fps": -1}], "video-fps -1 must be at least 1 (rollout worker 0)"),
        (OVERRIDES, [{"video_output_dir": "x"}], "rollout worker 0: video_output_dir is one for all workers"),
        (OVERRIDES, [{"engine": "malmo"}], "rollout worker 0: engine: not one of the choices; given 'malmo'"),
        (OVERRIDES, {"num_envs": 4}, "rollout_config.worker_overrides: wrong type"),
        (OVERRIDES, [4], "rollout_config.worker_overrides: wrong type"),
        (TRAIN + "resume", "nowhere", "nowhere: no such folder. Pass a run's folder"),
        (TRAIN + "resume", "latest", "latest: no good checkpoint in 0 folders"),
    ],
)
def test_a_setting_that_cannot_work_is_named_before_anything_starts(tmp_path, nothing_starts, path, value, message):
    config = changed(toy_config(tmp_path), path, value)
    for start in (start_rolloutmanager, start_trainer):
        with pytest.raises(EXPECTED, match=re.escape(message)):
            start(policy_generator, env_generator, config)


def test_overrides_are_of_their_settings_types(tmp_path):
    config = changed(
        toy_config(tmp_path), OVERRIDES, [{"num_envs": 8.0, "num_gpus_per_worker": 1, "restart_interval": 9}]
    )
    args = checked(config)
    assert args.rollout_config.worker_overrides == ({"num_envs": 8, "num_gpus_per_worker": 1.0, "restart_interval": 9},)
    assert type(flat(args, 0).num_envs) is int and from_config(Args, to_config(args)) == args


@pytest.mark.parametrize(
    "policy, env, message",
    [
        (policy_generator, None, "env_generator must be a function that takes nothing, not None"),
        ({"hidsize": 32}, env_generator, "policy_generator must be a function that takes nothing, not {'hidsize': 32}"),
        (
            policy_generator,
            threading.Lock().acquire,
            "env_generator cannot be sent to other processes (TypeError",
        ),
    ],
)
def test_a_generator_that_cannot_be_sent_is_named_before_anything_starts(
    tmp_path, nothing_starts, policy, env, message
):
    with pytest.raises(PartyError, match=re.escape(message)):
        start_rolloutmanager(policy, env, toy_config(tmp_path))
    if policy is not policy_generator:
        with pytest.raises(PartyError, match=re.escape(message)):
            start_trainer(policy, env, toy_config(tmp_path))


def test_a_generator_that_closes_over_what_cannot_be_sent_is_named(tmp_path, nothing_starts):
    lock = threading.Lock()
    with pytest.raises(PartyError, match=r"policy_generator cannot be sent .*lock.*make what it uses inside it"):
        start_rolloutmanager(lambda: lock, env_generator, toy_config(tmp_path))


def test_another_scripts_checkpoint_is_refused(tmp_path, tmp_path_factory, nothing_starts):
    folder = tmp_path_factory.mktemp("online") / "run" / "checkpoints" / "iteration_000001"
    with write_checkpoint(folder, kind="ppo_vpt_online", iteration=1):
        pass
    config = changed(toy_config(tmp_path), "train_config.resume", str(folder))
    with pytest.raises(
        EXPECTED, match="was written by ppo_vpt_online: ppo_vpt_distributed can begin a new run from its"
    ):
        start_rolloutmanager(policy_generator, env_generator, config)
    config = changed(changed(config, "train_config.resume", "latest"), "train_config.save_path", str(folder.parents[2]))
    with pytest.raises(EXPECTED, match="latest: no good checkpoint in 0 folders"):
        start_rolloutmanager(policy_generator, env_generator, config)


@pytest.fixture(params=["closes", "is silent"])
def another_program(request):
    """An address where it listens, that is not Ray."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        accepted = []

        def accept():
            with contextlib.suppress(OSError):
                accepted.append(listening.accept()[0])
                if request.param == "closes":
                    accepted[0].close()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def refused_address(tmp_path, address):
    began = time.monotonic()
    with pytest.raises(PartyError) as caught:
        start_rolloutmanager(policy_generator, env_generator, toy_config(tmp_path, address=address))
    assert time.monotonic() - began < 10
    return str(caught.value)


def test_an_address_without_ray_is_refused_soon(tmp_path, nothing_starts):
    for address in ("127.0.0.1:1", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x", ":"):
        assert f"no Ray cluster answers at {address} (" in refused_address(tmp_path, address)
    assert refused_address(tmp_path, "auto") == "no Ray cluster runs on this machine: start one with ray start --head"


def test_an_address_of_another_program_is_refused_soon(tmp_path, nothing_starts, another_program):
    assert f"no Ray cluster answers at {another_program} (" in refused_address(tmp_path, another_program)


@pytest.mark.parametrize(
    "train, rollout, have, message",
    [
        (
            {"num_gpus_per_worker": 1},
            {},
            {"CPU": 8},
            "the trainer ranks want 1 GPUs and the rollout workers 0, but this Ray",
        ),
        (
            {},
            {"num_gpus_per_worker": 0.5, "num_rollout_workers": 3},
            {"CPU": 8, "GPU": 1},
            "rollout workers 1.5, but this",
        ),
        (
            {"num_workers": 2, "num_cpus_per_worker": 3},
            {},
            {"CPU": 7},
            "ranks want 6.2 CPUs and the rollout workers 1, but",
        ),
        (
            {"num_cpus_per_reader": 7},
            {},
            {"CPU": 8},
            "ranks want 8 CPUs and the rollout workers 1, but this Ray cluster has 8",
        ),
        (
            {},
            {"worker_overrides": [{"num_cpus_per_worker": 9}]},
            {"CPU": 8},
            "the rollout workers 9, but this Ray cluster",
        ),
        ({}, {}, {"CPU": 2.1}, None),
        (
            {"num_gpus_per_worker": 0.7},
            {"num_gpus_per_worker": 0.1, "num_rollout_workers": 3},
            {"CPU": 8, "GPU": 1},
            None,
        ),
    ],
)
def test_a_cluster_too_small_is_refused_and_ended_if_it_was_started(
    tmp_path, local, monkeypatch, train, rollout, have, message
):
    local.resources = have
    monkeypatch.setattr(distributed, "end_cluster", end := MagicMock())
    for started in (True, False):
        monkeypatch.setattr(distributed, "connect", lambda *arguments, started=started, **options: started)
        expected = pytest.raises(PartyError, match=re.escape(message)) if message else contextlib.nullcontext()
        with expected:
            start_rolloutmanager(policy_generator, env_generator, toy_config(tmp_path, train=train, rollout=rollout))
        local.named.clear()
        assert end.called == bool(message and started) and bool(local.started) != bool(message)
        end.reset_mock()
    monkeypatch.setattr(distributed, "connect", lambda *arguments, **options: True)
    with pytest.raises(PartyError, match="there is no rollout manager: call start_rolloutmanager first"):
        start_trainer(policy_generator, env_generator, toy_config(tmp_path))
    assert end.called


def test_the_script_says_in_one_line_what_is_wrong(tmp_path):
    """As processes, all at once."""
    cases = {
        ("--train-config.gradient-accumulation", "3"): "--train-config.gradient-accumulation 3 must divide",
        ("--train-config.resume", "nowhere"): "error: nowhere: no such folder",
        ("--address", "127.0.0.1:1"): "error: no Ray cluster answers at 127.0.0.1:1",
    }
    command = [sys.executable, SCRIPT, "--laptop", "--address", "127.0.0.1:1"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": tmp_path}
    processes = [subprocess.Popen([*command, *flags], **streams) for flags in cases]
    for process, message in zip(processes, cases.values(), strict=True):
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 1, output
        assert output.startswith(message) and output.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_ranks_whose_weights_differ_stop_the_run(tmp_path):
    trainer = distributed.PPOTrainer.__new__(distributed.PPOTrainer)
    trainer.ranks, trainer.counters, trainer.run_path, trainer.saved_iteration = (
        [MagicMock()] * 2,
        {"iteration": 4},
        tmp_path,
        0,
    )
    trainer.wait = lambda refs, names=None: [{"invariants/weights_digest": i} for i in range(2)]
    with pytest.raises(PartyError, match="the trainer ranks' weights differ after iteration 5"):
        trainer.update([[], []])
    trainer.wait = lambda refs, names=None: [7, 8]
    with pytest.raises(PartyError, match=r"weights differ at iteration 4: .*not saved"):
        trainer.save()
    assert not list(tmp_path.iterdir())


def test_the_laptops_settings_are_the_online_scripts_quick_start():
    ours, theirs = vars(distributed.flat(from_config(Args, distributed.LAPTOP))), vars(online.Args())
    other = {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]}
    assert other == {"inference_batch_size", "video_output_dir"}  # 64 of 64 environments; a folder of its own
    assert inspect.getsource(distributed.env_generator) == inspect.getsource(online.env_generator)
