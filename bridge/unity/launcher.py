"""Starts players: the port, the process, the handshake."""

from __future__ import annotations

import logging

from mlagents_envs.side_channel.engine_configuration_channel import EngineConfigurationChannel
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel
from mlagents_envs.side_channel.side_channel import SideChannel

from bridge.errors import LaunchError, UsageError
from bridge.types import EnvSpec, seed_stream
from bridge.unity.communicator import LoopbackCommunicator, NoAddressError, PortInUseError, open_port
from bridge.unity.environment import PlayerEnvironment
from bridge.unity.options import UnityOptions
from bridge.unity.player import Launch, Player

LOG = logging.getLogger("bridge.unity")
EDITOR_PORT = 5004
FIRST_PORT = 5005


class PlayerLauncher:
    """Starts the player of one worker, again and again. `start` returns at once, `connect` waits for the player."""

    def __init__(
        self, env_spec: EnvSpec, options: UnityOptions, launch: Launch, worker: int = 0, incarnation: int = 0
    ) -> None:
        self.env_spec = env_spec
        self.options = options
        self.launch = launch
        self.worker = worker
        self.incarnation = incarnation
        self._started: tuple[LoopbackCommunicator, Player | None, int] | None = None
        self._environment: PlayerEnvironment | None = None
        self._starts = 0
        self._closed = False

    def start(self, seed: int | None = None) -> None:
        """Opens a port and starts the player with a random stream of its own.

        Args:
            seed: of a `reset(seed)`: the stream depends on it and the worker alone. None: the stream of the spec's
                seed, the worker and its incarnation.

        Raises:
            UsageError: the port that was asked for is taken.
            LaunchError: the operating system refuses, or `close` was called meanwhile.
        """
        communicator = self._listen()
        try:
            player = None if self.launch.is_editor else self._play(communicator.port)
        except BaseException:
            communicator.close()
            raise
        if player is None:
            LOG.warning("waiting on port %d for the Unity Editor: press Play.", communicator.port)
        self._starts += 1
        stream = (self.env_spec.seed, self.worker, self.incarnation) if seed is None else (seed, self.worker, 0)
        self._started = communicator, player, seed_stream(*stream)
        self._refuse_closed()

    def connect(self) -> PlayerEnvironment:
        """The handshake with the started player.

        Raises:
            LaunchError: it died, did not connect in time, or speaks another version of the protocol.
        """
        assert self._started is not None, "start() comes first"
        communicator, player, seed = self._started
        channels, no_graphics = self._channels(), self.options.no_graphics
        try:
            environment = PlayerEnvironment(player, communicator, seed, channels, no_graphics=no_graphics)
        finally:
            self._started = None
        self._environment = environment
        self._refuse_closed()
        package = environment.package_version or "unknown"
        LOG.info("connected to %s on port %d (Unity package %s).", self.launch.name, communicator.port, package)
        return environment

    def close(self) -> None:
        """Ends the player, for good. A `start` or `connect` that waits in another thread then fails."""
        self._closed = True
        started = self._started
        if started is not None:
            communicator, player, _ = started
            communicator.close()
            if player is not None:
                player.close(0)
        if self._environment is not None:
            self._environment.close()

    def _refuse_closed(self) -> None:
        """`close`, in another thread, may have come too early to find what has just been started."""
        if self._closed:
            self.close()
            raise LaunchError(f"{self.launch.name} was closed while it was started.")

    def _listen(self) -> LoopbackCommunicator:
        asked = self.options.base_port
        if asked is not None:
            port, search = asked + self.worker, False
        else:
            port, search = (EDITOR_PORT, False) if self.launch.is_editor else (FIRST_PORT + self.worker, True)
        if port > 65535:
            raise UsageError(f"base_port {asked} + worker {self.worker} is {port}; expected 65535 at most.")
        listen = self.options.listen
        if listen is not None:
            LOG.warning("listening on %s: whoever reaches this address first is taken for the player.", listen)
        try:
            return open_port(port, self.options.timeout, search=search, listen=listen)
        except NoAddressError:
            raise UsageError(
                f"option listen is {listen!r}, expected an address of this machine, such as 0.0.0.0 for all of them."
            ) from None
        except PortInUseError:
            raise UsageError(
                f"port {port} is taken by another program on this machine; expected a free one: choose another with "
                f"the option base_port{'' if self.launch.is_editor else ', or leave it out to have one found'}."
            ) from None

    def _play(self, port: int) -> Player:
        # In the order of the stock client; the last --mlagents-port counts.
        graphics = ["-nographics", "-batchmode"] if self.options.no_graphics else []
        args = [*graphics, "--mlagents-port", str(port), *self.options.env_args]
        again = f"-{self._starts}" if self._starts else ""
        name = f"Player-{self.worker}-{self.incarnation}{again}"
        return Player(self.launch, args, self.options.log_folder, name)

    def _channels(self) -> list[SideChannel]:
        options = self.options
        engine = EngineConfigurationChannel()
        engine.set_configuration_parameters(
            width=options.width,
            height=options.height,
            quality_level=options.quality_level,
            time_scale=options.time_scale,
            target_frame_rate=options.target_frame_rate,
            capture_frame_rate=options.capture_frame_rate,
        )
        parameters = EnvironmentParametersChannel()
        for name, value in options.env_params.items():
            parameters.set_float_parameter(name, float(value))
        return [engine, parameters]
