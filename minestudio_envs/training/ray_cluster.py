"""The Ray cluster that a run is on: found, or started so that it outlives the script, and ended again."""

import contextlib
import fcntl
import hashlib
import inspect
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.experimental import internal_kv
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

logger = logging.getLogger("ppo_vpt")

PID_KEY = b"ppo_vpt_ray_pid"  # in the cluster's own store: of the process that started it, if it was one of ours
HTTP2_SETTINGS = b"\4"  # the kind of the frame that a gRPC server begins with, as Ray's is one
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0" + HTTP2_SETTINGS + bytes(5)  # RFC 9113, section 3.4


class PartyError(RuntimeError):
    """A party of the run failed or was waited for in vain; the message names it."""


def connect(address: str | None, namespace: str, cores: int, outlive: bool) -> bool:
    """Join the Ray cluster at `address` ("auto": the one of this machine); None: that one if there is one, else start
    one here with so many CPU cores. -> whether one was started.

    outlive: a cluster started here goes on when this process ends. Raises PartyError if no cluster answers.
    """
    if ray.is_initialized():
        return False
    options = {"namespace": namespace, "logging_level": logging.WARNING}
    address = address or os.environ.get("RAY_ADDRESS")
    if address not in (None, "auto", "local"):
        check_answers(address)
        ray.init(address, **options)
        return False
    if address != "local" and running_cluster():
        ray.init("auto", **options)
        return False
    if address == "auto":
        raise PartyError("no Ray cluster runs on this machine: start one with ray start --head")
    os.environ.setdefault("RAY_worker_niceness", "0")  # with Ray's 15 all else on this machine would go first
    if outlive and address is None:
        start(cores, options)
    else:
        ray.init("local", num_cpus=cores, include_dashboard=False, **options)
    return True


def running_cluster() -> str | None:
    """Address of the cluster that was last started or joined on this machine, if it still runs.

    Ray notes the address in a file, and after a kill would wait for that cluster for minutes.
    """
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    file = Path(folder) / "ray" / "ray_current_cluster"
    try:
        address = file.read_text().strip()
        check_answers(address)
        return address
    except (OSError, PartyError):
        return None


def check_answers(address: str) -> None:
    """Ray itself would wait for an answer for minutes, or for ever if another program listens there."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5.0) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(HTTP2_PREFACE)
                if connection.recv(4)[3:] != HTTP2_SETTINGS:
                    raise OSError("what listens there is not Ray")
    except (OSError, ValueError, OverflowError) as error:
        raise PartyError(f"no Ray cluster answers at {address} ({error}): start one with ray start --head") from None


def start(cores: int, options: dict[str, Any]) -> None:
    """Start Ray on this machine in processes of their own, and join it."""
    ip = ray.util.get_node_ip_address()
    with socket.socket() as free:
        free.bind((ip, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--head", "--block"]
    command += [f"--node-ip-address={ip}", f"--port={port}", f"--num-cpus={cores}", "--include-dashboard=false"]
    with tempfile.TemporaryFile() as output:
        files = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        process = subprocess.Popen([*command, "--disable-usage-stats"], start_new_session=True, **files)
        while process.poll() is None:
            time.sleep(0.2)
            output.seek(0)
            if b"Ray runtime started" in output.read():
                ray.init("auto", **options)  # not the address: only so Ray uses its token of this machine
                internal_kv._internal_kv_put(PID_KEY, str(process.pid).encode())
                logger.info("started Ray on this machine; --stop ends it")
                return
        output.seek(0)
        raise PartyError(f"Ray does not start:\n{output.read().decode()[-2000:]}")


def end() -> bool:
    """Leave the cluster, and end it if `start` started it and no other actors are in it -> whether it was ended."""
    pid = internal_kv._internal_kv_get(PID_KEY)
    others = ray.util.list_named_actors(all_namespaces=True)
    ray.shutdown()
    if not pid or others:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(pid), signal.SIGTERM)
        for _ in range(60):
            time.sleep(0.5)
            os.kill(int(pid), 0)
        os.killpg(int(pid), signal.SIGKILL)
    return True


def here() -> str:
    """The id of this process's node."""
    return ray.get_runtime_context().get_node_id()


def alive_nodes() -> set[str]:
    """The ids of the nodes that are not known to be dead."""
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def on_node(node: str, soft: bool = False) -> NodeAffinitySchedulingStrategy:
    """For actors that must (soft: that should) be on this node."""
    return NodeAffinitySchedulingStrategy(node, soft=soft)


def interface(ip: str) -> str:
    """The network interface that has this IPv4 address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # SIOCGIFADDR; those without an address
                answer = fcntl.ioctl(sock, 0x8915, struct.pack("256s", name.encode()))
                if socket.inet_ntoa(answer[20:24]) == ip:
                    return name
    raise PartyError(f"no network interface of {socket.gethostname()} has Ray's address {ip}")


def fingerprint(name: str, function: Callable) -> str:
    """Of a function that other processes are to call. Raises PartyError if it cannot be sent to them."""
    if not callable(function):
        raise PartyError(f"{name} must be a function that takes nothing, not {function!r}")
    try:
        ray.cloudpickle.dumps(function)  # not the same each time
    except Exception as error:  # whatever an object's own pickling raises
        raise PartyError(
            f"{name} cannot be sent to other processes ({type(error).__name__}: {error}): make what it uses inside it"
        ) from None
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):  # typed in, or no plain function
        source = repr(getattr(function, "__code__", function))
    with contextlib.suppress(OSError, TypeError):  # what else its file has, it may use
        source += hashlib.sha256(Path(inspect.getfile(function)).read_bytes()).hexdigest()
    given = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    given += [
        getattr(function, "__defaults__", None),
        getattr(function, "args", None),
        getattr(function, "keywords", None),
    ]
    return hashlib.sha256(f"{source} {given}".encode()).hexdigest()
