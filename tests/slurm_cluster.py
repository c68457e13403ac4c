"""A real SLURM of one node on loopback: Debian's slurm-wlm and munge, started for the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
SBIN = ("/usr/sbin", "/usr/local/sbin")

CONF = """
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={other}
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
AuthType=auth/munge
# a requeued job waits until its credential has expired: 120 s, if nothing else is said
AuthInfo=socket={folder}/munge.socket,cred_expire=15
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmUser=root
SlurmdUser=root
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=5
InactiveLimit=0
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
"""


def lacking() -> str | None:
    """Return why there can be no SLURM here; None: there can."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SBIN])
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        return f"no {', '.join(missing)}: apt-get install --no-install-recommends slurm-wlm munge"
    return None if os.geteuid() == 0 else "SLURM's daemons run jobs as other users: needs root"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _end(pid_file: Path) -> None:
    with suppress(OSError, ValueError):
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        for _ in range(100):
            os.kill(pid, 0)
            time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)


@contextmanager
def cluster(folder: Path, cpus: int = 4) -> Iterator[dict[str, str]]:
    """Start a SLURM; return what the environment must hold for its commands."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    host = socket.gethostname()
    conf = folder / "slurm.conf"
    conf.write_text(
        CONF.format(host=host, folder=folder, cpus=cpus, port=_free_port(), other=_free_port())
    )
    environment = {"SLURM_CONF": str(conf)}
    path = os.pathsep.join([os.environ.get("PATH", ""), *SBIN])
    run = {"env": {**os.environ, **environment, "PATH": path}, "check": True}
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    sockets = ["--key-file", str(key), "--socket", str(folder / "munge.socket")]
    sockets += ["--pid-file", str(folder / "munged.pid"), "--log-file", str(folder / "munged.log")]
    sockets += ["--seed-file", str(folder / "munged.seed"), "--force"]
    try:
        subprocess.run(["munged", *sockets], **run, capture_output=True)
        subprocess.run(["slurmctld", "-f", str(conf)], **run, capture_output=True)
        subprocess.run(["slurmd", "-f", str(conf)], **run, capture_output=True)
        for _ in range(300):
            state = subprocess.run(
                ["sinfo", "-h", "-o", "%T"], **{**run, "check": False}, capture_output=True
            ).stdout
            if b"idle" in state:
                break
            time.sleep(0.1)
        else:
            logs = [p.read_text()[-500:] for p in folder.glob("*.log")]
            raise AssertionError(f"SLURM did not start: {state!r} {logs}")
        yield environment
    finally:
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["scancel", "-u", "root"], **{**run, "check": False}, timeout=10)
        for name in ("slurmd", "slurmctld", "munged"):
            _end(folder / f"{name}.pid")
