"""Players that follow rules, a batch at once: people's habits, clumsily, for pretraining, and an expert hunter.

    players = ScriptedPlayers(envs, HABITS)       # or HUNTER
    observations, infos = envs.reset(seed=0)
    while True:
        observations, rewards, terminations, truncations, infos = envs.step(players.act())

They read the voxel engine's state, not the pictures: what is a cow, and where. Each does one thing for some seconds and
then draws the next. What they draw depends on (seed, environment, episode, tick) only, so a player of an episode is the
same whatever the batch size.
"""

import math
from typing import Any, NamedTuple

import torch

from minestudio_envs.actions import BUTTONS, NUM_BUTTONS, NUM_CAMERA, env_to_joint
from minestudio_envs.draws import tick_uniform
from minestudio_envs.voxel.blocks import BLOCKS, SOLID, WOODS
from minestudio_envs.voxel.state import MOBS

STREAM = 50 << 16  # of random numbers, beyond those of the engine (voxel/randomness.py)

GOALS = ("pause", "look", "wander", "dig", "chop", "approach", "hunt")
PAUSE, LOOK, WANDER, DIG, CHOP, APPROACH, HUNT = range(len(GOALS))
SECONDS = torch.tensor([[0.3, 2], [1, 3], [2, 6], [1, 4], [4, 10], [2, 5], [4, 10]])  # least and most of each goal
SLIPS = ("left", "right", "back", "jump", "attack", "forward")  # keys that nobody wanted

EYES = 1.62  # above the feet, blocks
REACH, BLOCK_REACH = 3.0, 4.3  # of a hit and, with a little to spare, of digging, blocks
SIGHT = 16.0  # blocks to the farthest mob or tree that is walked to
SEARCH_XZ, SEARCH_DOWN, SEARCH_UP = 10, 1, 5  # the box that is searched for logs, blocks around the feet
ASIDE = 0.1  # blocks that an animal may be farther away for each degree that it is nearer to the crosshair
REST = 2.5  # degrees aside at which the hand rests
SLIP_TICKS = 3  # of a slip, about
VIEW = 45.0  # degrees to either side that are in view
STUCK = 0.04  # blocks a tick that a walking player makes at least
MOB_MIDDLE = torch.tensor([0.0, 0.9, 0.55, 0.85, 0.4, 1.1, 1.1])  # height that is aimed at, by kind
assert len(MOB_MIDDLE) == len(MOBS)
LOGS = torch.tensor([name in {f"{wood}_log" for wood in WOODS} for name in BLOCKS])
LEAVES = torch.tensor([name in {f"{wood}_leaves" for wood in WOODS} for name in BLOCKS])
IS_SOLID = torch.from_numpy(SOLID) > 0
KEY = {name: i for i, name in enumerate(BUTTONS)}


class Habits(NamedTuple):
    """How a player spends its time (weights of GOALS, by time), and how clumsily."""

    pause: float = 0.0
    look: float = 0.0
    wander: float = 0.0
    dig: float = 0.0
    chop: float = 0.0
    approach: float = 0.0
    hunt: float = 0.0
    slip: float = 0.0  # part of the time in which the hand does what nobody wanted
    turns_right: bool = False  # look for what is out of view to the right, always: a clone could not know to which side


# A clone does nothing well that it has seen rarely: of players who hunt less it learns to hit no cow at all.
HABITS = Habits(
    pause=0.02, look=0.02, wander=0.04, dig=0.01, chop=0.1, approach=0.02, hunt=0.8, slip=0.15, turns_right=True
)
HUNTER = Habits(hunt=1.0)


class RandomPlayers:
    """Every joint action is as likely as any other. Arguments as ScriptedPlayers."""

    def __init__(self, envs: Any, seed: int = 0):
        self.envs, self.seed = envs, seed

    def act(self) -> dict[str, torch.Tensor]:
        """As ScriptedPlayers.act."""
        u = draw(self.envs, self.seed, 2).double()  # float32 would round the last index up
        return {"buttons": (u[:, 0] * NUM_BUTTONS).long(), "camera": (u[:, 1] * NUM_CAMERA).long()}


