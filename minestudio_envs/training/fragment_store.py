"""Chunks of experience on disk: each an immutable HDF5 file of plain arrays, checksummed, spread over folders.

A file is a stamp of 512 bytes and the HDF5 data it vouches for. HDF5 calls such a head a user block and skips it, so
any HDF5 tool opens the file. The stamp covers every byte, names and shapes too, and is checked before HDF5 sees one of
them: it reads damaged files wrongly without an error. crc32 is as fast as any of zlib's and hashlib's sums (3 GB/s) and
finds every burst of up to 32 bits.

Files are built and parsed in memory. No process has one open in HDF5, so nothing is locked and forks are safe, and a
full disk is met by Python's own write, not in the middle of HDF5's.

Not compressed: lzf makes 13 MB of rendered pictures 3 times smaller, but writing them 4 to 5 times slower (200 instead
of 700 to 1100 MB/s) and reading 2 to 4 times (350 instead of 700 to 1300 MB/s; page cache, one core of an EPYC, Zen 4).
"""

import contextlib
import functools
import math
import os
import re
import shutil
import socket
import tempfile
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch

STAMP_BYTES = 512  # the smallest user block
MAGIC = b"minestudio_envs fragment 1 crc32 "


class FragmentStoreError(RuntimeError):
    """Says which file, what is wrong with it, and what to do."""


