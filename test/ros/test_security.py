# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Who may reach the node: SROS 2 with the node's own policy, and the folder of checkpoints."""

from __future__ import annotations

import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")

from node_harness import NODE_ENVIRONMENT, message_of, picture, running, start_node
from small_checkpoint import write_vit_s_checkpoint

from t2g_ros.model_swap import refuse_elsewhere
from t2g_ros.policy import policy_of
from t2g_ros.srv import LoadCheckpoint

MISSING = "doesn't have the security libraries"
GOVERNANCE = """<dds><domain_access_rules><domain_rule>
<domains><id_range><min>0</min><max>230</max></id_range></domains>
<allow_unauthenticated_participants>false</allow_unauthenticated_participants>
<enable_join_access_control>true</enable_join_access_control>
<discovery_protection_kind>ENCRYPT</discovery_protection_kind>
<liveliness_protection_kind>ENCRYPT</liveliness_protection_kind>
<rtps_protection_kind>SIGN</rtps_protection_kind>
<topic_access_rules><topic_rule><topic_expression>*</topic_expression>
<enable_discovery_protection>true</enable_discovery_protection>
<enable_liveliness_protection>true</enable_liveliness_protection>
<enable_read_access_control>true</enable_read_access_control>
<enable_write_access_control>true</enable_write_access_control>
<metadata_protection_kind>ENCRYPT</metadata_protection_kind>
<data_protection_kind>ENCRYPT</data_protection_kind>
</topic_rule></topic_access_rules></domain_rule></domain_access_rules></dds>
"""
# Publishes images for some seconds, and prints how many masks have come back.
PARTNER = """
import sys, time
import rclpy
from node_harness import message_of, picture
from sensor_msgs.msg import Image
rclpy.init(args=sys.argv)
node, masks = rclpy.create_node("partner"), []
try:
    images = node.create_publisher(Image, "/camera/image_raw", 5)
    node.create_subscription(Image, "/segmenter/mask", masks.append, 5)
except Exception as error:
    print("refused", type(error).__name__)
    sys.exit()
begin = time.time()
while time.time() - begin < float(SECONDS) and len(masks) < 3:
    images.publish(message_of(picture(0), time.time()))
    rclpy.spin_once(node, timeout_sec=0.1)
print("masks", len(masks))
"""


def openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


def permissions_of(policy: str, enclave: str) -> str:
    """An SROS 2 policy as DDS has it, and as sros2 writes it: ROS names with their prefixes."""
    rules = {"publish": [], "subscribe": []}
    profile = ET.fromstring(policy).find("enclaves/enclave/profiles/profile")
    for topics in profile.findall("topics"):
        for right in ("publish", "subscribe"):
            if topics.get(right) == "ALLOW":
                rules[right] += [f"rt{topic.text}" for topic in topics]
    for services in profile.findall("services"):
        names = [service.text for service in services]
        rules["subscribe"] += [f"rq{name}Request" for name in names]
        rules["publish"] += [f"rr{name}Reply" for name in names]
    parts = []
    for right, topics in rules.items():
        listed = "".join(f"<topic>{topic}</topic>" for topic in (*topics, "ros_discovery_info"))
        parts.append(f"<{right}><topics>{listed}</topics></{right}>")
    return f"""<dds><permissions><grant name="{enclave}"><subject_name>CN={enclave}</subject_name>
<validity><not_before>2020-01-01T00:00:00</not_before><not_after>2120-01-01T00:00:00</not_after>
</validity><allow_rule><domains><id_range><min>0</min><max>230</max></id_range></domains>
{"".join(parts)}</allow_rule><default>DENY</default></grant></permissions></dds>
"""


def policy_with(publish: str, subscribe: str) -> str:
    """Of a partner: its own parameter services and logs are left out, which it does without."""
    return f"""<policy version="0.2.0"><enclaves><enclave path="/x"><profiles>
<profile ns="/" node="partner"><topics publish="ALLOW"><topic>{publish}</topic>
<topic>/rosout</topic><topic>/parameter_events</topic></topics>
<topics subscribe="ALLOW"><topic>{subscribe}</topic></topics>
<services reply="ALLOW">{"".join(f"<service>/partner/{name}</service>" for name in SERVICES)}
</services></profile></profiles></enclave></enclaves></policy>"""


SERVICES = [
    "describe_parameters",
    "get_parameter_types",
    "get_parameters",
    "list_parameters",
    "set_parameters",
    "set_parameters_atomically",
    "get_type_description",
]


