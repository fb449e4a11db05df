"""The Python end of the wire: a gRPC server that one player on this machine talks to.

It stands in for `mlagents_envs.rpc_communicator.RpcCommunicator` and differs from it where that one is unsafe or slow:

- it listens on the loopback addresses only, and shares its port with nobody (no SO_REUSEPORT);
- the first peer is the player; whoever else calls is refused;
- messages are handed over by reference, not pickled through a pipe, and may have any size (gRPC's default is 4 MiB);
- `send` and `receive` are apart, so that the caller can work while the engine computes;
- every wait is bounded, and a dead player is noticed within `POLL_SECONDS`;
- its threads are daemons: a program that forgot to close still ends.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence

import grpc
from google.protobuf.message import DecodeError
from mlagents_envs.communicator import Communicator
from mlagents_envs.communicator_objects.unity_input_pb2 import UnityInputProto
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto
from mlagents_envs.communicator_objects.unity_output_pb2 import UnityOutputProto

from bridge.threads import DaemonExecutor

POLL_SECONDS = 0.1
CLOSE_SECONDS = 1.0
#: One waits with the player for its reply, the others turn strangers away.
THREADS = 4
#: How many ports are tried, from the default port upwards.
PORTS_TRIED = 512
OK, STOP = 200, 400  # header status, as in HTTP
SERVICE = "communicator_objects.UnityToExternalProto"
OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)


class PortInUseError(Exception):
    """Somebody else listens on the port."""


class NoAddressError(Exception):
    """This machine has no such address."""


class NoAnswerError(Exception):
    """The player said nothing for the whole timeout. It may still answer, too late: kill it."""


class PlayerStoppedError(Exception):
    """The player announced its end, its connection broke, or it speaks something else. The message says which."""


class LoopbackCommunicator(Communicator):  # type: ignore[misc]
    """Serves one player on one port of the loopback interface.

    Args:
        port: 1 to 65535.
        timeout: seconds that `receive` waits for the player at most.
        listen: one more address of this machine, through which a player elsewhere may connect.

    Raises:
        PortInUseError: the port is taken on one of the addresses.
        NoAddressError: `listen` is no address of this machine.
    """

    def __init__(self, port: int, timeout: float, listen: str | None = None) -> None:
        self.port = port
        self.timeout = timeout
        self.peer: str | None = None
        self._received: queue.SimpleQueue[UnityMessageProto | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[UnityMessageProto] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._call: grpc.ServicerContext | None = None  # the player's call that waits for a reply
        self._closed = False
        addresses = [address for address in _addresses(listen) if _is_free(address, port)]
        if listen is not None and listen not in addresses:
            raise NoAddressError(listen)
        self._executor = DaemonExecutor(THREADS, "unity-bridge")
        try:
            self._server = self._listen(addresses, port)
        except BaseException:
            self._executor.shutdown()
            raise

    def _listen(self, addresses: Sequence[str], port: int) -> grpc.Server:
        server = grpc.server(self._executor, options=OPTIONS)
        handler = grpc.unary_unary_rpc_method_handler(
            self._exchange_call, response_serializer=UnityMessageProto.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Exchange": handler}),))
        try:
            for address in addresses:
                # The player connects to "localhost", which may be either address.
                if server.add_insecure_port(f"[{address}]:{port}" if ":" in address else f"{address}:{port}") == 0:
                    raise PortInUseError(port)
        except RuntimeError as error:  # taken since we looked
            raise PortInUseError(port) from error
        server.start()
        return server

    def _exchange_call(self, request: bytes, context: grpc.ServicerContext) -> UnityMessageProto:
        """One call of a player; in a thread of its own, which waits for the reply. Strangers' bytes are not parsed."""
        with self._lock:
            refused = self._closed or self._call is not None or self.peer not in (None, context.peer())
            if not refused:
                self.peer = context.peer()
                self._call = context
        if refused:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "this port serves another player.")
        try:
            self._received.put(UnityMessageProto.FromString(request))
        except DecodeError:
            self._received.put(None)
        return self._replies.get()

    def send(self, inputs: UnityInputProto) -> None:
        """Answers the player's waiting call.

        Raises:
            PlayerStoppedError: the call is broken: the player is gone.
        """
        message = UnityMessageProto()
        message.header.status = OK
        message.unity_input.CopyFrom(inputs)
        with self._lock:
            if self._call is None or not self._call.is_active():
                raise PlayerStoppedError("is gone")
            self._call = None
        self._replies.put(message)

    def receive(self, poll: Callable[[], None] | None = None) -> UnityOutputProto:
        """Waits for the player's next call.

        Args:
            poll: asked every `POLL_SECONDS` while waiting; it raises when the player is dead.

        Raises:
            NoAnswerError: nothing came within the timeout.
            PlayerStoppedError: the player says that it ends, or sent garbage.
        """
        deadline = time.monotonic() + self.timeout
        while True:
            left = deadline - time.monotonic()
            try:
                message = self._received.get(timeout=max(0.0, min(POLL_SECONDS, left)))
                break
            except queue.Empty:
                if left <= 0:
                    raise NoAnswerError from None
            if self._closed:
                raise PlayerStoppedError("was closed while it was waited for")
            if poll is not None and self._received.empty():
                poll()
        if message is None:
            raise PlayerStoppedError("sent bytes that are no ML-Agents message")
        if message.header.status != OK:
            raise PlayerStoppedError("ended the run")
        return message.unity_output

    def exchange(self, inputs: UnityInputProto, poll_callback: Callable[[], None] | None = None) -> UnityOutputProto:
        """`send`, then `receive`."""
        self.send(inputs)
        return self.receive(poll_callback)

    def close(self) -> None:
        """Tells the player to leave, and stops listening. Idempotent; takes at most `CLOSE_SECONDS`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            waiting = self._call is not None
        if waiting:
            message = UnityMessageProto()
            message.header.status = STOP
            self._replies.put(message)
        self._server.stop(CLOSE_SECONDS if waiting else None).wait(CLOSE_SECONDS)
        self._executor.shutdown()


def open_port(base_port: int, timeout: float, *, search: bool, listen: str | None = None) -> LoopbackCommunicator:
    """A communicator on `base_port`, or with `search` on the first free port from there on.

    Raises:
        PortInUseError: none is free.
        NoAddressError: `listen` is no address of this machine.
    """
    tries = range(base_port, min(base_port + (PORTS_TRIED if search else 1), 65536))
    for port in tries:
        with contextlib.suppress(PortInUseError):
            return LoopbackCommunicator(port, timeout, listen)
    raise PortInUseError(base_port)


def _addresses(listen: str | None) -> tuple[str, ...]:
    """Where to listen; an address that stands for all of them includes the others."""
    if listen in ("0.0.0.0", "::"):
        return (listen,)
    return ("127.0.0.1", "::1", *filter(None, [listen]))


def _is_free(address: str, port: int) -> bool:
    """Whether to listen there: False where this machine has no such address.

    Raises:
        PortInUseError: somebody else does.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        probe = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return False
    with probe:
        if sys.platform != "win32":
            # A port whose last connection has just ended may be bound again (on Windows the option means to share it).
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)  # two bound sockets may share a port on some systems, two listening ones never
        except OSError as error:
            raise PortInUseError(port) from error
    return True