class FragmentStore:
    """One chunk per file, ``path/shard_{id % num_shards}/chunk_{id}.h5``, for any number of writers and readers.

    Files are never changed, only replaced or deleted. A store reopened with another ``num_shards`` still has its old
    files, but a chunk written again may then go to another folder and not replace the old one.

    Args:
        path: folder of the store; made if missing.
        num_shards: folders to spread the files over, at least 1.

    Raises:
        FragmentStoreError: from here and every method, for whatever the disk or a file does.
    """

    def __init__(self, path: str | Path, num_shards: int):
        if num_shards < 1:
            raise FragmentStoreError(f"{path}: num_shards={num_shards}, but a store needs at least 1 folder")
        self.path, self.num_shards = Path(path), num_shards
        with _explained(path, "choose a folder that can be written to"):
            for shard in range(num_shards):
                folder = self.path / f"shard_{shard:03d}"
                folder.mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=folder).close()  # better now than when the first chunk is full

    @classmethod
    def temporary(cls, path: str | Path, num_shards: int, owner: int | None = None) -> "FragmentStore":
        """A store in a new folder below `path`, for as long as the process `owner` (its pid; None: this one) runs."""
        return cls(process_folder(path, uuid.uuid4().hex[:8], os.getpid() if owner is None else owner), num_shards)

    def write(self, chunk_id: int, arrays: dict[str, np.ndarray | torch.Tensor]) -> Path:
        """Stores arrays of any shape, bool, integer or float of up to 64 bits; a chunk of the same id is replaced.

        The file appears under its name when whole. It is not fsynced: what a killed process wrote, the kernel has.
        After a power cut a file may be damaged, which `read` finds, and what is lost is experience.
        """
        if chunk_id < 0:
            raise FragmentStoreError(f"{self.path}: chunk id {chunk_id} is negative; count from 0")
        path = self.path / f"shard_{chunk_id % self.num_shards:03d}" / f"chunk_{chunk_id:012d}.h5"
        plain = {}
        for name, array in arrays.items():
            if not re.fullmatch(r"\w[\w.-]*", name):
                raise FragmentStoreError(f"{path}: cannot store {name!r}; name it with letters, digits and ._-")
            if isinstance(array, torch.Tensor):
                with contextlib.suppress(TypeError):  # bfloat16 and others that NumPy has not
                    array = array.numpy(force=True)
            if not isinstance(array, np.ndarray) or not _is_plain(array.dtype):
                kind = getattr(array, "dtype", type(array))
                raise FragmentStoreError(f"{path}: cannot store {name!r} of {kind}; make it bool, int or float")
            plain[name] = array
        image = _hdf5_image(plain)
        with (
            _explained(path, "check that its folder is there and has space, or keep fewer chunks"),
            _aside(path) as aside,
        ):
            with open(aside, "xb") as file:
                file.write(_stamp(image))
                file.write(image)
        return path

    @staticmethod
    def read(path: str | Path) -> dict[str, torch.Tensor]:
        """The arrays of a chunk file, in this store or elsewhere, by name, in alphabetical order.

        Refuses files that are missing, foreign or damaged, and forged ones: nothing but numbers in the file is read.
        """
        with _explained(path, "drop it from the index"), open(path, "rb") as file:
            stamp = file.read(STAMP_BYTES)
            if not stamp.startswith(MAGIC):  # before reading on: it may be anything, of any size
                raise FragmentStoreError(f"{path}: not a chunk file, or its head is damaged; delete it")
            body = file.read()
        if stamp != _stamp(body):
            raise FragmentStoreError(f"{path}: damaged, its checksum is wrong; delete it, and check the disk")
        try:
            return _plain_arrays(body)
        except (OSError, RuntimeError, ValueError, TypeError, KeyError, OverflowError) as error:
            raise FragmentStoreError(f"{path}: no store wrote this, {error}; delete it") from error

    def delete(self, path: str | Path) -> None:
        """Removes a chunk file; one that is gone already is fine."""
        with _explained(path, "check who owns it"):
            Path(path).unlink(missing_ok=True)

    def paths(self) -> list[Path]:
        """All chunk files there, ordered by id."""
        return sorted(self.path.glob("shard_*/chunk_*.h5"), key=lambda path: (len(path.name), path.name))

    def link_into(self, path: str | Path, folder: str | Path) -> Path:
        """Hard link of a chunk file (a copy, on another disk) in ``folder``, made if missing; it outlives the file."""
        target = Path(folder) / Path(path).name
        with _explained(path, f"check that it is there and that {folder} can be written to"):
            target.parent.mkdir(parents=True, exist_ok=True)
            with _aside(target) as aside:
                try:
                    os.link(path, aside)
                except OSError:  # another disk, or one without hard links
                    shutil.copyfile(path, aside)
        return target

    def adopt(self, path: str | Path) -> Path:
        """Hard link (or copy) in this store of another store's or a checkpoint's chunk file."""
        chunk_id = int(Path(path).stem.removeprefix("chunk_"))
        return self.link_into(path, self.path / f"shard_{chunk_id % self.num_shards:03d}")

    def remove(self) -> None:
        """Deletes the store, folders and all."""
        shutil.rmtree(self.path, ignore_errors=True)

    def clear(self) -> None:
        """Deletes all chunk files, and what writers left that were killed. Not for while others write."""
        for path in [*self.paths(), *self.path.glob("shard_*/chunk_*.tmp")]:
            self.delete(path)


def process_folder(path: str | Path, name: str, owner: int) -> Path:
    """Where below `path` the process `owner` of this machine keeps `name`. What processes left that were killed, this
    removes."""
    host = re.sub(r"\W", "_", socket.gethostname())
    with contextlib.suppress(OSError, ValueError):  # another process may be removing them too; a foreign name
        for folder in Path(path).glob(f"process_{host}_*"):
            if not _runs(int(folder.name.rpartition("_")[2])):
                shutil.rmtree(folder)
    return Path(path) / f"process_{host}_{name}_{owner}"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # someone else's
        pass
    return True


def _stamp(body: bytes | memoryview) -> bytes:
    return (MAGIC + b"%08x\n" % zlib.crc32(body)).ljust(STAMP_BYTES, b"\0")


def _is_plain(dtype: np.dtype) -> bool:
    return dtype.kind in "biuf" and dtype.itemsize <= 8 and dtype.isnative


