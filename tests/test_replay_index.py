"""The index of the replay: it samples and evicts as Replay does, and a kill loses neither a use nor a file."""

import itertools
import logging
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from minestudio_envs.training import replay_index
from minestudio_envs.training.replay import Chunk, Replay
from minestudio_envs.training.replay_index import Location, ReplayIndex


def make_args(max_chunks: int = 100, max_reuse: int = 2, max_staleness: int = 3) -> SimpleNamespace:
    return SimpleNamespace(max_chunks=max_chunks, max_reuse=max_reuse, max_staleness=max_staleness)


def entries(first: int, count: int, version: int = 0, node: str = "n") -> list[tuple[int, int, str, str]]:
    return [(version, 10 * version, node, f"/{node}/{number}") for number in range(first, first + count)]


def files(*numbers: int) -> list[Location]:
    return [Location("n", f"/n/{number}") for number in numbers]


def ids(replay: Replay) -> list[int]:
    return [chunk.id for chunk in replay.chunks]


@pytest.fixture
def make(tmp_path):
    """make(max_chunks=..., ...) -> a new index; it must be gone with all its files when the test closes it."""
    return lambda **args: ReplayIndex(make_args(**args), np.random.default_rng(0), tmp_path / "index" / "replay.db")


def after_kill(index: ReplayIndex) -> ReplayIndex:
    """The index that goes on from what a kill -9 would leave now."""
    folder = Path(tempfile.mkdtemp(dir=index.path.parent.parent))
    for file in index.path.parent.glob(f"{index.path.name}*"):
        shutil.copy(file, folder)
    return ReplayIndex(index.args, np.random.default_rng(99), folder / index.path.name)


def everything(index: ReplayIndex) -> tuple[Any, ...]:
    """What a kill must not change."""
    to_delete = sorted((index._gone | index._popped).items())
    counts = index.added, index.used, index.evicted_unused, index._writers, index._forgotten, index._metadata
    return index.chunks, to_delete, counts, index.rng.bit_generator.state


# ADDING


def test_what_is_added_again_is_taken_once(make):
    index = make()
    assert index.add("w", 0, entries(0, 3)) == 3
    assert index.add("w", 0, entries(0, 3)) == 3
    assert index.add("w", 1, entries(1, 4)) == 5
    assert index.add("w", 2, entries(2, 1)) == 5
    assert index.add("v", 0, entries(0, 2, 7, "m")) == 2
    assert after_kill(index).add("w", 3, entries(3, 3)) == 6
    assert [c.data for c in index.chunks] == [*files(0, 1, 2, 3, 4), Location("m", "/m/0"), Location("m", "/m/1")]
    assert index.chunks[-1] == Chunk(6, 7, 70, 0, Location("m", "/m/1")) and index.added == 7


@pytest.mark.parametrize("limit, taken", [(None, 5), (9, 5), (2, 4), (0, 2), (-3, 2)])
def test_no_more_than_the_limit_is_new(make, limit, taken):
    index = make()
    index.add("w", 0, entries(0, 2))
    assert index.add("w", 0, entries(0, 5), limit) == taken == len(index.chunks)


def test_a_gap_is_named_and_nothing_taken(make):
    index = make()
    index.add("w", 0, entries(0, 2))
    with pytest.raises(ValueError, match="writer w offers chunks from 3 on, 2 is expected"):
        index.add("w", 3, entries(3, 1))
    assert ids(index) == [0, 1] and index.add("w", 2, []) == 2


def test_of_a_malformed_call_nothing_is_taken(make):
    index = make()
    with pytest.raises(ValueError):
        index.add("w", 0, [*entries(0, 2), (0, 0, "n")])
    assert index.chunks == [] and index.add("w", 0, entries(0, 2)) == 2 and ids(after_kill(index)) == [0, 1]


def test_nothing_is_taken_from_a_forgotten_writer(make):
    index = make()
    index.add("w", 0, entries(0, 2))
    index.forget("w")
    index.forget("never seen")
    for each in (index, after_kill(index)):
        assert each.add("w", 2, entries(2, 2)) == 2 and each.add("w", 7, entries(7, 1)) == 2
        assert each.add("never seen", 0, entries(0, 1)) == 0 and ids(each) == [0, 1]


def test_numbers_of_numpy_and_torch_are_kept_as_numbers(make):
    index = make()
    index.add("w", 0, [(np.int64(3), torch.tensor(4), "n", Path("/n/0"))])
    assert after_kill(index).chunks == [Chunk(0, 3, 4, 0, Location("n", "/n/0"))]


# SAMPLING AND EVICTION


class Fragments(NamedTuple):
    versions: torch.Tensor


