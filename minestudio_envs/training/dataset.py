"""Frames and the actions that were taken when they were seen, in one HDF5 file: what a policy is pretrained on.

    frames   uint8 [T, H, W, 3], RGB
    buttons  int16 [T], 0 ... 8640       VPT's joint action (actions.py)
    camera   uint8 [T], 0 ... 120
    first    bool [T]: the frame begins an episode, or goes on after a gap; what came before is not to be remembered

and as the file's attribute `about` a text, JSON by habit, that says where it is from. lzf packs rendered frames 3 times
smaller and is unpacked faster than they are trained on.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from minestudio_envs.actions import NUM_BUTTONS, NUM_CAMERA

CHUNK = 64  # frames that are packed together
KINDS = {"frames": np.uint8, "buttons": np.int16, "camera": np.uint8, "first": bool}
LIMITS = {"buttons": NUM_BUTTONS, "camera": NUM_CAMERA, "first": 2}  # values are below
MAKE_ANEW = "delete it, and it is made anew"
COPY_AGAIN = "copy it again, it may be cut short"
OPEN_ELSEWHERE = "{} is open in another process: wait until that ends, or choose another --output or --dataset"


class DatasetError(ValueError):
    """A dataset or recording cannot be used; the message names it, the fault and what to do."""


@contextlib.contextmanager
def explained(path: Path, remedy: str) -> Iterator[None]:
    """Errors of HDF5 and of the memory as DatasetError. remedy: what to do if the file is broken."""
    try:
        yield
    except BlockingIOError as error:  # HDF5 locks its files
        raise DatasetError(OPEN_ELSEWHERE.format(path)) from error
    except MemoryError as error:
        raise DatasetError(f"{path} says that it holds more than fits into memory ({error}): {remedy}") from error
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DatasetError(f"{path} is no HDF5 file, or a broken one ({reason}): {remedy}") from error


def remove_unfinished(path: Path) -> None:
    """Remove the dataset that a killed process left, if there is one. Raises DatasetError if it is open in another."""
    try:
        h5py.File(path, "r+").close()
    except BlockingIOError as error:
        raise DatasetError(OPEN_ELSEWHERE.format(path)) from error
    except OSError:  # none, or half of one
        pass
    path.unlink(missing_ok=True)


class DatasetWriter:
    """Makes a dataset, or goes on with one that was made with the same ``about``.

    img_shape: (H, W, 3). Raises DatasetError if the file is another dataset's, broken, or open in another process.
    """

    def __init__(self, path: str | Path, img_shape: tuple[int, int, int], about: str):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            before = Dataset(self.path, made_here=True)
            before.close()
            if before.about != about or before.img_shape != tuple(img_shape):
                raise DatasetError(
                    f"{path} was made otherwise ({before.about or 'it does not say how'}; {before.img_shape}), not "
                    f"{about}, {tuple(img_shape)}: choose another file, or delete it"
                )
            with explained(self.path, MAKE_ANEW):
                self.file = h5py.File(self.path, "r+")
            return
        aside = Path(f"{path}.{os.getpid()}.tmp")  # a process that is killed must not leave half a file at `path`
        self.file = h5py.File(aside, "w")
        self.file.attrs["about"] = about
        for name, dtype in KINDS.items():
            shape = tuple(img_shape) if name == "frames" else ()
            chunks = (CHUNK if shape else 1 << 14, *shape)
            packed = "lzf" if shape else None
            self.file.create_dataset(
                name, (0, *shape), dtype, maxshape=(None, *shape), chunks=chunks, compression=packed
            )
        self.file.flush()
        aside.replace(self.path)

    def __len__(self) -> int:
        return len(self.file["first"])

    def append(self, frames: np.ndarray, buttons: np.ndarray, camera: np.ndarray, first: np.ndarray) -> None:
        """Adds T steps; they are on the disk, all of them, when it returns."""
        done = len(self)
        for name, values in {"frames": frames, "buttons": buttons, "camera": camera, "first": first}.items():
            self.file[name].resize(done + len(first), 0)
            self.file[name][done:] = values
        self.file.flush()

    def close(self) -> None:
        self.file.close()


class Dataset:
    """A dataset to read. Everything but the frames is in memory: ``buttons``, ``camera`` int64 [T], ``first`` bool [T].

    made_here: the run made the file itself and can do so again; else errors do not say to delete it. Raises
    DatasetError if the file is no such dataset, open for writing in another process, or damaged where this can be seen
    without reading all frames.
    """

    def __init__(self, path: str | Path, made_here: bool = False):
        self.path, self.remedy = Path(path), MAKE_ANEW if made_here else COPY_AGAIN
        if not self.path.is_file():
            raise DatasetError(f"{path}: no such file. Check the path, or leave it out to have one collected")
        with explained(self.path, self.remedy):
            self.file = h5py.File(self.path, "r")
        try:
            missing = [name for name in KINDS if name not in self.file]
            if missing:
                raise DatasetError(
                    f"{path} has no {', '.join(missing)}: minestudio_envs/training/dataset.py says what it needs"
                )
            self._check_arrays()
            with explained(self.path, self.remedy):
                self.buttons, self.camera = (self.file[name][:].astype(np.int64) for name in ("buttons", "camera"))
                self.first = self.file["first"][:].astype(np.int64)
            self._check_values()
        except BaseException:
            self.file.close()
            raise
        self.first = self.first.astype(bool)
        self.about = str(self.file.attrs.get("about", ""))
        self.img_shape = tuple(self.file["frames"].shape[1:])

    def _check_arrays(self) -> None:
        """By what the file says of them, before any is read."""
        for name in KINDS:
            if not isinstance(array := self.file.get(name), h5py.Dataset) or not array.shape:
                raise DatasetError(
                    f"{self.path}: {name} is no array: minestudio_envs/training/dataset.py says what is needed"
                )
        frames = self.file["frames"]
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
            raise DatasetError(f"{self.path}: frames are {frames.dtype} {frames.shape}, not uint8 [T, H, W, 3] in RGB")
        for name, limit in LIMITS.items():
            array = self.file[name]
            if array.shape != (len(frames),):
                raise DatasetError(
                    f"{self.path}: {name} is {array.shape} for {len(frames)} frames: one is needed for each"
                )
            if array.dtype.kind not in "biu":
                raise DatasetError(f"{self.path}: {name} must be integers in 0 ... {limit - 1}, not {array.dtype}")

    def _check_values(self) -> None:
        for name, limit in LIMITS.items():
            values = getattr(self, name)
            if len(values) and not (0 <= values.min() and values.max() < limit):
                raise DatasetError(f"{self.path}: {name} must be integers in 0 ... {limit - 1}")
        if len(self.first) and not self.first[0]:
            raise DatasetError(f"{self.path}: first[0] must be true: nothing comes before the first frame")

    def __len__(self) -> int:
        return len(self.first)

    def frames(self, start: int, stop: int) -> np.ndarray:
        """uint8 [stop - start, H, W, 3]. Raises DatasetError where the file is damaged."""
        with explained(self.path, self.remedy):
            return self.file["frames"][start:stop]

    def close(self) -> None:
        self.file.close()
