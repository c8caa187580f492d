"""Nested settings: every configuration users have is taken, every fault in it is found and explained."""

import json
import sys
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import pytest
import tyro

from minestudio_envs.training.nested_settings import (
    SettingsError,
    differences,
    flatten,
    from_config,
    parse,
    paths,
    to_config,
)


@dataclass
class WorkerConfig:
    """A worker"""

    num_envs: int = 4
    batch_size: int = 2
    restart_interval: float = 60
    video_fps: int = 20
    video_output_dir: str | None = None


@dataclass
class DatabaseConfig:
    """Files"""

    path: str = "cache"
    num_shards: int = 4


@dataclass
class ReplayBufferConfig:
    """The buffer"""

    max_chunks: int = 100
    max_reuse: int = 1
    max_staleness: int = 1
    fragments_per_report: int = 10
    fragments_per_chunk: int = 1
    database_config: DatabaseConfig = field(default_factory=DatabaseConfig)


@dataclass
class EpisodeStatisticsConfig:
    """Statistics"""

    window: int = 100


@dataclass
class RolloutConfig:
    """Collecting"""

    num_rollout_workers: int = 1
    num_gpus_per_worker: float = 0.0
    num_cpus_per_worker: float = 1.0
    fragment_length: int = 128
    to_send_queue_size: int = 2
    worker_config: WorkerConfig = field(default_factory=lambda: WorkerConfig(batch_size=3))
    replay_buffer_config: ReplayBufferConfig = field(default_factory=ReplayBufferConfig)
    episode_statistics_config: EpisodeStatisticsConfig = field(default_factory=EpisodeStatisticsConfig)


@dataclass
class TrainConfig:
    """Learning"""

    num_workers: int = 1
    num_gpus_per_worker: float = 0.0
    num_iterations: int = 10
    vf_warmup: int = 0
    learning_rate: float = 1e-3
    anneal_lr_linearly: bool = True
    weight_decay: float = 0.0
    adam_eps: float = 1e-5
    batch_size_per_gpu: int = 2
    batches_per_iteration: int = 4
    gradient_accumulation: int = 1
    epochs_per_iteration: int = 2
    context_length: int = 32
    discount: float = 0.99
    gae_lambda: float = 0.9
    ppo_clip: float = 0.1
    clip_vloss: bool = True
    max_grad_norm: float = 1.0
    zero_initial_vf: bool = False
    ppo_policy_coef: float = 2.0
    ppo_vf_coef: float = 1.0
    kl_divergence_coef_rho: float = 0.0
    entropy_bonus_coef: float = 0.01
    coef_rho_decay: float = 1.0
    log_ratio_range: float = 20.0
    normalize_advantage_full_batch: bool = False
    use_normalized_vf: bool = False
    num_readers: int = 1
    num_cpus_per_reader: float = 0.5
    prefetch_batches: int = 1
    save_interval: int = 1
    keep_interval: int = 2
    record_video_interval: int = 0
    fix_decoder: bool = True
    enable_ref_update: bool = False
    resume: str | None = "latest"
    resume_optimizer: bool = False
    save_path: str | None = None


@dataclass
class LoggerConfig:
    """Logging"""

    extra_keys: ClassVar[str] = "other"

    project: str = "ppo"
    name: str = "run"
    other: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def allowed_extra(cls) -> Collection[str]:
        return {"tags", "entity", "project"}


@dataclass
class Config:
    """Everything"""

    trainer_name: str = "Trainer"
    detach_rollout_manager: bool = False
    rollout_config: RolloutConfig = field(default_factory=RolloutConfig)
    train_config: TrainConfig = field(default_factory=TrainConfig)
    logger_config: LoggerConfig = field(default_factory=LoggerConfig)


@dataclass
class Kinds:
    """Every kind of leaf, with annotations that are strings"""

    flag: "bool" = False
    maybe_flag: "bool | None" = None
    whole: "int" = 1
    real: "float" = 1  # an int, as people write
    number: "int | float" = 1
    text: "str" = ""
    choice: "Literal['a', 'b', 1]" = "a"
    maybe: "int | None" = None
    loss: "Literal['gae'] | float" = "gae"
    pair: "tuple[float, float]" = (0.9, 0.99)
    many: "tuple[int, ...]" = ()
    names: "list[str]" = field(default_factory=list)
    tasks: "tuple[dict[str, Any], ...]" = ()
    options: "dict[str, Any]" = field(default_factory=dict)
    anything: "Any" = None
    hidden: "tyro.conf.Suppress[dict[str, Any]]" = field(default_factory=dict)


