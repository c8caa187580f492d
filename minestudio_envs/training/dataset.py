"""Frames and the actions that were taken when they were seen, in one HDF5 file: what a policy is pretrained on.

    frames   uint8 [T, H, W, 3], RGB
    buttons  int16 [T], 0 ... 8640       VPT's joint action (actions.py)
    camera   uint8 [T], 0 ... 120
    first    bool [T]: the frame begins an episode, or goes on after a gap; what came before is not to be remembered

and as the file's attribute `about` a text, JSON by habit, that says where it is from. lzf packs rendered frames 3 times
smaller and is unpacked faster than they are trained on.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from minestudio_envs.actions import NUM_BUTTONS, NUM_CAMERA

CHUNK = 64  # frames that are packed together
KINDS = {"frames": np.uint8, "buttons": np.int16, "camera": np.uint8, "first": bool}


class DatasetError(ValueError):
    """A dataset or recording cannot be used; the message names it, the fault and what to do."""


class DatasetWriter:
    """Makes a dataset, or goes on with one that was made with the same ``about``.

    img_shape: (H, W, 3). Raises DatasetError if the file is another dataset's, or broken.
    """

    def __init__(self, path: str | Path, img_shape: tuple[int, int, int], about: str):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            before = Dataset(self.path)
            before.close()
            if before.about != about or before.img_shape != tuple(img_shape):
                raise DatasetError(
                    f"{path} was made otherwise ({before.about or 'it does not say how'}; {before.img_shape}), not "
                    f"{about}, {tuple(img_shape)}: choose another file, or delete it"
                )
            self.file = h5py.File(self.path, "r+")
            return
        self.file = h5py.File(self.path, "w")
        self.file.attrs["about"] = about
        for name, dtype in KINDS.items():
            shape = tuple(img_shape) if name == "frames" else ()
            chunks = (CHUNK if shape else 1 << 14, *shape)
            packed = "lzf" if shape else None
            self.file.create_dataset(
                name, (0, *shape), dtype, maxshape=(None, *shape), chunks=chunks, compression=packed
            )

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

    Raises DatasetError if the file is no such dataset, or damaged where this can be seen without reading all frames.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise DatasetError(f"{path}: no such file. Check the path, or leave it out to have one collected")
        with self.explained():
            self.file = h5py.File(self.path, "r")
        try:
            missing = [name for name in KINDS if name not in self.file]
            if missing:
                raise DatasetError(
                    f"{path} has no {', '.join(missing)}: minestudio_envs/training/dataset.py says what it needs"
                )
            with self.explained():
                self.buttons, self.camera, self.first = (self.file[name][:] for name in ("buttons", "camera", "first"))
            self._check()
        except BaseException:
            self.file.close()
            raise
        self.buttons, self.camera = self.buttons.astype(np.int64), self.camera.astype(np.int64)
        self.about = str(self.file.attrs.get("about", ""))
        self.img_shape = tuple(self.file["frames"].shape[1:])

    def _check(self) -> None:
        frames, T = self.file["frames"], len(self.first)
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
            raise DatasetError(f"{self.path}: frames are {frames.dtype} {frames.shape}, not uint8 [T, H, W, 3] in RGB")
        for name, limit in {"buttons": NUM_BUTTONS, "camera": NUM_CAMERA, "first": 2}.items():
            values = getattr(self, name)
            if values.shape != (len(frames),):
                raise DatasetError(
                    f"{self.path}: {name} is {values.shape} for {len(frames)} frames: one is needed for each"
                )
            if values.dtype.kind not in "biu" or (T and not (0 <= values.min() and values.max() < limit)):
                raise DatasetError(f"{self.path}: {name} must be integers in 0 ... {limit - 1}")
        if T and not self.first[0]:
            raise DatasetError(f"{self.path}: first[0] must be true: nothing comes before the first frame")

    def __len__(self) -> int:
        return len(self.first)

    def frames(self, start: int, stop: int) -> np.ndarray:
        """uint8 [stop - start, H, W, 3]. Raises DatasetError where the file is damaged."""
        with self.explained():
            return self.file["frames"][start:stop]

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise DatasetError(
                f"{self.path} is no HDF5 file, or a broken one ({reason}): delete it and make it anew"
            ) from error

    def close(self) -> None:
        self.file.close()
