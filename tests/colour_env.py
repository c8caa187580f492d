"""A toy task that a tiny policy learns in seconds, and as a MinecraftSim for ppo_vpt_distributed.py's workers."""

import copy
import multiprocessing
import os

import numpy as np
import torch

from minestudio_envs import MinecraftSim
from ppo_vpt_online import SMALL_NET_ARGS

NET_ARGS = SMALL_NET_ARGS | {
    "hidsize": 32,
    "attention_heads": 2,
    "img_shape": [8, 8, 3],
    "impala_chans": [4, 4, 4],
    "attention_memory_size": 24,
    "timesteps": 16,
}


class ColourEnv:
    """Shows dark or light noise; pressing attack when, and only when, it was light `delay` steps ago pays 1.

    Episodes are truncated after `length` steps; the step after that resets (Gymnasium's NEXT_STEP).
    """

    def __init__(self, num_envs: int, delay: int = 0, length: int = 11, reward: float = 1.0, noise: int = 56):
        self.num_envs, self.delay, self.length, self.reward, self.noise = num_envs, delay, length, reward, noise

    def reset(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.age = torch.arange(self.num_envs) % self.length
        self.returns = torch.zeros(self.num_envs)
        self.done = torch.zeros(self.num_envs, dtype=torch.bool)
        self.colours = torch.zeros(self.num_envs, self.delay + 1, dtype=torch.int64)
        return self.show(), {}

    def close(self):
        pass

    def state_dict(self):
        return copy.deepcopy(
            {key: x for key, x in vars(self).items() if key != "rng"} | {"rng": self.rng.bit_generator.state}
        )

    def load_state_dict(self, state):
        vars(self).update({key: x for key, x in copy.deepcopy(state).items() if key != "rng"})
        self.rng.bit_generator.state = state["rng"]

    def show(self):
        new = torch.from_numpy(self.rng.integers(0, 2, self.num_envs))
        self.colours = torch.cat([new[:, None], self.colours[:, :-1]], 1)
        # Noise, because the norms of the CNN blow up the gradients of pictures of one colour.
        noise = torch.from_numpy(self.rng.integers(0, self.noise, (self.num_envs, 8, 8, 3)))
        return {"image": (new[:, None, None, None] * 200 + noise).to(torch.uint8)}

    def step(self, action):
        attack = action["buttons"] // 4 % 2
        rewards = self.reward * (attack == self.colours[:, -1]).float()
        began = self.done
        rewards[began] = 0.0
        self.age = torch.where(began, 0, self.age + 1)
        self.returns = torch.where(began, 0.0, self.returns + rewards)
        self.colours[began] = 0
        self.done = (self.age >= self.length) & ~began
        infos = {"episode": {"r": self.returns, "l": self.age}, "_episode": self.done}
        return self.show(), rewards, torch.zeros_like(self.done), self.done.clone(), infos


class ReadyColourEnv:
    """ColourEnvs at paces of their own, as minestudio_envs.minecraft.MinecraftVectorEnv: `send`, and `recv` of those
    ready first. One of `failing` steps fails: its environment begins anew, and what was before is lost."""

    def __init__(self, num_envs: int, failing: float = 0.0, **options):
        self.num_envs, self.failing, self.options = num_envs, failing, options
        self.restarts = self.lost_steps = 0

    def reset(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.envs = [ColourEnv(1, **self.options) for _ in range(self.num_envs)]
        first = torch.cat([env.reset(seed + i)[0]["image"] for i, env in enumerate(self.envs)])
        self.clock, self.under_way = np.zeros(self.num_envs), {}  # times; results by environment
        return {"image": first}, {}

    def send(self, action, ids):
        for row, i in enumerate(ids.tolist()):
            assert i not in self.under_way, "its last result is still to come"
            *result, infos = self.envs[i].step({name: value[row : row + 1] for name, value in action.items()})
            infos = {**infos["episode"], "_episode": infos["_episode"].clone(), "lost": torch.tensor([False])}
            if self.rng.random() < self.failing:
                self.restarts += 1
                self.lost_steps += int(self.envs[i].age)
                self.envs[i] = ColourEnv(1, **self.options)
                result = [self.envs[i].reset(int(self.rng.integers(2**31)))[0], *map(torch.zeros_like, result[1:])]
                infos |= {"_episode": torch.tensor([False]), "lost": torch.tensor([True])}
            self.under_way[i] = *result, {key: value.clone() for key, value in infos.items()}
            self.clock[i] += self.rng.exponential()

    def recv(self, count):
        ids = sorted(self.under_way, key=lambda i: self.clock[i])[:count]
        assert len(ids) == count, "fewer results are to come"
        obs, *result, infos = zip(*(self.under_way.pop(i) for i in ids), strict=True)
        infos = {key: torch.cat([info[key] for info in infos]) for key in infos[0]}
        infos["episode"] = {key: infos.pop(key) for key in ("r", "l")}
        image = torch.cat([o["image"] for o in obs])
        return torch.tensor(ids), {"image": image}, *(torch.cat(x) for x in result), infos

    def close(self):
        pass


class ColourVectorEnv(ColourEnv):
    """A ColourEnv made as MinecraftVectorSim is; with noise of a period so short that policies may learn it."""

    def __init__(self, sim, num_envs: int, seed: int = 0, **looks):
        super().__init__(num_envs, **sim.options)
        self.seed = seed

    def frame(self, index: int, size: tuple[int, int]) -> np.ndarray:
        return np.full((size[1], size[0], 3), 60 * int(self.colours[index, 0]) + 40, np.uint8)


class ProcessVectorEnv:
    """The same in a process of its own, which may die; its pid goes to the file ``pid_file`` if that is given."""

    def __init__(self, sim, num_envs: int, seed: int = 0, **looks):
        self.restart_interval = None  # set by a rollout worker
        self.num_envs, self.options = num_envs, sim.options
        pid_file = self.options.pop("pid_file", None)
        self.pipe, theirs = multiprocessing.get_context("spawn").Pipe()
        arguments = (theirs, num_envs, self.options)
        self.process = multiprocessing.get_context("spawn").Process(target=serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        if pid_file is not None:
            with open(pid_file, "w") as file:
                file.write(str(self.process.pid))

    def call(self, name: str, *arguments):
        self.pipe.send((name, arguments))
        return self.pipe.recv()  # EOFError if the process is dead

    def reset(self, seed: int):
        return self.call("reset", seed)

    def step(self, action):
        return self.call("step", action)

    def close(self):
        self.process.kill()
        self.process.join()


def serve(pipe, num_envs: int, options: dict) -> None:
    envs, parent = ColourEnv(num_envs, **options), os.getppid()
    torch.set_num_threads(1)
    while os.getppid() == parent:
        if pipe.poll(1.0):
            name, arguments = pipe.recv()
            pipe.send(getattr(envs, name)(*arguments))


class ColourSim(MinecraftSim):
    """``MinecraftSim`` whose batches are ColourEnvs. vector_class: theirs; options: of ColourEnv."""

    def __init__(self, vector_class: type = ColourVectorEnv, **options):
        self.vector_class, self.options = vector_class, options


def policy_generator():
    from ppo_vpt_distributed import VPTPolicy

    return VPTPolicy(NET_ARGS)


def env_generator():
    return ColourSim()