def test_samples_are_those_of_replay(make):
    """The same additions in the same order, the same generator, and the index killed before each operation."""
    index = make(max_chunks=50, max_reuse=3, max_staleness=4)
    replay = Replay(index.args, np.random.default_rng(0))
    for version in range(20):
        replay.add(Fragments(torch.full((13, 2), version)), version)
        index = after_kill(index)
        index.add("w", 13 * version, [(version, version, "n", f"{n}") for n in range(13)])
        assert index.uses_left(version) == replay.uses_left(version)
        index = after_kill(index)
        expected = [(c.id, c.version, c.optimizer_steps, c.uses) for c in replay.sample(10, version)]
        assert [(c.id, c.version, c.optimizer_steps, c.uses) for c in index.sample(10, version)] == expected
        assert ids(index) == ids(replay)
    assert index.used == 200


def test_no_chunk_is_used_more_than_max_reuse_times(make):
    index, uses = make(max_reuse=3), Counter()
    index.add("w", 0, entries(0, 20))
    for _ in range(12):
        uses.update(chunk.id for chunk in index.sample(5, 0))
        index = after_kill(index)
    with pytest.raises(ValueError, match="5 chunks asked for, 0 there: collect more"):
        index.sample(5, 0)
    assert set(uses.values()) == {3} and len(uses) == 20 and index.used == 60 and index.evicted_unused == 0
    assert set(index.dropped) == set(files(*range(20)))


def test_the_used_up_the_stale_and_the_oldest_are_dropped(make):
    index = make(max_chunks=4, max_reuse=1, max_staleness=1)
    index.add("w", 0, entries(0, 2, version=5) + entries(2, 6, version=7))
    index.evict(7)
    assert ids(index) == [4, 5, 6, 7] and index.dropped == files(0, 1, 2, 3) and index.evicted_unused == 4
    used = index.sample(1, 7)[0].id
    index.release()
    index.evict(8)
    assert ids(index) == [i for i in (4, 5, 6, 7) if i != used] and index.dropped == files(0, 1, 2, 3, used)
    index.evict(9)
    assert ids(index) == [] and index.evicted_unused == 7 and sorted(index.dropped) == files(*range(8))


def test_chunks_are_dropped_on_demand(make):
    index = make()
    index.add("w", 0, entries(0, 6))
    index.drop_if(lambda chunk: chunk.id % 2 == 0)
    index.lost(3)
    index.lost(3)
    index.lost(17)
    assert ids(index) == ids(after_kill(index)) == [1, 5] and sorted(index.dropped) == files(0, 2, 3, 4)


# FILES


def test_the_file_of_a_chunk_in_hand_is_not_dropped(make):
    index = make(max_chunks=3, max_reuse=1)
    index.add("w", 0, entries(0, 3))
    index.sample(3, 0)
    index.lost(0)
    index.evict(0)
    assert ids(index) == index.dropped == index.pop_dropped() == [] and index.names("n", "/") == {
        "/n/0",
        "/n/1",
        "/n/2",
    }
    assert sorted(after_kill(index).dropped) == files(0, 1, 2)  # nobody knows any more who holds them
    index.release()
    assert sorted(index.pop_dropped()) == files(0, 1, 2) and index.dropped == []


def test_the_next_sample_releases_the_one_before(make):
    index = make(max_reuse=1)
    index.add("w", 0, entries(0, 4))
    first = {chunk.data for chunk in index.sample(2, 0)}
    second = {chunk.data for chunk in index.sample(2, 0)}
    index.evict(0)
    assert set(index.dropped) == first and set(files(0, 1, 2, 3)) == first | second


def test_popped_files_are_forgotten_once_they_must_be_deleted(make):
    index = make()
    index.add("w", 0, entries(0, 2))
    index.lost(0)
    assert index.pop_dropped() == files(0) and index.dropped == []
    assert after_kill(index).dropped == files(0)  # whoever was to delete it may have been killed too
    index.lost(1)
    assert index.pop_dropped() == files(1)
    assert after_kill(index).pop_dropped() == files(1)


def test_names_are_those_of_a_node_and_a_prefix_until_popped(make):
    index = make()
    index.add("w", 0, [(0, 0, node, f"/{folder}/{node}") for node in "ab" for folder in ("x_%", "x", "y")])
    assert index.names("a", "/x") == {"/x/a", "/x_%/a"} and index.names("b", "/x_%") == {"/x_%/b"}
    index.lost(0)
    assert "/x_%/a" in index.names("a", "/x")
    index.pop_dropped()
    assert index.names("a", "/x") == {"/x/a"} and index.names("c", "") == set()


# THE SQLITE FILE


def test_metadata_is_kept_and_not_by_reference(make):
    index = make()
    value = {"a": [1, 2.5, None, "é"]}
    index.set("key", value)
    value["a"].append(3)
    index.get("key")["a"].clear()
    for each in (index, after_kill(index)):
        assert each.get("key") == {"a": [1, 2.5, None, "é"]}
        assert each.get("other") is None and each.get("other", 7) == 7


