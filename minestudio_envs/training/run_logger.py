"""Where a run's numbers and films go: metrics.jsonl, Weights & Biases, TensorBoard, and a progress bar."""

import json
import logging
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from minestudio_envs.training.checkpoints import CheckpointError

STEP = "charts/global_step"


def make_console() -> Console:
    """A console that also gets the log's messages. A log file has no width, so lines there are long."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    handler = RichHandler(console=console, show_time=False, show_path=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler], force=True)
    return console


def make_run_folder(runs: Path, name: str) -> Path:
    """A new folder for a run: its name and the time."""
    path = runs / f"{name}__{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        path.mkdir(parents=True)
    except FileExistsError:  # another run began in this second
        path = path.with_name(f"{path.name}-{os.getpid()}")
        path.mkdir()
    return path


class RunLogger:
    """One run's records; a context manager that shows the progress bar and closes everything at the end.

    run_path: the run's folder. config: all settings. iteration, step: done; iterations: in all. wandb: arguments of
    wandb.init, or None not to use it (WANDB_MODE=offline or disabled holds as usual). tensorboard: write its files too.
    A resumed run goes on in the same files: rows that it will write again are dropped (not from Weights & Biases, which
    cannot). Raises CheckpointError where another process writes them.
    """

    def __init__(
        self,
        run_path: Path,
        config: dict[str, Any],
        console: Console,
        iteration: int = 0,
        step: int = 0,
        iterations: int = 1,
        wandb: dict[str, Any] | None = None,
        tensorboard: bool = False,
    ):
        self.console, self.iteration, self.iterations = console, iteration, iterations
        self.wandb_run = self.tensorboard = None
        self.lock = FileLock(run_path / "lock")  # ends with the process, however that ends
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            raise CheckpointError(f"another process goes on with {run_path}: wait for it, or stop it") from None
        path = run_path / "metrics.jsonl"
        drop_rows_after(path, iteration)
        self.file = path.open("a", buffering=1)
        if wandb is not None:
            self.wandb_run = self.start_wandb(run_path, config, wandb)
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise SystemExit(f"--tensorboard needs its package: pip install tensorboard ({error})") from None
            self.tensorboard = SummaryWriter(str(run_path / "tensorboard"), purge_step=step + 1)
            self.tensorboard.add_text("config", "\n".join(f"- {key}: {value}" for key, value in config.items()))
        columns = ("{task.completed}/{task.total}", BarColumn(), "{task.description}", TimeElapsedColumn(), "ETA")
        self.progress = Progress(*columns, TimeRemainingColumn(), console=console)
        self.task = self.progress.add_task("first iteration", total=iterations, completed=iteration)

    @staticmethod
    def start_wandb(run_path: Path, config: dict[str, Any], arguments: dict[str, Any]):
        """wandb.init for a run's folder -> the run."""
        import wandb

        id_file = run_path / "wandb_id"  # a resumed run goes on as the same run
        if id_file.exists():
            arguments = arguments | {"id": id_file.read_text(), "resume": "allow"}
        run = wandb.init(**{"name": run_path.name} | arguments, config=config)
        id_file.write_text(run.id)
        run.define_metric("*", step_metric=STEP)  # and no step=: rows of a resumed run would be dropped
        return run

    def __enter__(self) -> "RunLogger":
        self.progress.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.progress.stop()
        self.file.close()
        self.lock.release()
        if self.tensorboard is not None:
            self.tensorboard.close()
        if self.wandb_run is not None:
            self.wandb_run.finish()

    def log(self, row: dict[str, float]) -> None:
        """A row of metrics; must hold STEP."""
        # JSON has no NaN
        finite = {key: value if math.isfinite(value) else None for key, value in row.items()}
        self.file.write(json.dumps(finite) + "\n")
        if self.wandb_run is not None:
            self.wandb_run.log(row)
        if self.tensorboard is not None:
            for key, value in row.items():
                if value == value:
                    self.tensorboard.add_scalar(key, value, row[STEP])

    def log_videos(self, paths: list[Path], step: int) -> None:
        for path in paths:
            if self.wandb_run is not None:
                import wandb

                self.wandb_run.log({"videos/episode": wandb.Video(str(path)), STEP: step})

    def show(self, iteration: int, summary: str) -> None:
        """The line beside the progress bar, or in a log file one line for each iteration."""
        self.progress.update(self.task, completed=iteration, description=summary)
        if not self.console.is_terminal:
            self.console.print(f"iteration {iteration}/{self.iterations}  {summary}")


def drop_rows_after(path: Path, iteration: int) -> None:
    """Shorten a metrics.jsonl to the rows up to `iteration`; a half line that a killed run left goes too."""
    if not path.exists():
        return
    rows, kept = [], 0
    for line in path.read_text().splitlines():
        try:
            done = json.loads(line).get("charts/iteration")  # reports between iterations have none
        except ValueError:
            continue
        rows.append(line + "\n")
        if done is not None and done <= iteration:
            kept = len(rows)
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    aside.write_text("".join(rows[:kept]))
    os.replace(aside, path)