# MineStudio's document, as its reader types it; what it leaves blank is None.
DOCUMENT = {
    "trainer_name": "PPOTrainer",
    "detach_rollout_manager": True,
    "rollout_config": {
        "num_rollout_workers": 2,
        "num_gpus_per_worker": 1.0,
        "num_cpus_per_worker": 1,
        "fragment_length": 256,
        "to_send_queue_size": 6,
        "worker_config": {
            "num_envs": 12,
            "batch_size": 6,
            "restart_interval": 3600,  # 1h
            "video_fps": 20,
            "video_output_dir": "output/videos",
        },
        "replay_buffer_config": {
            "max_chunks": 4800,
            "max_reuse": 2,
            "max_staleness": 2,
            "fragments_per_report": 40,
            "fragments_per_chunk": 1,
            "database_config": {
                "path": "output/replay_buffer_cache",
                "num_shards": 8,
            },
        },
        "episode_statistics_config": {},
    },
    "train_config": {
        "num_workers": 2,
        "num_gpus_per_worker": 1.0,
        "num_iterations": 4000,
        "vf_warmup": 0,
        "learning_rate": 0.00002,
        "anneal_lr_linearly": None,
        "weight_decay": 0.04,
        "adam_eps": 1e-8,
        "batch_size_per_gpu": 1,
        "batches_per_iteration": 200,
        "gradient_accumulation": 10,
        "epochs_per_iteration": 1,
        "context_length": 64,
        "discount": 0.999,
        "gae_lambda": 0.95,
        "ppo_clip": 0.2,
        "clip_vloss": False,
        "max_grad_norm": 5,
        "zero_initial_vf": True,
        "ppo_policy_coef": 1.0,
        "ppo_vf_coef": 0.5,
        "kl_divergence_coef_rho": 0.2,
        "entropy_bonus_coef": 0.0,
        "coef_rho_decay": 0.9995,
        "log_ratio_range": 50,
        "normalize_advantage_full_batch": True,
        "use_normalized_vf": True,
        "num_readers": 4,
        "num_cpus_per_reader": 0.1,
        "prefetch_batches": 2,
        "save_interval": 10,
        "keep_interval": 40,
        "record_video_interval": 2,
        "fix_decoder": False,
        "resume": None,
        "resume_optimizer": True,
        "save_path": "output",
    },
    "logger_config": {"project": "minestudio_online", "name": "bow_cow"},
}


def leaves(config, prefix=""):
    for key, value in config.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def lookup(settings, path):
    for name in path.split("."):
        settings = getattr(settings, name)
    return settings


def faults(cls, config):
    with pytest.raises(SettingsError) as caught:
        from_config(cls, config)
    return str(caught.value).splitlines()


def check_document(settings):
    for path, value in leaves(DOCUMENT):
        assert lookup(settings, path) == (False if path.endswith("anneal_lr_linearly") else value), path
    assert settings.train_config.anneal_lr_linearly is False
    assert type(settings.train_config.max_grad_norm) is float
    assert settings.train_config.enable_ref_update is False  # the document lacks it
    assert settings.rollout_config.episode_statistics_config == EpisodeStatisticsConfig()


def test_document():
    before = json.dumps(DOCUMENT)
    settings = from_config(Config, DOCUMENT)
    check_document(settings)
    assert json.dumps(DOCUMENT) == before
    as_json = json.loads(json.dumps(to_config(settings)))
    assert from_config(Config, as_json) == settings


def test_omegaconf():
    omegaconf = pytest.importorskip("omegaconf")
    check_document(from_config(Config, omegaconf.OmegaConf.create(DOCUMENT)))
    check_document(from_config(Config, {key: omegaconf.OmegaConf.create({"x": v}).x for key, v in DOCUMENT.items()}))
    config = omegaconf.OmegaConf.create({"whole": 7, "maybe": "${whole}", "many": [1, 2], "options": {"a": {"b": [1]}}})
    expected = Kinds(whole=7, maybe=7, many=(1, 2), options={"a": {"b": [1]}})
    assert from_config(Kinds, config) == replace(expected, real=1.0)
    assert faults(Kinds, omegaconf.OmegaConf.create({"flag": [1]})) == [
        "flag: wrong type; given [1], expected bool",
    ]