def test_close_removes_the_files(make):
    index = make()
    index.add("w", 0, entries(0, 2))
    index.close()
    assert not list(index.path.parent.iterdir())


def test_only_one_process_has_the_file(make, monkeypatch):
    monkeypatch.setattr(replay_index, "LOCK_SECONDS", 0.1)
    index = make()
    index.add("w", 0, entries(0, 2))
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        make()
    assert ids(index) == ids(after_kill(index)) == [0, 1]


def test_what_a_full_disk_refused_is_written_next_time(make):
    index = make()
    index.add("w", 0, entries(0, 2))
    pages = index._db.execute("PRAGMA page_count").fetchone()[0]
    index._db.execute(f"PRAGMA max_page_count = {pages}")
    assert index.add("w", 2, entries(2, 500)) == 502 and "full" in str(index.unwritten)
    assert ids(after_kill(index)) == [0, 1]
    index._db.execute("PRAGMA max_page_count = 1000")
    index.commit()
    assert index.unwritten is None and everything(after_kill(index)) == everything(index)


def overwrite(content: bytes, at: int = 0):
    def damage(path: Path) -> None:
        whole = path.read_bytes()
        path.write_bytes((whole[:at] + content + whole[at + len(content) :])[: max(len(whole), at + len(content))])

    return damage


def execute(statement: str):
    def damage(path: Path) -> None:
        with sqlite3.connect(path) as db:
            db.execute(statement)
        db.close()

    return damage


