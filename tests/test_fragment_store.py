"""Chunks on disk: what is read is what was written, or an error that says which file and why."""

import contextlib
import errno
import io
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from minestudio_envs.training.fragment_store import FragmentStore, FragmentStoreError, _stamp

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


@pytest.fixture
def store(tmp_path):
    return FragmentStore(tmp_path / "store", 3)


def a_chunk(seed: int = 0) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return {
        "image": torch.from_numpy(rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)),
        "log_prob": torch.from_numpy(rng.standard_normal(4, dtype=np.float32)),
        "buttons": torch.from_numpy(rng.integers(0, 8641, (4, 1))),
        "first": torch.from_numpy(rng.random(5) < 0.5),
    }


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


def forged(store: FragmentStore, write) -> Path:
    """A file with a good stamp whose HDF5 part is what `write(file)` makes of it."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["honest"] = np.arange(4)
        write(file)
    path = store.path / "shard_000" / "chunk_000000000000.h5"
    path.write_bytes(_stamp(buffer.getvalue()) + buffer.getvalue())
    return path


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".h5"]


def refuse_to_link(*args):
    raise OSError(errno.EXDEV, "Invalid cross-device link")


# WHAT IS WRITTEN IS READ


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2, 3, 4)], ids=str)
def test_all_dtypes_and_shapes_come_back(store, shape):
    values = np.random.default_rng(1).integers(0, 2, shape)
    arrays = {dtype: np.asarray(values).astype(dtype) for dtype in DTYPES}
    tensors = {dtype: torch.from_numpy(array) for dtype, array in arrays.items()}
    for chunk_id, given in enumerate((arrays, tensors)):
        assert same(store.read(store.write(chunk_id, given)), tensors)


def test_special_values_and_layouts_come_back(store):
    odd = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    big = torch.tensor([2**63 - 1, -(2**63)])
    back = store.read(store.write(0, {"odd": odd, "big": big, "turned": torch.arange(6).view(2, 3).T, "w.1-x": big}))
    assert back["odd"].numpy().tobytes() == odd.numpy().tobytes()
    assert torch.equal(back["big"], big) and torch.equal(back["w.1-x"], big)
    assert torch.equal(back["turned"], torch.arange(6).view(2, 3).T)
    assert store.read(store.write(1, {})) == {}


def test_what_is_read_can_be_written_to_and_is_nobody_elses(store):
    path = store.write(0, a_chunk())
    store.read(path)["image"].zero_()
    assert same(store.read(path), a_chunk())


def test_the_same_id_replaces_and_leaves_one_file(store):
    store.write(7, a_chunk(0))
    path = store.write(7, a_chunk(1))
    assert store.paths() == [path] and same(store.read(path), a_chunk(1)) and not leftovers(store.path)


def test_shards_are_filled_evenly_and_paths_are_ordered_by_id(store):
    ids = [11, 4, 10**12, 0, 9, 2, 1, 3, 5, 10, 6, 8, 7, 10**12 + 1, 10**12 - 1]
    written = {chunk_id: store.write(chunk_id, {"id": np.array(chunk_id)}) for chunk_id in ids}
    assert [int(store.read(path)["id"]) for path in store.paths()] == sorted(ids)
    assert [len(list(shard.iterdir())) for shard in sorted(store.path.iterdir())] == [5, 5, 5]
    assert written[4] == store.path / "shard_001" / "chunk_000000000004.h5"


def test_another_store_on_the_folder_sees_the_chunks(store):
    path = store.write(5, a_chunk())
    again = FragmentStore(str(store.path), 2)
    assert again.paths() == [path] and same(again.read(str(path)), a_chunk())


def test_any_hdf5_tool_reads_the_files(store):
    with h5py.File(store.write(0, a_chunk()), "r") as file:
        assert np.array_equal(file["image"], a_chunk()["image"]) and file["first"].dtype == bool


# WHAT IS DELETED IS GONE, WHAT IS LINKED STAYS


def test_delete_takes_one_file_and_does_not_mind_a_missing_one(store):
    one, other = store.write(0, a_chunk()), store.write(1, a_chunk())
    store.delete(one)
    store.delete(one)
    assert store.paths() == [other]


@pytest.mark.parametrize("linking_works", [True, False])
def test_a_linked_chunk_survives_its_deletion_and_replacement(store, tmp_path, monkeypatch, linking_works):
    if not linking_works:
        monkeypatch.setattr(os, "link", refuse_to_link)
    folder = tmp_path / "checkpoint" / "chunks"
    deleted, replaced = store.write(0, a_chunk(0)), store.write(1, a_chunk(1))
    links = [store.link_into(path, folder) for path in (deleted, replaced, replaced)]  # again is fine
    assert os.path.samefile(links[1], replaced) == linking_works
    store.delete(deleted)
    store.write(1, a_chunk(2))
    store.clear()
    assert same(store.read(links[0]), a_chunk(0)) and same(store.read(links[1]), a_chunk(1))
    assert sorted(folder.iterdir()) == links[:2]


def test_linking_a_missing_chunk_is_named_and_leaves_nothing(store, tmp_path):
    with pytest.raises(FragmentStoreError, match="No such file"):
        store.link_into(store.path / "shard_000" / "chunk_000000000009.h5", tmp_path / "checkpoint")
    assert not list((tmp_path / "checkpoint").iterdir())


def test_clear_deletes_chunks_and_leftovers_and_nothing_else(store):
    path = store.write(0, a_chunk())
    path.with_name(f"{path.name}.0123.tmp").write_bytes(b"half")
    mine = store.path / "shard_000" / "notes.txt"
    mine.write_text("keep")
    store.clear()
    assert [path for path in store.path.rglob("*") if path.is_file()] == [mine]


# DAMAGE


def test_any_flipped_bit_is_found(store):
    path = store.write(0, a_chunk())
    whole = path.read_bytes()
    with open(path, "r+b") as file:
        for bit in range(8 * len(whole)):
            byte, mask = bit // 8, 1 << bit % 8
            os.pwrite(file.fileno(), bytes([whole[byte] ^ mask]), byte)
            with pytest.raises(FragmentStoreError, match=r"chunk_0+\.h5.*damaged.*delete it"):
                store.read(path)
            os.pwrite(file.fileno(), whole[byte : byte + 1], byte)
    assert same(store.read(path), a_chunk())


def test_a_truncated_or_extended_file_is_found(store):
    path = store.write(0, a_chunk())
    whole = path.read_bytes()
    for size in [*range(0, len(whole), 13), 512, len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(FragmentStoreError, match="delete it"):
            store.read(path)
    for tail in (b"\0", whole):
        path.write_bytes(whole + tail)
        with pytest.raises(FragmentStoreError, match="damaged"):
            store.read(path)


def test_missing_and_foreign_files_are_named(store, tmp_path):
    with pytest.raises(FragmentStoreError, match=r"nowhere\.h5: No such file"):
        store.read(tmp_path / "nowhere.h5")
    with pytest.raises(FragmentStoreError, match="Is a directory"):
        store.read(tmp_path)
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["image"] = np.zeros(3)
    torch.save({"image": torch.zeros(3)}, tmp_path / "foreign.pt")
    (tmp_path / "text.h5").write_text("not a chunk")
    with open(tmp_path / "huge.h5", "wb") as file:
        file.truncate(2**40)  # a hole: reading it all would not end well
    for name in ("foreign.h5", "foreign.pt", "text.h5", "huge.h5"):
        with pytest.raises(FragmentStoreError, match=f"{name}: not a chunk file"):
            store.read(tmp_path / name)


def external_storage(file):
    file.create_dataset("x", (8,), "u1", external=[("/etc/hostname", 0, 8)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "i8")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "x", (4,))
    file.create_virtual_dataset("x", layout)


def the_same_bytes_many_times(file):
    file["x"] = np.zeros(10_000)
    for name in range(10):
        file[str(name)] = file["x"]


FORGERIES = {
    "group": lambda file: file.create_group("x"),
    "soft link": lambda file: file.__setitem__("x", h5py.SoftLink("/honest")),
    "external link": lambda file: file.__setitem__("x", h5py.ExternalLink("other.h5", "/x")),
    "external storage": external_storage,
    "virtual": virtual,
    "named type": lambda file: file.__setitem__("x", np.dtype("f4")),
    "string": lambda file: file.__setitem__("x", "text"),
    "reference": lambda file: file.create_dataset("x", data=file.ref, dtype=h5py.ref_dtype),
    "variable length": lambda file: file.create_dataset("x", (2,), h5py.vlen_dtype(np.int32)),
    "compound": lambda file: file.__setitem__("x", np.zeros(2, [("a", "i4"), ("b", "f4")])),
    "opaque": lambda file: file.__setitem__("x", np.array([b"ab"], "V2")),
    "complex": lambda file: file.__setitem__("x", np.zeros(2, "c8")),
    "other byte order": lambda file: file.__setitem__("x", np.zeros(2, ">i4")),
    "null": lambda file: file.__setitem__("x", h5py.Empty("f4")),
    "compressed": lambda file: file.create_dataset("x", data=np.zeros(1000), compression="gzip"),
    "terabytes": lambda file: file.create_dataset("x", (2**42,), "u1"),
    "aliases": the_same_bytes_many_times,
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_file_is_refused(store, forgery):
    with pytest.raises(FragmentStoreError, match="no store wrote this"):
        store.read(forged(store, FORGERIES[forgery]))


def test_a_forged_address_that_overflows_does_no_harm(store):
    path = forged(store, lambda file: None)
    body = bytearray(path.read_bytes()[512:])
    body[48] = 0x80  # HDF5's driver block, said to be nowhere (all ones), is now far beyond the end
    path.write_bytes(_stamp(body) + body)
    assert store.read(path)["honest"].tolist() == [0, 1, 2, 3]


def test_what_looks_like_a_forgery_but_is_plain_is_read(store):
    assert store.read(forged(store, lambda file: None))["honest"].tolist() == [0, 1, 2, 3]


# WRITERS THAT FAIL


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": np.array(["text"])},
        {"x": np.array([{}], dtype=object)},
        {"x": np.zeros(2, complex)},
        {"x": np.zeros(2, ">i4")},
        {"x": np.zeros(2, np.longdouble)},
        {"x": torch.zeros(2, dtype=torch.bfloat16)},
        {"x": torch.zeros(2, dtype=torch.float8_e5m2)},
        {"x": [1, 2]},
        {"a/b": np.zeros(2)},
        {"": np.zeros(2)},
        {".": np.zeros(2)},
        {"a\0b": np.zeros(2)},
    ],
    ids=str,
)
def test_what_cannot_be_stored_is_named_and_nothing_is_written(store, arrays):
    with pytest.raises(FragmentStoreError, match="cannot store '"):
        store.write(0, {"good": np.zeros(2), **arrays})
    assert not store.paths() and not leftovers(store.path)


def test_bad_settings_are_named(tmp_path, store):
    with pytest.raises(FragmentStoreError, match="num_shards=0"):
        FragmentStore(tmp_path, 0)
    (tmp_path / "file").touch()
    with pytest.raises(FragmentStoreError, match="choose a folder"):
        FragmentStore(tmp_path / "file", 1)
    with pytest.raises(FragmentStoreError, match="choose a folder"):
        FragmentStore("/proc/fragments", 1)
    with pytest.raises(FragmentStoreError, match="negative"):
        store.write(-1, {})


def test_a_folder_that_is_there_and_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "shard_001").symlink_to("/proc")  # not even by root
    with pytest.raises(FragmentStoreError, match="choose a folder"):
        FragmentStore(tmp_path, 2)


@contextlib.contextmanager
def largest_file(size: int):
    """The system refuses to let files grow beyond `size` bytes, in the middle of a write, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # Python ignores SIGXFSZ
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named_and_leaves_the_old_chunk(store, tmp_path, monkeypatch):
    path = store.write(0, a_chunk())
    monkeypatch.setattr(os, "link", refuse_to_link)
    with largest_file(1000):
        with pytest.raises(FragmentStoreError, match="File too large; check that its folder is there and has space"):
            store.write(0, {"image": np.ones((100, 100), np.uint8)})
        with pytest.raises(FragmentStoreError, match="File too large"):
            store.link_into(path, tmp_path / "checkpoint")
    assert store.paths() == [path] and same(store.read(path), a_chunk())
    assert not leftovers(tmp_path) and not list((tmp_path / "checkpoint").iterdir())