@pytest.fixture(scope="module")
def keystore(tmp_path_factory) -> Path:
    """One authority, and three enclaves: the node's, a camera's, and a stranger's."""
    root = tmp_path_factory.mktemp("keystore")
    new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    openssl(
        root,
        f"req -x509 {new} -days 3650 -subj /CN=authority -keyout ca.key.pem -out ca.cert.pem",
    )
    cert, key = "../../ca.cert.pem", "../../ca.key.pem"
    policies = {
        "/segmenter": policy_of(["image:=/camera/image_raw"]),
        "/camera": policy_with("/camera/image_raw", "/segmenter/mask"),
        "/stranger": policy_with("/other/image_raw", "/segmenter/mask"),
    }
    for enclave, policy in policies.items():
        folder = root / "enclaves" / enclave[1:]
        folder.mkdir(parents=True)
        subject = f"/CN=\\{enclave}"  # the name begins with a slash
        openssl(folder, f"req -new {new} -subj {subject} -keyout key.pem -out cert.csr")
        signed = f"-CA {cert} -CAkey {key} -CAcreateserial -days 3650"
        openssl(folder, f"x509 -req -in cert.csr {signed} -out cert.pem")
        documents = {"governance": GOVERNANCE, "permissions": permissions_of(policy, enclave)}
        for name, text in documents.items():
            (folder / f"{name}.xml").write_text(text)
            files = f"-in {name}.xml -out {name}.p7s"
            openssl(folder, f"smime -sign -text {files} -signer {cert} -inkey {key}")
        for name in ("identity_ca", "permissions_ca"):
            (folder / f"{name}.cert.pem").write_bytes((root / "ca.cert.pem").read_bytes())
    return root


def secured(keystore: Path) -> dict[str, str]:
    return NODE_ENVIRONMENT | {
        "ROS_SECURITY_ENABLE": "true",
        "ROS_SECURITY_STRATEGY": "Enforce",
        "ROS_SECURITY_KEYSTORE": str(keystore),
        "PYTHONPATH": ":".join(sys.path),
    }


def partner(environment: dict[str, str], seconds: float, *words: str) -> str:
    """What a process that publishes images says in the end."""
    code = PARTNER.replace("SECONDS", str(seconds))
    ended = subprocess.run([sys.executable, "-c", code, *words], env=environment, timeout=90,
                           capture_output=True, text=True, check=False)  # fmt: skip
    return ended.stdout + ended.stderr


def test_only_the_cameras_own_images_are_heard(tmp_path, keystore):
    environment = secured(keystore)
    checkpoint, log = tmp_path / "small.safetensors", tmp_path / "log.txt"
    said = partner(environment, 0.1, "--ros-args", "--enclave", "/camera")
    if MISSING in said:
        pytest.skip(f"this Fast DDS {MISSING}")
    write_vit_s_checkpoint(checkpoint)
    process = start_node(
        log, "__node:=segmenter", environment=environment, enclave="/segmenter",
        checkpoint=checkpoint, device="cpu",
    )  # fmt: skip
    try:
        end_s = time.monotonic() + 60
        while "images are awaited" not in log.read_text() and process.poll() is None:
            assert time.monotonic() < end_s, log.read_text()
            time.sleep(0.1)
        assert process.poll() is None, log.read_text()
        stranger = partner(environment, 6.0, "--ros-args", "--enclave", "/stranger")
        assert "masks 0" in stranger or "refused" in stranger
        unknown = partner(NODE_ENVIRONMENT | {"PYTHONPATH": ":".join(sys.path)}, 6.0)
        assert "masks 0" in unknown
        camera = partner(environment, 30.0, "--ros-args", "--enclave", "/camera")
        assert "masks 3" in camera, log.read_text() + camera
    finally:
        process.terminate()
        assert process.wait(timeout=10.0) == 0, log.read_text()


def test_a_keystore_without_the_nodes_enclave_is_said(tmp_path, keystore):
    log = tmp_path / "log.txt"
    process = start_node(log, environment=secured(keystore), enclave="/nobody")
    assert process.wait(timeout=30.0) == 1
    assert "cannot start" in log.read_text() and "nobody" in log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("checkpoint", "folder", "secure", "refused"),
    [
        ("", "", True, False),
        ("/models/a.safetensors", "", False, False),
        ("/models/a.safetensors", "", True, True),
        ("/models/a.safetensors", "/models", True, False),
        ("/models/sub/../a.safetensors", "/models", False, False),
        ("/models/../etc/passwd", "/models", False, True),
        ("/modelsandmore/a.safetensors", "/models", False, True),
        ("a.safetensors", "/models", False, True),
    ],
)
def test_checkpoints_are_taken_from_their_folder(monkeypatch, checkpoint, folder, secure, refused):
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true" if secure else "false")
    if not refused:
        refuse_elsewhere(checkpoint, folder)
        return
    with pytest.raises(PermissionError, match="checkpoint_folder"):
        refuse_elsewhere(checkpoint, folder)


def test_a_link_out_of_the_folder_is_followed_before_it_is_judged(tmp_path):
    folder, outside = tmp_path / "models", tmp_path / "secret"
    folder.mkdir()
    outside.write_bytes(b"")
    (folder / "link").symlink_to(outside)
    with pytest.raises(PermissionError, match="does not lie in checkpoint_folder"):
        refuse_elsewhere(str(folder / "link"), str(folder))


def test_the_service_says_so(tmp_path):
    checkpoint, folder = tmp_path / "small.safetensors", tmp_path / "models"
    write_vit_s_checkpoint(checkpoint)
    folder.mkdir()
    other = folder / "other.safetensors"
    write_vit_s_checkpoint(other, clip_length=2)
    with running(tmp_path, checkpoint, checkpoint_folder=folder) as harness:

        def load(path: Path):
            request = LoadCheckpoint.Request(checkpoint=str(path))
            return harness.call(LoadCheckpoint, "load_checkpoint", request)

        answer = load(checkpoint)
        assert not answer.success and "does not lie in checkpoint_folder" in answer.message
        harness.segment(message_of(picture(0), 1.0))
        assert load(other).success
