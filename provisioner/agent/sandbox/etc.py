"""The files that a sandbox has under /etc: its one user, its names, and how its sshd behaves.

Everything is generated or hand-picked, so that nothing of the host's own accounts and settings shows. It must never
hold what another lease wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from provisioner.agent.devices import STUB_VARIABLE, stub_setting
from provisioner.agent.sandbox.spec import MIB, SandboxSpec

USER = "gpu"
USER_ID = 1000
HOME = f"/home/{USER}"
STUB_FOLDER = "/opt/hourbook/lib"
MOTD = "motd"
KEY_FILE = "ssh/host_ed25519_key"
# A passphrase typed or a security key touched is part of the login: less would cut people off.
LOGIN_GRACE_S = 30
CLIENT_ALIVE_S = 30
SESSIONS_PER_CONNECTION = 64

# Taken from the host as they are: linker, alternatives, certificates and tables that hold nothing of the host's own.
HOST_FILES = (
    "OpenCL",
    "alternatives",
    "bindresvport.blacklist",
    "ca-certificates",
    "ca-certificates.conf",
    "fonts",
    "gai.conf",
    "glvnd",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "magic",
    "mime.types",
    "netconfig",
    "pki/ca-trust",
    "pki/tls/certs",
    "protocols",
    "rpc",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "vulkan",
)
LINKS = {"mtab": "/proc/self/mounts", "os-release": "../usr/lib/os-release"}

PROFILE = """\
export PATH=/usr/local/cuda/bin:/usr/local/nvidia/bin:/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games
if [ -n "${BASH_VERSION-}" ]; then PS1='\\u@\\h:\\w\\$ '; fi
"""

SSHD_CONFIG = """\
HostKey /etc/{key_file}
AuthorizedKeysFile /etc/ssh/authorized_keys
AllowUsers {user}
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
HostbasedAuthentication no
PermitRootLogin no
UsePAM no
StrictModes yes
PidFile none
UseDNS no
PrintMotd yes
PrintLastLog no
X11Forwarding no
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
AllowAgentForwarding yes
GatewayPorts no
PermitTunnel no
PermitUserEnvironment no
AcceptEnv LANG LC_*
LoginGraceTime {login_grace_s}
MaxSessions {sessions}
TCPKeepAlive no
ClientAliveInterval {client_alive_s}
ClientAliveCountMax 4
LogLevel ERROR
Subsystem sftp internal-sftp
SetEnv {environment}
"""


def session_environment(spec: SandboxSpec) -> dict[str, str]:
    """What every session of the lease finds in its environment."""
    visible = ",".join(gpu.uuid for gpu in spec.gpus)
    environment = {
        "LANG": "C.UTF-8",
        "HOURBOOK_LEASE": spec.lease_id,
        "CUDA_VISIBLE_DEVICES": visible,
        "NVIDIA_VISIBLE_DEVICES": visible,
    }
    if spec.simulated:
        environment["HOURBOOK_SIMULATED"] = "1"
        environment["LD_LIBRARY_PATH"] = STUB_FOLDER
        environment[STUB_VARIABLE] = stub_setting(spec.gpus)
    return environment


def files(
    spec: SandboxSpec, unenforced: Sequence[str], sshd_helpers: Mapping[str, str], *, again: str = ""
) -> dict[str, str]:
    """Path below /etc to content; `unenforced` names the limits that this host can't keep, which the tenant is told.

    `sshd_helpers` are settings for an sshd that doesn't stand where it was built for. again: why it starts again, if it does.
    """
    environment = " ".join(f'"{name}={value}"' for name, value in session_environment(spec).items())
    helpers = "".join(f"{name} {path}\n" for name, path in sshd_helpers.items())
    return {
        "passwd": f"{USER}:*:{USER_ID}:{USER_ID}:renter:{HOME}:/bin/bash\nnobody:*:65534:65534:nobody:/:/usr/sbin/nologin\n",
        # No group "tty": sshd would give it each terminal, and the lease's user namespace has no such group.
        "group": f"{USER}:*:{USER_ID}:\nnogroup:*:65534:\n",
        "hostname": f"{spec.lease_id}\n",
        "hosts": f"127.0.0.1 localhost\n127.0.1.1 {spec.lease_id}\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n",
        "resolv.conf": "# A lease has no network but its loopback: there is nothing to ask.\n",
        "shells": "/bin/sh\n/bin/bash\n",
        "profile": PROFILE,
        "bash.bashrc": PROFILE,
        MOTD: motd(spec, unenforced, again=again),
        "ssh/authorized_keys": "".join(f"{key}\n" for key in spec.authorized_keys),
        "ssh/sshd_config": helpers
        + SSHD_CONFIG.format(
            key_file=KEY_FILE,
            user=USER,
            login_grace_s=LOGIN_GRACE_S,
            sessions=SESSIONS_PER_CONNECTION,
            client_alive_s=CLIENT_ALIVE_S,
            environment=environment,
        ),
    }


def host_bindings() -> list[tuple[Path, str]]:
    """(on the host, in the sandbox) of each hand-picked part of the host's /etc that is there."""
    return [(Path("/etc") / name, f"/etc/{name}") for name in HOST_FILES if (Path("/etc") / name).exists()]


def motd(spec: SandboxSpec, unenforced: Sequence[str], *, again: str = "") -> str:
    """What a renter reads who logs in; `again`: why it all began again, if it did."""
    gpus = ", ".join(f"{gpu.sku or gpu.name} (/dev/nvidia{gpu.minor})" for gpu in spec.gpus)
    limits = spec.limits
    lines = [
        f"Lease {spec.lease_id}: {gpus}.",
        *(["These GPUs are SIMULATED: they compute nothing."] if spec.simulated else []),
        f"{limits.processes} processes, {limits.connections} connections, {limits.memory_bytes // MIB} MiB of memory.",
        f"Of it: home {limits.home_bytes // MIB}, temporary {limits.tmp_bytes // MIB}, shared {limits.shm_bytes // MIB}.",
        *([f"This host has no means to keep: {', '.join(unenforced)}."] if unenforced else []),
        *([f"It was STARTED AGAIN, and what was in it is gone: {again}."] if again else []),
        "All files are in memory, and are wiped when the lease ends. No network but loopback.",
    ]
    return "\n".join(lines) + "\n"