def draw(envs: Any, seed: int, count: int) -> torch.Tensor:
    """float32 [N, count] in [0, 1), of this tick."""
    s = envs.state
    mixed = (seed * 0x5DEECE66D + (1 << 63)) % (1 << 64) - (1 << 63)  # as int64 wraps around
    return tick_uniform(s["key"] ^ mixed, s["episode"], s["tick"], STREAM, count)


def angles(offset: torch.Tensor) -> torch.Tensor:
    """(pitch, yaw) in degrees [..., 2] that look along an offset [..., 3]."""
    x, y, z = offset.unbind(-1)
    return torch.rad2deg(torch.stack([-torch.atan2(y, torch.hypot(x, z)), torch.atan2(-x, z)], -1))


def wrap(degrees: torch.Tensor) -> torch.Tensor:
    """To -180 ... 180."""
    return (degrees + 180) % 360 - 180


class ScriptedPlayers:
    """A player in each environment of a batch (MinecraftVectorSim with VPT's joint actions).

    envs: whose state is read, when ``act`` is called. seed: of the players; the worlds have their own.
    """

    def __init__(self, envs: Any, habits: Habits = HABITS, seed: int = 0):
        n = envs.num_envs
        self.envs, self.habits, self.seed = envs, habits, seed
        spans = SECONDS.mean(1)
        weights = torch.tensor(habits[: len(GOALS)]) / spans  # goals that take long are begun less often
        if not (weights >= 0).all() or not weights.sum() > 0:
            raise ValueError(f"{habits}: the weights must not be negative, and one must be positive")
        self.chances = (weights / weights.sum()).cumsum(0)
        self.everyone = torch.arange(n)
        self.key = torch.zeros(n, dtype=torch.int64)
        self.episode = torch.full((n,), -1)  # that the rest below is of
        self.goal, self.until = torch.zeros(n, dtype=torch.int64), torch.zeros(n, dtype=torch.int64)
        self.gaze = torch.zeros(n, 2)  # (pitch, yaw) in degrees where nothing is aimed at
        self.mob = torch.full((n,), -1)  # slot of the animal, -1: none
        self.block = torch.zeros(n, 3, dtype=torch.int64)  # the log
        self.has_block = torch.zeros(n, dtype=torch.bool)
        self.slip, self.slip_until = torch.zeros(n, dtype=torch.int64), torch.zeros(n, dtype=torch.int64)
        self.slip_turn = torch.zeros(n, 2)  # degrees each tick
        self.stuck = torch.zeros(n, dtype=torch.int64)  # ticks of walking without getting anywhere
        self.walked = torch.zeros(n, dtype=torch.bool)  # forward was pressed in the last tick

    def act(self) -> dict[str, torch.Tensor]:
        """VPT's actions for what the environments show now: {"buttons", "camera"}, int64 [N] each."""
        s = self.envs.state
        now = s["tick"]
        new = (s["episode"] != self.episode) | (s["key"] != self.key)
        self.episode, self.key = s["episode"].clone(), s["key"].clone()
        u = draw(self.envs, self.seed, 16)

        moved = (s["position"] - s["previous_position"])[:, ::2].norm(dim=1)
        self.slip_until = torch.where(new, 0, self.slip_until)
        self.stuck = torch.where(self.walked & (moved < STUCK) & ~new, self.stuck + 1, 0)
        self._choose_goals(new, now, u)
        eyes = s["position"] + torch.tensor([0.0, EYES, 0.0])
        view = torch.stack([s["pitch"], s["yaw"]], 1)

        # What is aimed at, and how far it is.
        self._choose_mobs(s, eyes, view)
        hunting, approaching = (self.goal == HUNT) & (self.mob >= 0), (self.goal == APPROACH) & (self.mob >= 0)
        at_mob = hunting | approaching
        slot = self.mob.clamp(min=0)
        middle = s["mob_position"][self.everyone, slot].clone()
        kind = s["mob_kind"][self.everyone, slot].long()
        middle[:, 1] += MOB_MIDDLE[kind] * torch.where(s["mob_age"][self.everyone, slot] < 0, 0.5, 1.0)
        self._choose_logs(s, eyes)
        chopping = (self.goal == CHOP) & self.has_block
        offset = torch.where(chopping[:, None], self.block + 0.5, middle) - eyes
        aims = at_mob | chopping
        distance, flat = offset.norm(dim=1), offset[:, ::2].norm(dim=1)
        wanted = torch.where(aims[:, None], angles(offset).float(), self.gaze)
        seen = wrap(wanted[:, 1] - view[:, 1]).abs() < VIEW
        around = torch.stack([torch.full_like(view[:, 0], 5.0), view[:, 1] + 14], 1)
        wanted = torch.where((aims & ~seen & self.habits.turns_right)[:, None], around, wanted)
        error = torch.stack([wanted[:, 0] - view[:, 0], wrap(wanted[:, 1] - view[:, 1])], 1)
        turn = torch.where((error.abs() < REST) | (self.goal == PAUSE)[:, None], 0.0, error).clamp(-10, 10)
        slips = self._begin_slips(chopping & (error.abs().amax(1) < REST), now, u)
        turn = torch.where(slips[:, None], self.slip_turn, turn)

        # Where the crosshair will be. A mob is about half a block wide on either side.
        off = (error - turn).abs()
        width = torch.rad2deg(torch.atan2(torch.tensor(0.4), flat.clamp(min=0.2))).float()
        on_mob = at_mob & (off[:, 1] < width) & (off[:, 0] < 1.3 * width)
        on_block = chopping & (off.amax(1) < width) & (distance < BLOCK_REACH)
        charge = torch.from_numpy(self.envs.engine.tables.attack_charge_ticks)
        held = s["inventory_item"][self.everyone, s["selected"].long()].long()
        rested = s["attack_ticks"] + 0.5 >= charge[held]
        let_go = s["pressed"][:, KEY["attack"]] == 0
        hit = hunting & on_mob & (flat < REACH + 0.2) & (distance < REACH + 0.5) & rested & let_go

        facing = (off[:, 1] < 50) & (seen | ~aims)
        near = torch.where(hunting, 1.6, torch.where(approaching, 2.5, 2.2)).float()
        forward = torch.where(aims, (flat > near) & facing, (self.goal == WANDER) & facing)
        digging = self.goal == DIG
        forward |= digging & (self.gaze[:, 0] < 45) & (u[:, 8] < 0.6)
        forward &= ~(on_block & (flat < 3.0))
        jump = (forward & (self.stuck > 1)) | (s["in_water"] != 0)
        jump |= (self.goal == WANDER) & (u[:, 9] < 0.01)
        sprint = forward & facing & (at_mob | ((self.goal == WANDER) & (self.until % 3 == 0)))  # one in three runs
        attack = hit | on_block | (digging & (off.amax(1) < 15))

        pressed = torch.zeros(self.envs.num_envs, len(BUTTONS), dtype=torch.bool)
        for name, keys in {"forward": forward, "jump": jump, "sprint": sprint, "attack": attack}.items():
            pressed[:, KEY[name]] = keys
        pressed[slips, torch.tensor([KEY[name] for name in SLIPS])[self.slip[slips]]] = True
        self.walked = pressed[:, KEY["forward"]].clone()
        buttons, camera = env_to_joint(pressed, turn)
        return {"buttons": buttons, "camera": camera}

    def _choose_goals(self, new: torch.Tensor, now: torch.Tensor, u: torch.Tensor) -> None:
        """The next goal where the last one's time is up."""
        # Who has lost what it was after, or cannot get there, does something else.
        lost = (self.goal == CHOP) & ~self.has_block | (self.goal >= APPROACH) & (self.mob < 0)
        choose = new | (now >= self.until) | (self.stuck > 30)
        goal = torch.searchsorted(self.chances, u[:, 0].contiguous()).clamp(max=len(GOALS) - 1)
        low, high = SECONDS[goal].unbind(1)
        span = (20 * (low + (high - low) * u[:, 1])).long()
        # With nothing to hunt in sight a player chops, or wanders on for a while; a stuck one digs itself out.
        goal = torch.where(self.stuck > 30, torch.where(u[:, 14] < 0.5, DIG, WANDER), goal)
        lost &= ~choose
        chop = (self.goal != CHOP) & (u[:, 7] < (0.6 if self.habits.chop > 0 else 0.0))
        goal = torch.where(lost, torch.where(chop, CHOP, WANDER), goal)
        span = torch.where(lost, torch.where(chop, 120, 30), span)
        choose |= lost
        self.goal, self.until = torch.where(choose, goal, self.goal), torch.where(choose, now + span, self.until)
        self.stuck = torch.where(choose, 0, self.stuck)
        self.mob = torch.where(choose, -1, self.mob)
        self.has_block &= ~choose
        # While looking about, the gaze wanders on every second or so.
        again = choose | (u[:, 10] < torch.where(self.goal == LOOK, 0.06, 0.02)) & (self.goal <= WANDER)
        wide = torch.where(self.goal == WANDER, 120.0, 200.0)
        yaw = self.envs.state["yaw"] + (u[:, 11] - 0.5) * wide
        pitch = torch.where(self.goal == DIG, 15 + 65 * u[:, 12], -5 + 25 * u[:, 12])
        self.gaze = torch.where(again[:, None], torch.stack([pitch, yaw], 1), self.gaze)

    def _choose_mobs(self, s: dict[str, torch.Tensor], eyes: torch.Tensor, view: torch.Tensor) -> None:
        """The animal that is nearest, to the player and to the crosshair: a clone sees what it is after, and why."""
        offset = s["mob_position"] - eyes[:, None]
        distance = offset.norm(dim=2)
        aside = wrap(angles(offset)[:, :, 1] - view[:, 1:]).abs()
        there = (s["mob_kind"] > 0) & (s["mob_health"] > 0) & (distance < SIGHT) & (self.goal >= APPROACH)[:, None]
        cost = torch.where(there, distance + ASIDE * aside + SIGHT * (aside > VIEW), math.inf)
        best, slot = cost.min(1)
        self.mob = torch.where(best < math.inf, slot, -1)

    def _choose_logs(self, s: dict[str, torch.Tensor], eyes: torch.Tensor) -> None:
        """The nearest log around a player who chops, kept until it is gone."""
        voxels = s["voxels"]
        mask, height = voxels.shape[1] - 1, voxels.shape[3]
        x, y, z = self.block.unbind(1)
        there = voxels[self.everyone, x & mask, z & mask, y.clamp(0, height - 1)].long()
        self.has_block &= LOGS[there] & (self.goal == CHOP)
        rows = ((self.goal == CHOP) & ~self.has_block).nonzero().flatten()
        if len(rows) == 0:
            return
        box = torch.cartesian_prod(
            torch.arange(-SEARCH_XZ, SEARCH_XZ + 1),
            torch.arange(-SEARCH_DOWN, SEARCH_UP + 1),
            torch.arange(-SEARCH_XZ, SEARCH_XZ + 1),
        )
        feet = s["position"][rows].floor().long()
        places = feet[:, None] + box
        x, y, z = places.unbind(-1)
        logs = LOGS[voxels[rows[:, None], x & mask, z & mask, y.clamp(0, height - 1)].long()]
        logs &= (y >= 0) & (y < height)
        # Lower ones can be reached, so height counts twice.
        apart = (places + 0.5 - eyes[rows, None]) * torch.tensor([1.0, 2.0, 1.0])
        best, index = torch.where(logs, apart.norm(dim=2), math.inf).min(1)
        self.block[rows] = places[torch.arange(len(rows)), index]
        self.has_block[rows] = best < math.inf

    def _begin_slips(self, steady: torch.Tensor, now: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Throw the view aside and press a key, for some ticks -> bool [N], who slips; who is ``steady`` rarely does.

        Without that what a player is after would be in the picture's middle always, and a clone, which is not as exact,
        would never have seen how to get it there.
        """
        begins = (now >= self.slip_until) & (u[:, 13] < self.habits.slip / SLIP_TICKS * torch.where(steady, 0.1, 1.0))
        self.slip = torch.where(begins, (u[:, 14] * len(SLIPS)).long(), self.slip)
        turn = torch.stack([12 * u[:, 2] - 6, 20 * u[:, 3] - 10], 1)
        self.slip_turn = torch.where(begins[:, None], turn, self.slip_turn)
        self.slip_until = torch.where(begins, now + 1 + (2 * SLIP_TICKS * u[:, 15]).long(), self.slip_until)
        return now < self.slip_until