def test_omegaconf_fake(monkeypatch):
    class DictConfig:  # no Mapping, as OmegaConf's own
        def __init__(self, content):
            self.content = content

    class OmegaConf:
        @staticmethod
        def is_config(value):
            return isinstance(value, DictConfig)

        @staticmethod
        def to_container(value, *, resolve):
            assert resolve
            return value.content

    monkeypatch.setitem(sys.modules, "omegaconf", SimpleNamespace(OmegaConf=OmegaConf))
    check_document(from_config(Config, DictConfig(DOCUMENT)))
    check_document(from_config(Config, DOCUMENT | {"train_config": DictConfig(DOCUMENT["train_config"])}))
    nested = {"name": "x", "other": DictConfig({"tags": ["y"]})}
    assert from_config(LoggerConfig, nested) == LoggerConfig(name="x", other={"tags": ["y"]})


def test_no_omegaconf(monkeypatch):
    monkeypatch.setitem(sys.modules, "omegaconf", None)  # importing it would fail
    check_document(from_config(Config, DOCUMENT))


@pytest.mark.parametrize("nothing", [None, {}])
def test_defaults(nothing):
    assert from_config(Config, nothing) == Config()
    assert from_config(Config, {"rollout_config": nothing, "train_config": nothing}) == Config()
    settings = from_config(Config, {"rollout_config": {"worker_config": {"num_envs": 9}}})
    assert settings.rollout_config.worker_config == WorkerConfig(num_envs=9, batch_size=3)  # as RolloutConfig says
    assert type(settings.rollout_config.worker_config.restart_interval) is float


def test_instance_is_copied_and_checked():
    given = from_config(Config, DOCUMENT)
    given.logger_config.other = {"tags": ["a"]}
    settings = from_config(Config, given)
    assert settings == given
    settings.rollout_config.worker_config.num_envs = 99
    settings.logger_config.other["tags"].append("b")
    assert given.rollout_config.worker_config.num_envs == 12
    assert given.logger_config.other == {"tags": ["a"]}
    given.train_config.num_workers = "2"
    given.logger_config.other["tag"] = 1
    assert faults(Config, given) == [
        "train_config.num_workers: text, not a number; given '2', expected int",
        "logger_config.other.tag: no such setting; did you mean logger_config.other.tags?",
    ]


def test_instances_within_mappings():
    settings = from_config(Config, {"train_config": TrainConfig(num_workers=3), "rollout_config": {}})
    assert settings == Config(train_config=TrainConfig(num_workers=3))
    given = Config()
    given.rollout_config = {"fragment_length": 3}
    given.train_config = None
    assert from_config(Config, given) == Config(rollout_config=RolloutConfig(fragment_length=3))


def test_subclass_stays():
    @dataclass
    class MyTrainConfig(TrainConfig):
        mine: int = 1

    given = Config(train_config=MyTrainConfig(mine=2))
    assert from_config(Config, given) == given


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("flag", True, True),
        ("flag", None, False),
        ("maybe_flag", None, None),
        ("maybe_flag", True, True),
        ("whole", 1e3, 1000),
        ("real", 3, 3.0),
        ("real", float("inf"), float("inf")),
        ("number", 2.0, 2.0),
        ("number", 2, 2),
        ("choice", "b", "b"),
        ("choice", 1, 1),
        ("maybe", 3.0, 3),
        ("maybe", None, None),
        ("loss", "gae", "gae"),
        ("loss", 1, 1.0),
        ("pair", [1, 0.5], (1.0, 0.5)),
        ("many", [], ()),
        ("many", [1, 2.0], (1, 2)),
        ("names", ("a", "b"), ["a", "b"]),
        ("tasks", [{"a": None}, {}], ({"a": None}, {})),
        ("options", {"a": (1, "x", None, {"b": 2.5})}, {"a": [1, "x", None, {"b": 2.5}]}),
        ("anything", [{"a": 1}], [{"a": 1}]),
    ],
)
def test_kinds(name, given, value):
    settings = from_config(Kinds, {name: given})
    taken = getattr(settings, name)
    assert taken == value
    assert type(taken) is type(value)
    assert json.loads(json.dumps(to_config(settings)))[name] == json.loads(json.dumps(value))
    assert from_config(Kinds, json.loads(json.dumps(to_config(settings)))) == settings