def test_an_interrupted_write_leaves_nothing(store, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.write(0, a_chunk())
    assert not store.paths() and not leftovers(store.path)


WRITER = """
import itertools, sys
import numpy as np
from minestudio_envs.training.fragment_store import FragmentStore
store = FragmentStore(sys.argv[1], 3)
for n in itertools.count():
    store.write(n % 12, {"id": np.array(n % 12), "image": np.full((20, 100_000), n % 256, np.uint8)})
"""


def test_killed_writers_leave_whole_files_and_clear_removes_the_rest(store):
    """Two processes write the same ids over and over, are read meanwhile, and killed with a file half written."""

    def is_whole(path) -> bool:
        chunk = store.read(path)
        return f"chunk_{chunk['id']:012d}.h5" == path.name and bool((chunk["image"] == chunk["image"][0, 0]).all())

    writers = [subprocess.Popen([sys.executable, "-c", WRITER, store.path]) for _ in range(2)]
    deadline = time.monotonic() + 60
    try:
        while not store.paths() and time.monotonic() < deadline:
            time.sleep(0.1)  # they are still importing
        while True:
            for writer in writers:
                writer.send_signal(signal.SIGSTOP)
                assert os.WIFSTOPPED(os.waitpid(writer.pid, os.WUNTRACED)[1]), "a writer died"
            if len(store.paths()) == 12 and leftovers(store.path):
                break  # caught in the middle of a file
            for writer in writers:
                writer.send_signal(signal.SIGCONT)
            assert all(is_whole(path) for path in store.paths())
            assert time.monotonic() < deadline, "no writer was caught at work"
            time.sleep(0.02)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert len(store.paths()) == 12 and all(is_whole(path) for path in store.paths()) and leftovers(store.path)
    store.clear()
    assert not [path for path in store.path.rglob("*") if path.is_file()]