DAMAGES = {
    "text": lambda path: path.write_text("not a database, but longer than SQLite's header. " * 9),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "header": overwrite(b"SQLite format 4"),
    "zeros": overwrite(bytes(4096), at=8192),
    "other tables": execute("ALTER TABLE chunks ADD COLUMN more"),
    "no facts": execute("DELETE FROM facts"),
    "other facts": execute("UPDATE facts SET value = '{'"),
    "reboot": execute("""UPDATE facts SET value = replace(value, '"boot": "', '"boot": "not ')"""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_torn_file_is_begun_anew_with_a_warning(make, caplog, damage):
    index = make()
    index.add("w", 0, entries(0, 500))
    index._db.close()
    DAMAGES[damage](index.path)
    with caplog.at_level(logging.WARNING):
        index = make()
    assert "replay.db: " in caplog.text and "the index of the replay begins anew" in caplog.text
    assert index.chunks == [] and index.added == 0 and index.rng.random() == np.random.default_rng(0).random()
    index.add("w", 0, entries(0, 2))
    assert ids(after_kill(index)) == [0, 1]


def test_an_empty_file_and_a_log_cut_short_are_no_damage(make, caplog):
    index = make()
    for n in range(20):
        index.add("w", n, entries(n, 1))
    left = {file.name: file.read_bytes() for file in index.path.parent.iterdir()}
    index.close()
    with caplog.at_level(logging.WARNING):
        for size in range(0, len(left["replay.db-wal"]), 3001):
            index.path.write_bytes(left["replay.db"] if size else b"")
            index.path.with_name("replay.db-wal").write_bytes(left["replay.db-wal"][:size])
            index = make()
            assert ids(index) == list(range(index.add("w", 0, [])))
            index.close()
    assert not caplog.text


def test_whatever_block_is_damaged_it_opens(make, caplog):
    index = make()
    index.add("w", 0, entries(0, 500))
    index._db.close()
    whole, rng = index.path.read_bytes(), random.Random(0)
    for start, size in itertools.product(range(0, len(whole), 4096), (512, 4096)):
        for content in (bytes(size), rng.randbytes(size), whole[start - size : start]):
            index.path.write_bytes(whole)
            overwrite(content, start + rng.randrange(0, 4096, size))(index.path)
            index = make()
            index.add("w", index.add("w", 0, []), entries(0, 1))
            index.evict(0)
            index.close()


# KILLS

WORKER = """
import itertools, sys
from types import SimpleNamespace
import numpy as np
from minestudio_envs.training.replay_index import ReplayIndex

args = SimpleNamespace(max_chunks=60, max_reuse=2, max_staleness=1000)
index = ReplayIndex(args, np.random.default_rng(0), sys.argv[1])
number = index.add("w", 0, [])
for step in itertools.count():
    number = index.add("w", number, [(0, 0, "n", f"{n}") for n in range(number, number + 9)], 8)
    print("added", number, flush=True)
    print("used", *(chunk.id for chunk in index.sample(7, 0)), flush=True)
    if step % 3 == 0:
        print("popped", *(path for _, path in index.pop_dropped()), flush=True)
"""


def test_a_kill_loses_no_use_and_no_file(tmp_path):
    path, used, popped, rng = tmp_path / "replay.db", Counter(), set(), random.Random(0)
    for kills in range(1, 5):
        worker = subprocess.Popen([sys.executable, "-c", WORKER, path], stdout=subprocess.PIPE, text=True)
        first = worker.stdout.readline()  # it is at work
        time.sleep(rng.uniform(0, 0.3))
        worker.kill()
        output = first + worker.communicate()[0]
        lines = [line.split() for line in output.splitlines(keepends=True) if line[-1] == "\n"]
        assert worker.returncode == -signal.SIGKILL and lines
        index = ReplayIndex(make_args(60, 2, 1000), np.random.default_rng(0), path)

        used.update(int(id) for kind, *rest in lines if kind == "used" for id in rest)
        popped.update(int(id) for kind, *rest in lines if kind == "popped" for id in rest)
        added = max(int(rest[0]) for kind, *rest in lines if kind == "added")
        assert index.added in (added, added + 8) and set(used) <= set(range(index.added))
        assert [chunk.data.path for chunk in index.chunks] == [str(id) for id in ids(index)]
        assert max(used.values(), default=0) <= 2 and all(used[chunk.id] <= chunk.uses <= 2 for chunk in index.chunks)
        assert 0 <= index.used - used.total() <= 7 * kills  # counted, but killed before it was reported
        known = {*ids(index), *(int(file.path) for file in index.dropped)}
        assert known | popped == set(range(index.added))
        index._db.close()


@settings(max_examples=40, stateful_step_count=30, deadline=None)
class AgainstReplay(RuleBasedStateMachine):
    """Any operations in any order: as a Replay, and the same after a kill. The number of a chunk is its file's name."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        args = make_args(max_chunks=8, max_reuse=2, max_staleness=2)
        self.index = ReplayIndex(args, np.random.default_rng(0), Path(self.folder.name) / "index" / "replay.db")
        self.replay = Replay(args, np.random.default_rng(0))
        self.version = 0
        self.taken = {"w": [], "v": []}  # by each writer
        self.uses, self.in_hand, self.deleted, self.popped = Counter(), set(), set(), set()

    @rule(writer=st.sampled_from("wv"), again=st.integers(0, 3), count=st.integers(0, 6), limit=st.integers(-1, 6))
    def add(self, writer, again, count, limit):
        taken, next_id = self.taken[writer], self.replay.next_id
        first = max(0, len(taken) - again)
        new = range(next_id, next_id + min(max(limit, 0), max(0, first + count - len(taken))))
        names = [*taken[first:], *range(next_id, next_id + count)][:count]
        offer = [(self.version, 0, "n", str(name)) for name in names]
        taken += new
        assert self.index.add(writer, first, offer, limit) == len(taken)
        self.replay.chunks += [Chunk(id, self.version, 0, 0, Location("n", str(id))) for id in new]
        self.replay.next_id += len(new)

    @rule(count=st.integers(0, 5))
    def sample(self, count):
        self.in_hand = set()
        try:
            chunks = self.replay.sample(count, self.version)
        except ValueError:
            with pytest.raises(ValueError):
                self.index.sample(count, self.version)
        else:
            assert self.index.sample(count, self.version) == chunks
            self.in_hand = {chunk.id for chunk in chunks}
            self.uses.update(self.in_hand)

    @rule()
    def learn(self):
        self.version += 1
        self.index.evict(self.version)
        self.replay.evict(self.version)

    @rule(id=st.integers(0, 20))
    def lose(self, id):
        self.index.lost(id)
        self.replay.keep([chunk for chunk in self.replay.chunks if chunk.id != id])

    @rule()
    def release(self):
        self.index.release()
        self.in_hand = set()

    @rule()
    def pop(self):
        self.deleted |= self.popped
        self.popped = self.to_delete() - self.in_hand
        assert {int(file.path) for file in self.index.pop_dropped()} == self.popped

    @rule()
    def kill(self):
        self.index = after_kill(self.index)
        self.in_hand, self.popped = set(), set()

    def to_delete(self) -> set[int]:
        return set(range(self.replay.next_id)) - set(ids(self.replay)) - self.deleted - self.popped

    @invariant()
    def agrees(self):
        assert self.index.chunks == self.replay.chunks and all(uses <= 2 for uses in self.uses.values())
        assert self.index.used == self.uses.total() and self.index.added == self.replay.next_id
        assert {int(file.path) for file in self.index.dropped} == self.to_delete() - self.in_hand
        assert self.index.names("n", "") == {str(id) for id in {*ids(self.replay), *self.to_delete()}}
        again = after_kill(self.index)
        assert everything(again) == everything(self.index)
        again.close()

    def teardown(self):
        self.index.close()
        self.folder.cleanup()


test_against_replay = AgainstReplay.TestCase