@pytest.mark.parametrize(
    ("name", "given", "fault"),
    [
        ("flag", 1, "wrong type; given 1, expected bool"),
        ("flag", "yes", "wrong type; given 'yes', expected bool"),
        ("maybe_flag", 0, "wrong type; given 0, expected bool or None"),
        ("whole", 1.5, "not a whole number; given 1.5, expected int"),
        ("whole", float("inf"), "not a whole number; given inf, expected int"),
        ("whole", float("nan"), "not a whole number; given nan, expected int"),
        ("whole", True, "wrong type; given True, expected int"),
        ("whole", None, "wrong type; given None, expected int"),
        ("whole", "1", "text, not a number; given '1', expected int"),
        ("real", "2e-5", "text, not a number; given '2e-5', expected float"),
        ("real", False, "wrong type; given False, expected float"),
        ("text", 1, "wrong type; given 1, expected str"),
        ("text", None, "wrong type; given None, expected str"),
        ("choice", "c", "not one of the choices; given 'c', expected 'a' or 'b' or 1"),
        ("choice", True, "not one of the choices; given True, expected 'a' or 'b' or 1"),
        ("maybe", "1", "text, not a number; given '1', expected int or None"),
        ("pair", [0.9], "wrong length; given [0.9], expected tuple[float, float]"),
        ("pair", 0.9, "wrong type; given 0.9, expected tuple[float, float]"),
        ("many", [1, "2"], "text, not a number; given [1, '2'], expected tuple[int, ...]"),
        ("many", "12", "wrong type; given '12', expected tuple[int, ...]"),
        ("names", [1], "wrong type; given [1], expected list[str]"),
        ("tasks", [3], "wrong type; given [3], expected tuple[dict[str, Any], ...]"),
        ("options", {1: 2}, "wrong type; given {1: 2}, expected dict[str, Any]"),
        ("options", None, "wrong type; given None, expected dict[str, Any]"),
        ("hidden", 1, "wrong type; given 1, expected dict[str, Any]"),
        ("options", {"a": {1}}, "cannot be saved; given {'a': {1}}, expected dict[str, Any]"),
    ],
)
def test_misfits(name, given, fault):
    assert faults(Kinds, {name: given}) == [f"{name}: {fault}"]


@dataclass
class Unusable:
    """A kind of leaf that no configuration file can hold"""

    settings: complex = 1j


def test_unusable_annotation():
    with pytest.raises(TypeError, match="a setting cannot be a <class 'complex'>"):
        from_config(Unusable, {})


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        (
            {"rollout_config": {"num_envs": 12}},
            "rollout_config.num_envs: no such setting; did you mean rollout_config.worker_config.num_envs?",
        ),
        (
            {"rollout_config": {"worker_config": {"num_env": 12}}},
            "rollout_config.worker_config.num_env: no such setting; "
            "did you mean rollout_config.worker_config.num_envs?",
        ),
        (  # rather than num_readers
            {"train_config": {"num_envs": 12}},
            "train_config.num_envs: no such setting; did you mean rollout_config.worker_config.num_envs?",
        ),
        (
            {"num_gpus_per_worker": 1},
            "num_gpus_per_worker: no such setting; "
            "did you mean rollout_config.num_gpus_per_worker or train_config.num_gpus_per_worker?",
        ),
        (
            {"train_config": {"learning_coef": 0}},
            "train_config.learning_coef: no such setting; did you mean train_config.learning_rate?",
        ),
        ({"learning_rat": 1}, "learning_rat: no such setting; did you mean train_config.learning_rate?"),
        ({"worker_config": {}}, "worker_config: no such setting; did you mean rollout_config.worker_config?"),
        ({"tags": []}, "tags: no such setting; did you mean logger_config.tags?"),
        ({"logger_config": {"tag": []}}, "logger_config.tag: no such setting; did you mean logger_config.tags?"),
        (
            {"logger_config": {"zzz": []}},
            "logger_config.zzz: no such setting; known are project, name, other, entity, tags",
        ),
        (
            {"logger_config": {"other": {"project": ""}}},
            "logger_config.other.project: no such setting; did you mean logger_config.project?",
        ),
        ({7: 1}, "7: no such setting; known are " + ", ".join(vars(Config()))),
        (
            {"train_config": 3},
            "train_config: wrong type; given 3, expected a mapping of its settings",
        ),
        ("config.yaml", "the configuration: wrong type; given 'config.yaml', expected a mapping of its settings"),
    ],
)
def test_wrong_keys(config, fault):
    assert faults(Config, config) == [fault]


def test_all_faults_at_once():
    config = {
        "trainer_name": None,
        "rollout_config": {"worker_config": {"num_envs": "12", "batchsize": 1}, "fragment_length": 0.5},
        "train_config": [],
        "logger_config": {"other": 3, "tags": [], "nam": "x"},
    }
    assert faults(Config, config) == [
        "trainer_name: wrong type; given None, expected str",
        "rollout_config.fragment_length: not a whole number; given 0.5, expected int",
        "rollout_config.worker_config.batchsize: no such setting; "
        "did you mean rollout_config.worker_config.batch_size?",
        "rollout_config.worker_config.num_envs: text, not a number; given '12', expected int",
        "train_config: wrong type; given [], expected a mapping of its settings",
        "logger_config.nam: no such setting; did you mean logger_config.name?",
        "logger_config.other: wrong type; given 3, expected dict[str, Any]",
    ]


