"""The rebuilt message classes, each time in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.internal import api_implementation

from bridge.errors import UsageError
from bridge.unity import messages


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "importing prints nothing"
    return done.stdout


def test_messages_parse_in_c_and_environment_imports_without_a_warning() -> None:
    assert api_implementation.Type() == "upb"
    code = """
import bridge.unity
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto
from mlagents_envs.communicator_objects.command_pb2 import STEP, RESET
from mlagents_envs.communicator_objects.observation_pb2 import ObservationProto, NONE, PNG
message = UnityMessageProto()
message.header.status = 200
message.unity_input.rl_input.command = RESET
print(message.SerializeToString().hex(), STEP, RESET, NONE, PNG, UnityEnvironment.API_VERSION)
"""
    assert run(code).split() == ["0a0308c8011a040a022001", "0", "1", "0", "1", "1.5.0"]


def test_install_is_idempotent_and_gives_the_same_classes() -> None:
    code = """
import sys
from bridge.unity.messages import install
name = "mlagents_envs.communicator_objects.agent_info_pb2"
first = sys.modules[name].AgentInfoProto
install()
assert sys.modules[name].AgentInfoProto is first
from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto
assert AgentInfoProto is first
"""
    run(code)


def test_mlagents_logs_go_through_logging_only() -> None:
    code = """
import logging, bridge.unity
from mlagents_envs.logging_util import get_logger
for name, logger in logging.root.manager.loggerDict.items():
    if name.startswith("mlagents_envs"):
        assert not getattr(logger, "handlers", []), name
get_logger("mlagents_envs.anything").warning("said")
assert not get_logger("mlagents_envs.anything").handlers
logging.disable()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "", "mlagents-envs would print to the standard output"


def test_current_generated_files_are_left_alone(tmp_path: Path) -> None:
    current = tmp_path / "current_pb2.py"
    current.write_text("from google.protobuf.internal import builder as _builder\n")
    outdated = tmp_path / "outdated_pb2.py"
    outdated.write_text("from google.protobuf import reflection as _reflection\n")
    assert not messages._outdated([current])
    assert messages._outdated([current, outdated])


@pytest.mark.parametrize(
    "source",
    [
        "DESCRIPTOR = _descriptor.FileDescriptor(name='a', serialized_pb=_b('\\n\\x07a.proto'))",
        "DESCRIPTOR = _descriptor.FileDescriptor(name='a', serialized_pb=b'\\n\\x07a.proto')",
        "DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\\n\\x07a.proto')",
    ],
)
def test_descriptions_are_found_in_all_generations_of_generated_code(tmp_path: Path, source: str) -> None:
    file = tmp_path / "a_pb2.py"
    file.write_text(source)
    ((name, description),) = messages._described([file])
    assert (name, description.name) == ("a_pb2", "a.proto")


def test_files_come_after_what_they_need() -> None:
    def file(name: str, *needs: str) -> descriptor_pb2.FileDescriptorProto:
        return descriptor_pb2.FileDescriptorProto(name=name, dependency=needs)

    files = {"a": file("a.proto", "b.proto"), "b": file("b.proto", "c.proto"), "c": file("c.proto", "any.proto")}
    assert list(messages._in_order(files)) == ["c", "b", "a"]


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install mlagents-envs"):
        messages.install()
