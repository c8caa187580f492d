"""Checkpoints: folders that are complete or not there, and that show when a bit of them is not what was written.

A checkpoint is written aside and renamed, and its manifest.json lists every file with its size and SHA-256. A process
that is killed at any moment leaves the older checkpoints as they were.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger("ppo_vpt")

FORMAT = 1  # of the checkpoint; another number is another code's
MANIFEST = "manifest.json"


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names it, the fault and what to do."""


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    """Have the disk hold it: a rename must not outlive what it names when the power fails."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def write_checkpoint(folder: Path, **about) -> Iterator[Path]:
    """Yields the folder to write into; when the block ends it gets its manifest (with `about`) and its name."""
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        files = sorted(path for path in aside.rglob("*") if path.is_file())
        entries = {str(p.relative_to(aside)): {"bytes": p.stat().st_size, "sha256": _sha256(p)} for p in files}
        manifest = {"format": FORMAT, "time": time.time(), **about, "files": entries}
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=1))
        for path in (*files, aside / MANIFEST, aside):
            _sync(path)
        if folder.exists():  # a run that fell back to an older checkpoint got here again
            os.replace(folder, replaced := folder.with_name(f".{folder.name}.replaced.tmp"))
            shutil.rmtree(replaced)
        os.replace(aside, folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def read_manifest(folder: str | Path) -> dict:
    """The manifest of a checkpoint whose files are all what was written. Raises CheckpointError."""
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: no such folder. Pass a run's folder, one of its checkpoints/iteration_NNNNNN, or latest"
        )
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        version = manifest["format"]
        entries = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()}
        if not isinstance(manifest.get("args", {}), dict):
            raise TypeError(f"args are {manifest['args']!r}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder} is no checkpoint: its {MANIFEST} is missing or broken ({error!r})") from error
    if version != FORMAT:
        raise CheckpointError(f"{folder} has format {version}, this code reads {FORMAT}: resume it with its own code")
    for name, (size, digest) in entries.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{path} is missing: the checkpoint is not whole. Resume an older one")
        if path.stat().st_size != size or _sha256(path) != digest:
            raise CheckpointError(
                f"{path} is not what was written (size or SHA-256 differ). Resume an older checkpoint"
            )
    return manifest


def find_checkpoint(which: str, save_path: str | Path, kind: str = "ppo_vpt_online") -> Path:
    """A checkpoint's folder; a run's folder: its newest good one; "latest": that of all runs under `save_path`.

    kind: of checkpoint, by the script that wrote it; "latest" looks at no others. Broken ones are passed over with a
    warning. Raises CheckpointError when there is none.
    """
    pattern = "*/checkpoints/iteration_*" if which == "latest" else "checkpoints/iteration_*"
    root = Path(save_path if which == "latest" else which)
    folders = [folder for folder in root.glob(pattern) if folder.is_dir()]
    folders.sort(key=lambda folder: (_time(folder), folder.name), reverse=True)
    if which != "latest" and not folders:
        _check_kind(root, read_manifest(root), kind)
        return root
    if which == "latest":
        folders = [folder for folder in folders if _about(folder).get("kind", kind) == kind]
    for folder in folders:
        try:
            _check_kind(folder, read_manifest(folder), kind)
            return folder
        except CheckpointError as error:
            logger.warning(f"passed over: {error}")
    yet = "" if folders else ": no run has saved one there yet"
    raise CheckpointError(f"{which}: no good checkpoint in {len(folders)} folders {root / pattern}{yet}")


def _check_kind(folder: Path, manifest: dict, kind: str) -> None:
    if (other := manifest.get("kind", kind)) != kind:
        raise CheckpointError(
            f"{folder} was written by {other}: {kind} can begin a new run from its policy.model and policy.weights"
        )


def _about(folder: Path) -> dict:
    """Its manifest as it stands, or nothing if that is broken."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _time(folder: Path) -> float:
    """When it was written, by its manifest, or by the file system if that is broken; copying changes the latter."""
    try:
        return float(_about(folder)["time"])
    except (ValueError, KeyError, TypeError):
        return folder.stat().st_mtime if folder.exists() else 0.0


def remove_old_checkpoints(newest: Path, keep_interval: int) -> None:
    """Of a run's checkpoints keep the newest and those at multiples of `keep_interval`; clear away unfinished ones."""
    for old in newest.parent.glob("iteration_*"):
        number = old.name.removeprefix("iteration_")
        if old != newest and re.fullmatch("[0-9]+", number) and int(number) % keep_interval:  # others are not ours
            shutil.rmtree(old)
    for unfinished in newest.parent.glob(".iteration_*.tmp"):
        shutil.rmtree(unfinished, ignore_errors=True)
