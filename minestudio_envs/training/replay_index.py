"""The replay's index when chunks lie in files on several machines; it survives a kill -9 of its process.

Each operation is one SQLite transaction, or two that each leave a whole index, written before the operation returns:
a use is counted before its chunk is handed out. What a killed process wrote, the kernel has, so nothing is fsynced.
After a reboot the file is not trusted: it may be torn, or lack the last uses. What is lost then is experience.
"""

import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minestudio_envs.training.replay import Chunk, Replay

logger = logging.getLogger("ppo_vpt")

LOCK_SECONDS = 10  # to wait for the process killed before to be gone
PRAGMAS = (
    "locking_mode = EXCLUSIVE",  # one process; and the log then needs no shared memory, which not every disk offers
    "journal_mode = WAL",  # changed pages are written once; a checksum finds the transaction that a kill cut short
    "synchronous = OFF",
)
TABLES = (
    # uses: NULL once the chunk has left the index and its file has not been deleted for certain
    "chunks (id INTEGER PRIMARY KEY, version INTEGER, optimizer_steps INTEGER, uses INTEGER, node TEXT, path TEXT)",
    "facts (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key))",  # values: JSON
)


class Location(NamedTuple):
    """Where a chunk's file is."""

    node: str
    path: str


class ReplayIndex(Replay):
    """A Replay whose chunks' `data` is the Location of their file. One thread at a time may use it.

    It holds no tensors, so `batches`, `save` and `load` are not for it. What a sample handed out is in hand until
    `release` or the next sample: it may leave the index, but its file is not dropped.

    Args:
        args: has max_chunks, max_reuse and max_staleness.
        rng: draws the samples; set to the state it had, if the file is gone on from.
        path: SQLite file. One that a killed process left is gone on from, with nothing in hand; one that is damaged, or
            from before a reboot, is begun anew with a warning.

    Raises:
        sqlite3.OperationalError: if another process has the file.

    What a full disk refuses is written with the next change, or by `commit`; till then `unwritten` says why.
    """

    def __init__(self, args: Any, rng: np.random.Generator, path: str | Path):
        super().__init__(args, rng)
        self.path = Path(path)
        self.unwritten: sqlite3.OperationalError | None = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._connect()
        try:
            self._read()
        except Exception as error:  # torn pages can surface as nearly anything
            self._db.close()
            if "locked" in str(error):
                raise
            logger.warning(f"{self.path}: {error}; the index of the replay begins anew")
            self._remove_files()
            self._connect()
            self._read()
        self.commit()  # better now than with the first chunks, if it cannot be written to

    @property
    def added(self) -> int:
        """Chunks taken in, ever."""
        return self.next_id

    @property
    def writers(self) -> set[str]:
        """Those that chunks came from, and that are not forgotten."""
        return self._writers.keys() - self._forgotten

    @property
    def forgotten(self) -> set[str]:
        return set(self._forgotten)

    @property
    def dropped(self) -> list[Location]:
        """Files to delete: of chunks that left the index and are not in hand."""
        return [location for id, location in self._gone.items() if id not in self._in_hand]

    def add(
        self, writer: str, first: int, entries: Sequence[tuple[int, int, str, str]], limit: int | None = None
    ) -> int:
        """Take in chunks of a writer, who numbers them from 0 on, and return the number that is expected next.

        A call whose answer got lost can be repeated: numbers already taken are skipped.

        Args:
            writer: a name that no other writer ever has.
            first: number of the first entry; the others count up from it.
            entries: (version, optimizer_steps, node, path) of each chunk.
            limit: new entries taken at most.

        Raises:
            ValueError: if numbers are missing between the one expected and `first`.
        """
        expected = self._writers.get(writer, 0)
        if writer in self._forgotten:
            return expected
        if first > expected:
            raise ValueError(f"writer {writer} offers chunks from {first} on, {expected} is expected: some are missing")
        offered = entries[expected - first :][: None if limit is None else max(limit, 0)]
        new = [
            Chunk(self.next_id + i, int(version), int(optimizer_steps), 0, Location(str(node), str(path)))
            for i, (version, optimizer_steps, node, path) in enumerate(offered)
        ]
        self.chunks += new
        self.next_id += len(new)
        self._writers[writer] = expected + len(new)
        self.commit()
        return expected + len(new)

    def forget(self, writer: str) -> None:
        """The writer is dead: its chunks stay, but nothing is taken from it any more."""
        self._forgotten.add(writer)
        self.commit()

    def keep(self, chunks: list[Chunk]) -> None:
        """Drop all but these; the files of others are dropped once they are not in hand."""
        before = self.chunks
        super().keep(chunks)
        if len(chunks) == len(before):
            return
        kept = {chunk.id for chunk in chunks}
        gone = [chunk for chunk in before if chunk.id not in kept]
        self._gone.update((chunk.id, chunk.data) for chunk in gone)
        self.evicted_unused += sum(chunk.uses == 0 for chunk in gone)
        self.commit()

    def drop_if(self, predicate: Callable[[Chunk], bool]) -> None:
        """Drop the chunks of which it is true."""
        self.keep([chunk for chunk in self.chunks if not predicate(chunk)])

    def lost(self, chunk_id: int) -> None:
        """Drop a chunk whose file cannot be read; one that has left the index already is fine."""
        self.drop_if(lambda chunk: chunk.id == chunk_id)

    def sample(self, count: int, version: int) -> list[Chunk]:
        """As Replay.sample; the chunks are then in hand, those of the sample before no longer."""
        self.release()
        chunks = super().sample(count, version)
        self.used += len(chunks)
        self._in_hand.update(chunk.id for chunk in chunks)
        self.commit()
        return chunks

    def release(self) -> None:
        """The sampled chunks' files have been read for the last time."""
        self._in_hand.clear()

    def pop_dropped(self) -> list[Location]:
        """The dropped files, to delete. Only the next call takes it that they are: after a kill they come again."""
        self._popped = {id: self._gone.pop(id) for id in list(self._gone) if id not in self._in_hand}
        self.commit()
        return list(self._popped.values())

    def names(self, node: str, prefix: str) -> set[str]:
        """Paths on a node that begin so, of chunks in the index or in hand, and of dropped ones not popped yet."""
        locations = [*(chunk.data for chunk in self.chunks), *self._gone.values()]
        return {path for at, path in locations if at == node and path.startswith(prefix)}

    def get(self, key: str, default: Any = None) -> Any:
        """The value that was set."""
        return json.loads(self._metadata[key]) if key in self._metadata else default

    def set(self, key: str, value: Any) -> None:
        """Keep a value that JSON can express."""
        self._metadata[key] = json.dumps(value)
        self.commit()

    def close(self) -> None:
        """Remove the SQLite files: the index is no longer wanted."""
        self._db.close()
        self._remove_files()

    def _remove_files(self) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):  # SQLite ignores a log without its database, not the reverse
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _connect(self) -> None:
        self._db = sqlite3.connect(self.path, timeout=LOCK_SECONDS, check_same_thread=False)

    def _read(self) -> None:
        """Become what the file says."""
        for pragma in PRAGMAS:
            self._db.execute(f"PRAGMA {pragma}")
        problems = self._db.execute("PRAGMA integrity_check").fetchone()
        if problems != ("ok",):
            raise sqlite3.DatabaseError(f"damaged, {problems[0]}")
        for table in TABLES:
            self._db.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        rows = self._db.execute("SELECT * FROM chunks ORDER BY id").fetchall()
        self._written_facts = {(kind, key): value for kind, key, value in self._db.execute("SELECT * FROM facts")}
        self._written_uses = {id: uses for id, _, _, uses, _, _ in rows}

        index = {"boot": _boot(), "next_id": 0, "used": 0, "evicted_unused": 0, "rng": self.rng.bit_generator.state}
        if rows or self._written_facts:
            index = json.loads(self._written_facts["index", ""])
        if index["boot"] != _boot():
            raise sqlite3.DatabaseError("from before a reboot, so the last uses may not be in it")
        self.chunks = [Chunk(*row[:4], Location(*row[4:])) for row in rows if row[3] is not None]
        self._gone = {row[0]: Location(*row[4:]) for row in rows if row[3] is None}  # to delete; some still in hand
        self._popped: dict[int, Location] = {}  # handed over to be deleted
        self._in_hand: set[int] = set()
        self._writers = {key: json.loads(v) for (kind, key), v in self._written_facts.items() if kind == "writer"}
        self._forgotten = {key for kind, key in self._written_facts if kind == "forgotten"}
        self._metadata = {key: v for (kind, key), v in self._written_facts.items() if kind == "metadata"}
        self.next_id, self.used, self.evicted_unused = index["next_id"], index["used"], index["evicted_unused"]
        self.rng.bit_generator.state = index["rng"]

    def _facts(self) -> dict[tuple[str, str], str]:
        """All but the chunks, as it is written."""
        index = {"boot": _boot(), "next_id": self.next_id, "used": self.used, "evicted_unused": self.evicted_unused}
        facts = {("index", ""): json.dumps(index | {"rng": self.rng.bit_generator.state})}
        facts |= {("writer", writer): json.dumps(number) for writer, number in self._writers.items()}
        facts |= {("forgotten", writer): "true" for writer in self._forgotten}
        return facts | {("metadata", key): value for key, value in self._metadata.items()}

    def commit(self) -> None:
        """Write what is not as it was written before."""
        facts, written = self._facts(), self._written_uses
        uses: dict[int, int | None] = {chunk.id: chunk.uses for chunk in self.chunks}
        uses |= dict.fromkeys((*self._gone, *self._popped))
        new = [(c.id, c.version, c.optimizer_steps, c.uses, *c.data) for c in self.chunks if c.id not in written]
        changed = [(n, id) for id, n in uses.items() if id in written and written[id] != n]
        changes = facts.items() - self._written_facts.items()
        try:
            with self._db:
                self._db.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)", new)
                self._db.executemany("UPDATE chunks SET uses = ? WHERE id = ?", changed)
                self._db.executemany("DELETE FROM chunks WHERE id = ?", [(id,) for id in written.keys() - uses.keys()])
                self._db.executemany("REPLACE INTO facts VALUES (?, ?, ?)", [(*key, value) for key, value in changes])
        except sqlite3.OperationalError as error:
            if self.unwritten is None:
                logger.warning(f"{self.path} is not written: {error}")
            self.unwritten = error
        else:
            self._written_uses, self._written_facts, self.unwritten = uses, facts, None


def _boot() -> str:
    """Differs from one boot of the machine to the next; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
