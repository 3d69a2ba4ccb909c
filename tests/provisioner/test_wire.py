"""The agents' protocol: every message survives its text, and nothing unknown is let through."""

from __future__ import annotations

import msgspec
import pytest

from provisioner import wire

GPU = wire.Gpu(
    uuid="GPU-1", index=0, name="NVIDIA H100 80GB HBM3", memory_mib=81_559, sku="H100-SXM5-80GB", healthy=True
)
REPORT = wire.LeaseReport(
    lease_id="lse_1", generation=1, state=wire.SandboxState.RUNNING, host_key="ssh-ed25519 AAAA", gpus=["GPU-1"]
)
SPEC = wire.LeaseSpec(
    lease_id="lse_1", generation=1, gpus=["GPU-1"], authorized_keys=["ssh-ed25519 AAAA"], paid_until_ns=1
)
FROM_AGENT = [
    wire.Enroll(protocol=wire.PROTOCOL, token="hbe_x", agent_version="1"),
    wire.Hello(protocol=wire.PROTOCOL, agent_version="1", simulated=True, driver_version="550", gpus=[GPU]),
    wire.Heartbeat(leases=[REPORT], unhealthy_gpus=[]),
    wire.DialFailed(connection_id="c", detail="gone"),
]
FROM_MONARCH = [
    wire.Enrolled(baron_id="brn_1", credential="hba_x"),
    wire.Refused(code="bad_token", detail="ask for another"),
    wire.Welcome(baron_id="brn_1", verified_gpus=8),
    wire.Desired(leases=[SPEC], forget=["lse_0"]),
    wire.Dial(connection_id="c", lease_id="lse_1", token="t"),
]


@pytest.mark.parametrize("message", FROM_AGENT, ids=lambda message: type(message).__name__)
def test_what_an_agent_says(message: wire.AgentMessage) -> None:
    assert wire.decode_agent(wire.encode(message)) == message


@pytest.mark.parametrize("message", FROM_MONARCH, ids=lambda message: type(message).__name__)
def test_what_monarch_says(message: wire.MonarchMessage) -> None:
    assert wire.decode_monarch(wire.encode(message)) == message


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b'{"type":"welcome","baron_id":"b","verified_gpus":1}',
        b'{"type":"dial_failed","connection_id":"c","detail":"d","more":1}',
        b'{"type":"dial_failed","connection_id":1,"detail":"d"}',
        b'{"type":"heartbeat","leases":[{"lease_id":"l","generation":1,"state":"dreaming"}],"unhealthy_gpus":[]}',
        b'{"type":"heartbeat","leases":[{"lease_id":"l","generation":1,"state":"failed","renter_fault":1}],"unhealthy_gpus":[]}',
        b'\xff{"type":"heartbeat"}',
    ],
)
def test_what_no_agent_may_say(text: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        wire.decode_agent(text)


@pytest.mark.parametrize(
    ("name", "memory_mib", "sku"),
    [
        ("NVIDIA H100 80GB HBM3", 81_559, "H100-SXM5-80GB"),
        ("NVIDIA H100 80GB HBM3", 81_920, "H100-SXM5-80GB"),
        ("NVIDIA H100 80GB HBM3", 40_000, ""),
        ("NVIDIA H100 PCIe", 81_559, "H100-PCIE-80GB"),
        ("NVIDIA H200", 143_771, "H200-SXM5-141GB"),
        ("NVIDIA H200 NVL", 143_771, ""),
        ("NVIDIA A100-SXM4-80GB", 81_920, ""),
        ("NVIDIA GeForce RTX 3090", 24_564, ""),
        ("", 0, ""),
    ],
)
def test_the_sku_is_verified_by_name_and_memory(name: str, memory_mib: int, sku: str) -> None:
    assert wire.sku_of(name, memory_mib) == sku
