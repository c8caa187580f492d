"""The replay: chunks of fragments until they are used up, too old or too many; in memory, or in a FragmentStore."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from minestudio_envs.training.fragment_store import FragmentStore

Fragments = Any  # a NamedTuple of tensors that begin with the chunk's axis; has `versions` int64 [C, S]


@dataclass
class Chunk:
    """A chunk's entry in the replay: consecutive fragments of one environment."""

    id: int
    version: int  # of the weights at its oldest step
    optimizer_steps: int  # taken when it was collected
    uses: int
    data: Fragments | Path  # tensors without the leading axis, or the file in which they are


class Replay:
    """Chunks until they have been used max_reuse times, are staler than max_staleness, or more than max_chunks.

    args: has those three and prefetch_batches. rng: draws the samples. store: where the tensors are; None: in memory.
    """

    def __init__(self, args: Any, rng: np.random.Generator, store: FragmentStore | None = None):
        self.args, self.rng, self.store = args, rng, store
        self.chunks: list[Chunk] = []  # the oldest first
        self.next_id = 0
        self.seconds = 0.0  # spent storing and fetching
        self._reader = ThreadPoolExecutor(1, "replay") if store is not None else None

    def add(self, fragments: Fragments, optimizer_steps: int) -> None:
        """Take in a batch of chunks that were collected when so many optimizer steps had been taken."""
        began = time.perf_counter()
        for data in map(type(fragments)._make, zip(*fragments, strict=True)):
            self._append(Chunk(self.next_id, int(data.versions.min()), optimizer_steps, 0, data))
            self.next_id += 1
        self.seconds += time.perf_counter() - began

    def _append(self, chunk: Chunk) -> None:
        if self.store is not None:
            self._type = type(chunk.data)
            chunk.data = self.store.write(chunk.id, {name: x.cpu() for name, x in chunk.data._asdict().items()})
        self.chunks.append(chunk)

    def evict(self, version: int) -> None:
        """Drop chunks that are used up or too stale, wherever they stand, and the oldest of too many."""
        good = [chunk for chunk in self.chunks if self._uses_left(chunk, version) > 0]
        self.keep(good[-self.args.max_chunks :])

    def keep(self, chunks: list[Chunk]) -> None:
        """Drop all but these."""
        kept = {chunk.id for chunk in chunks}
        for chunk in self.chunks:
            if self.store is not None and chunk.id not in kept:
                self.store.delete(chunk.data)
        self.chunks = chunks

    def _uses_left(self, chunk: Chunk, version: int) -> int:
        return min(self.args.max_reuse - chunk.uses, self.args.max_staleness + 1 - (version - chunk.version))

    def uses_left(self, version: int) -> int:
        """How often chunks can still be handed out, if each iteration uses a chunk at most once."""
        return sum(self._uses_left(chunk, version) for chunk in self.chunks)

    def sample(self, count: int, version: int) -> list[Chunk]:
        """`count` different chunks, drawn uniformly, whose use is counted; `version`: of the weights now."""
        self.evict(version)
        if count > len(self.chunks):
            raise ValueError(f"{count} chunks asked for, {len(self.chunks)} there: collect more")
        chunks = [self.chunks[i] for i in self.rng.choice(len(self.chunks), count, replace=False)]
        for chunk in chunks:
            chunk.uses += 1
        return chunks

    def batches(self, batches: Sequence[list[Chunk]], device: torch.device) -> Iterator[Fragments]:
        """The tensors of batch after batch of chunks; from a store, prefetch_batches are read ahead."""
        loading = (
            self._load_ahead(batches, device) if self.store is not None else (self._load(b, device) for b in batches)
        )
        while True:
            began = time.perf_counter()
            batch = next(loading, None)
            self.seconds += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    def _load(self, batch: list[Chunk], device: torch.device) -> Fragments:
        data = [self._read(chunk.data) if self.store is not None else chunk.data for chunk in batch]
        return type(data[0])(*(torch.stack(tensors).to(device) for tensors in zip(*data, strict=True)))

    def _read(self, path: Path) -> Fragments:
        return self._type(**self.store.read(path))

    def _load_ahead(self, batches: Sequence[list[Chunk]], device: torch.device) -> Iterator[Fragments]:
        ahead: deque = deque()
        try:
            for batch in batches:
                ahead.append(self._reader.submit(self._load, batch, device))
                if len(ahead) > self.args.prefetch_batches:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:  # left early, by an interrupt
            for future in ahead:
                future.cancel()

    def save(self, folder: Path) -> dict[str, Any]:
        """The index as plain values; the tensors go into `folder`, those of a store as links."""
        folder.mkdir()
        for chunk in self.chunks:
            if self.store is not None:
                self.store.link_into(chunk.data, folder)
        if self.store is None:
            data = {c.id: {name: x.cpu().clone() for name, x in c.data._asdict().items()} for c in self.chunks}
            torch.save(data, folder / "chunks.pt")
        files = {chunk.id: chunk.data.name for chunk in self.chunks} if self.store is not None else {}
        entries = [[c.id, c.version, c.optimizer_steps, c.uses] for c in self.chunks]
        rng = self.rng.bit_generator.state
        return {"next_id": self.next_id, "entries": entries, "files": files, "rng": rng}

    def load(self, state: dict[str, Any], folder: Path, fragments: type, device: torch.device) -> None:
        """Become what was saved; `fragments` is the NamedTuple that chunks are made of."""
        self.keep([])
        file = folder / "chunks.pt"
        saved = torch.load(file, map_location=device, weights_only=True) if file.exists() else {}
        for id, *entry in state["entries"]:
            if id in saved:
                data = fragments(**saved.pop(id))
            elif self.store is not None:
                self.chunks.append(Chunk(id, *entry, self.store.adopt(folder / state["files"][id])))
                continue
            else:
                tensors = FragmentStore.read(folder / state["files"][id])
                data = fragments(**{name: tensor.to(device) for name, tensor in tensors.items()})
            self._append(Chunk(id, *entry, data))
        self._type, self.next_id, self.rng.bit_generator.state = fragments, state["next_id"], state["rng"]

    def close(self) -> None:
        """Stop reading and remove a store's files: checkpoints hold links to those that they need."""
        if self.store is not None:
            self._reader.shutdown(cancel_futures=True)
            self.store.remove()