class _Layout(NamedTuple):
    """Where HDF5 puts arrays of given names, types and shapes. HDF5 takes 100 us for an array, so it is asked once."""

    arrays: dict[str, tuple[int, np.dtype, tuple[int, ...]]]  # by name: byte of the image, type, shape
    image: bytes  # what follows the stamp in a file of zeros

    def gaps(self) -> Iterator[slice]:
        """The parts of an image that are not data. A file whose gaps are the same has the same layout."""
        at = 0
        for offset, dtype, shape in sorted(self.arrays.values(), key=lambda array: array[0]):
            yield slice(at, offset)
            at = offset + dtype.itemsize * math.prod(shape)
        yield slice(at, len(self.image))

    def fits(self, body: bytes) -> bool:
        return len(body) == len(self.image) and all(body[gap] == self.image[gap] for gap in self.gaps())


# HDF5's own functions: h5py.File's objects on top of them take twice their time.


@functools.lru_cache(16)
def _layout(*arrays: tuple[str, np.dtype, tuple[int, ...]]) -> _Layout:
    """Of arrays (name, type, shape)."""
    in_memory = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    in_memory.set_fapl_core(1 << 16, False)
    file = h5py.h5f.create(b"in memory", h5py.h5f.ACC_TRUNC, fapl=in_memory)
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_obj_track_times(False)  # all files' gaps are the same
    places = {}
    for name, dtype, shape in arrays:
        kind, space = h5py.h5t.py_create(dtype, logical=True), h5py.h5s.create_simple(shape)
        dataset = h5py.h5d.create(file, name.encode(), kind, space, plan)
        places[name] = dataset.get_offset() or 0, dtype, shape  # none for an empty array
    h5py.h5f.flush(file)
    return _Layout(places, file.get_file_image())


def _hdf5_image(arrays: dict[str, np.ndarray]) -> bytearray:
    """What follows the stamp in a file of these arrays."""
    layout = _layout(*((name, array.dtype, array.shape) for name, array in arrays.items()))
    image = bytearray(layout.image)
    for name, (offset, dtype, shape) in layout.arrays.items():
        np.ndarray(shape, dtype, image, offset)[...] = arrays[name]
    return image


_known: _Layout | None = None  # of the file read last; the next one's is likely the same


def _plain_arrays(body: bytes) -> dict[str, torch.Tensor]:
    """All there is in an HDF5 image; ValueError if that is not plain arrays within the image itself."""
    global _known
    layout = _known
    if layout is None or not layout.fits(body):
        layout = _known = _Layout(_find_arrays(body), body)
    return {
        name: torch.from_numpy(np.ndarray(shape, dtype, body, offset).copy())
        for name, (offset, dtype, shape) in layout.arrays.items()
    }


def _find_arrays(body: bytes) -> dict[str, tuple[int, np.dtype, tuple[int, ...]]]:
    """A _Layout's arrays, of an image that anyone may have made."""
    file, found, size = h5py.h5f.open_file_image(body), {}, len(body)
    root = h5py.h5g.open(file, b"/")
    for key in root:
        name = key.decode()
        hard = root.links.get_info(key).type == h5py.h5l.TYPE_HARD  # the others may lead out of the file
        dataset = h5py.h5o.open(root, key) if hard else None
        if not isinstance(dataset, h5py.h5d.DatasetID) or not _is_plain(dataset.dtype):
            raise ValueError(f"{name!r} is not an array of numbers")
        plan = dataset.get_create_plist()
        if plan.get_layout() != h5py.h5d.CONTIGUOUS or plan.get_external_count():
            raise ValueError(f"{name!r} is compressed, or lies in other files")
        size -= math.prod(dataset.shape) * dataset.dtype.itemsize  # a few bytes can claim to be terabytes
        if size < 0:
            raise ValueError(f"{name!r} is larger than the file")
        offset = dataset.get_offset()
        if offset is None and math.prod(dataset.shape):
            raise ValueError(f"{name!r} has no data")
        found[name] = offset or 0, dataset.dtype, dataset.shape
    return found


@contextlib.contextmanager
def _explained(path: str | Path, remedy: str) -> Iterator[None]:
    """Turns the system's errors into FragmentStoreError."""
    try:
        yield
    except OSError as error:
        raise FragmentStoreError(f"{path}: {error.strerror or error}; {remedy}") from error


@contextlib.contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """Yields the name, no other writer's, of a file to write that then takes `path`'s place, or is gone."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
