"""All of it works for a Baron who isn't root. Run by root, the test becomes `nobody` first."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.provisioner.agent.conftest import ROOT

NOBODY = 65534

# Shows the given paths to every user, in a mount namespace of its own, where directories above them are closed:
# each closed directory is covered by an open one that holds only those paths. Then becomes another user.
# Arguments: UID, PATH CLOSED_ANCESTOR..., --, COMMAND...
OPEN_UP = """
set -eu
uid=$1; shift
pairs=""; count=0
mount -t tmpfs -o mode=0755 stage /mnt
while [ "$1" != -- ]; do
    mkdir "/mnt/$count"; mount --bind "$1" "/mnt/$count"
    pairs="$pairs $count:$1:$2"; count=$((count + 1)); shift 2
done
shift
covered=""
for pair in $pairs; do
    number=${pair%%:*}; rest=${pair#*:}; path=${rest%%:*}; closed=${rest#*:}
    case " $covered " in *" $closed "*) ;; *) mount -t tmpfs -o mode=0755 open "$closed"; covered="$covered $closed";; esac
    mkdir -p "$path"; mount --bind "/mnt/$number" "$path"
done
umount -R /mnt
exec setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all -- "$@"
"""


def closed_ancestor(path: Path) -> Path | None:
    return next((parent for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001), None)


def as_ordinary_user(command: list[str]) -> list[str]:
    if os.geteuid() != 0:
        return command
    needed = {ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
    pairs = [(path, closed_ancestor(path)) for path in sorted(needed)]
    words = [str(word) for path, closed in pairs if closed is not None for word in (path, closed)]
    enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", OPEN_UP, "open-up", str(NOBODY)]
    return [*enter, *words, "--", *command]


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A home that the ordinary user owns and can reach: pytest's own directories are closed to it."""
    path = Path(tempfile.mkdtemp(prefix="hourbook-baron-"))
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    yield path
    shutil.rmtree(path)


def test_an_ordinary_users_sandboxes(open_home: Path) -> None:
    python = str(Path(sys.prefix) / "bin" / "python")
    done = subprocess.run(
        as_ordinary_user([python, "-m", "tests.provisioner.agent.ordinary", str(open_home)]),
        cwd=ROOT,
        env={**os.environ, "HOME": str(open_home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["uid"] == (NOBODY if os.geteuid() == 0 else os.geteuid())
    assert report["said"] == [f"1000\nlease-{minor}\n/dev/nvidia{minor}\n0" for minor in (0, 1)]
    assert report["left"] == []
    # What this user can't bound is said, not passed over.
    if os.geteuid() == 0:
        assert report["unenforced"] == ["memory_bytes"]
