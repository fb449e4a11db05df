"""Programs that call the bridge's port as a player does."""

from __future__ import annotations

import grpc
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto

from bridge.unity.communicator import SERVICE


class Peer:
    """A player that calls in a thread of its own. Each object has a connection of its own."""

    def __init__(self, port: int) -> None:
        # Without the option, gRPC lets channels of one process share a connection.
        self._channel = grpc.insecure_channel(f"localhost:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
        self._call = self._channel.unary_unary(
            f"/{SERVICE}/Exchange",
            request_serializer=UnityMessageProto.SerializeToString,
            response_deserializer=UnityMessageProto.FromString,
        )

    def start(self, name: str = "", status: int = 200) -> grpc.Future:
        message = UnityMessageProto()
        message.header.status = status
        message.unity_output.rl_initialization_output.name = name
        return self._call.future(message, wait_for_ready=True, timeout=5)

    def close(self) -> None:
        self._channel.close()
