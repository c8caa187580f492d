"""Small runs of ppo_vpt_distributed.py on Ray, for tests: settings, and what a run left."""

import contextlib
import json
import os
import time
from pathlib import Path

# Before Ray is imported: tests leave no token in the home, and need no dashboard.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
# With Ray's 15, tests beside these would keep its processes from starting in time.
os.environ["RAY_worker_niceness"] = "0"
# Ray's processes import these tests' modules, and the script beside them.
os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1])))

import ray

RAY = {"namespace": "ppo_vpt", "include_dashboard": False, "object_store_memory": 200_000_000, "log_to_driver": False}


def toy_config(path: Path, rollout=(), train=(), replay=(), worker=(), **root):
    """MineStudio's configuration for colour_env's task; the last arguments are changes to its sections."""
    return {
        "detach_rollout_manager": False,
        "wait_limit": 120.0,  # on a busy machine a process may take half a minute to start
        "rollout_config": {
            "num_rollout_workers": 1,
            "num_gpus_per_worker": 0,
            "fragment_length": 16,
            "worker_config": {"num_envs": 8, "batch_size": 8, "video_output_dir": str(path / "films")} | dict(worker),
            "replay_buffer_config": {
                "max_reuse": 1,
                "fragments_per_report": 0,
                "database_config": {"path": str(path / "replay"), "num_shards": 2},
            }
            | dict(replay),
        }
        | dict(rollout),
        "train_config": {
            "num_workers": 1,
            "num_gpus_per_worker": 0,
            "num_iterations": 3,
            "learning_rate": 1e-3,
            "batch_size_per_gpu": 4,
            "batches_per_iteration": 2,
            "gradient_accumulation": 1,
            "context_length": 8,
            "kl_divergence_coef_rho": 0.05,
            "vf_ewma_beta": 0.99,
            "num_readers": 1,
            "record_video_interval": 0,
            "save_path": str(path / "runs"),
        }
        | dict(train),
        "logger_config": {"name": "toy"},
    } | root


def rows(run_path: Path) -> list[dict]:
    """The metrics of each iteration."""
    lines = [json.loads(line) for line in (run_path / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "charts/iteration" in line]


def until(condition, seconds: float = 30.0):
    """The first true value of `condition()`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not true within {seconds} s"
        time.sleep(0.1)
    return value


@contextlib.contextmanager
def local_ray(cpus: int = 8):
    ray.init("local", num_cpus=cpus, **RAY)
    try:
        yield
    finally:
        ray.shutdown()


def children(parents: list[int], command: str = "") -> list[int]:
    """The processes that these started and that have this in their command."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in parents and command in (entry / "cmdline").read_text():
                found.append(int(entry.name))
    return found


def gone(pid: int) -> bool:
    """Has it ended? Its parent may not have noticed."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def pids_of(nodes: list, name: str) -> list[int]:
    """Processes on these nodes of a ray.cluster_utils.Cluster that run a class of this name."""
    return children([node.all_processes["raylet"][0].process.pid for node in nodes], f"ray::{name}")