def test_extra_keys():
    settings = from_config(Config, {"logger_config": {"name": "x", "tags": ("a",), "other": {"entity": "y"}}})
    assert settings.logger_config == LoggerConfig(name="x", other={"tags": ["a"], "entity": "y"})
    assert from_config(Config, to_config(settings)) == settings


def test_allowed_extra_is_asked_only_when_needed(monkeypatch):
    monkeypatch.setattr(LoggerConfig, "allowed_extra", None)  # calling it would fail
    assert from_config(Config, {"logger_config": {"name": "x"}}).logger_config.name == "x"


def test_paths_and_flatten():
    settings = from_config(Config, DOCUMENT)
    where = paths(Config)
    assert where == paths(settings)
    assert where["num_shards"] == "rollout_config.replay_buffer_config.database_config.num_shards"
    assert where["trainer_name"] == "trainer_name"
    assert where["train_config.num_gpus_per_worker"] == "train_config.num_gpus_per_worker"
    assert "num_gpus_per_worker" not in where
    assert "worker_config" not in where
    flat = flatten(settings)
    assert flat["num_shards"] == 8
    assert flat["other"] == {}
    assert set(flat) == {name for name in where if "." not in name}
    assert all(lookup(settings, where[name]) == value for name, value in flat.items())


def test_differences():
    there, here = from_config(Config, DOCUMENT), from_config(Config, DOCUMENT)
    assert differences(there, here) == []
    here.rollout_config.fragment_length = 128
    here.logger_config.other = {"tags": ["a"]}
    here.trainer_name = "Other"
    assert differences(there, here) == [
        "trainer_name: 'PPOTrainer' there, 'Other' here",
        "rollout_config.fragment_length: 256 there, 128 here",
        "logger_config.other: {} there, {'tags': ['a']} here",
    ]
    with pytest.raises(TypeError, match="cannot compare Config with Kinds"):
        differences(there, Kinds())


def test_parse():
    assert parse(Config, "What it does", []) == Config()
    flags = "--rollout-config.worker-config.num-envs 12 --train-config.no-anneal-lr-linearly --train-config.resume None"
    settings = parse(Config, None, flags.split())
    assert settings.rollout_config.worker_config == WorkerConfig(num_envs=12, batch_size=3)
    assert settings.train_config == TrainConfig(anneal_lr_linearly=False, resume=None)

    given = from_config(Config, DOCUMENT)
    given.logger_config.other = {"tags": ["a"], "entity": None}
    settings = parse(given, None, ["--train-config.anneal-lr-linearly", "--logger-config.name", "x"])
    expected = from_config(Config, given)
    expected.train_config.anneal_lr_linearly = True
    expected.logger_config.name = "x"
    assert settings == expected
    settings.logger_config.other["tags"].append("b")
    assert given.logger_config.other["tags"] == ["a"]


def test_parse_every_kind():
    flags = "--flag --maybe-flag False --whole 2 --choice b --maybe 3 --pair 1 2 --many 1 2 --names a b --loss 0.5"
    expected = Kinds(True, False, 2, 1.0, choice="b", maybe=3, pair=(1, 2), many=(1, 2), names=["a", "b"], loss=0.5)
    assert parse(Kinds, None, flags.split()) == expected
    given = Kinds(tasks=({"a": None}, {}), options={"a": {"b": [1, "x"], "c": 1}}, anything=[{"x": 1}], hidden={"y": 1})
    assert parse(given, None, []) == given
    expected = replace(given, options={"a": {"b": [1, "x"], "c": 2}})
    assert parse(given, None, ["--options.a.c", "2"]) == expected
    with pytest.raises(SystemExit):
        parse(given, None, ["--hidden.y", "2"])


def test_parse_help_and_errors(capsys):
    with pytest.raises(SystemExit) as left:
        parse(Config, "What it does", ["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert "What it does" in text
    assert "--train-config.anneal-lr-linearly" in text
    with pytest.raises(SystemExit) as left:
        parse(Config, None, ["--train-config.num-workers", "x"])
    assert left.value.code == 2
    with pytest.raises(SettingsError, match=r"train_config\.num_workers: text"):
        parse(Config(train_config=TrainConfig(num_workers="2")), None, [])
