"""`UnityEnvironment` of mlagents-envs, made to launch one exact file, to keep the raw messages and to fail in time."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import mlagents_envs
from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto
from mlagents_envs.communicator_objects.brain_parameters_pb2 import BrainParametersProto
from mlagents_envs.communicator_objects.command_pb2 import STEP
from mlagents_envs.communicator_objects.unity_input_pb2 import UnityInputProto
from mlagents_envs.communicator_objects.unity_output_pb2 import UnityOutputProto
from mlagents_envs.communicator_objects.unity_rl_initialization_input_pb2 import UnityRLInitializationInputProto
from mlagents_envs.communicator_objects.unity_rl_output_pb2 import UnityRLOutputProto
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.side_channel.side_channel import SideChannel
from mlagents_envs.side_channel.stats_side_channel import StatsAggregationMethod, StatsSideChannel

from bridge.errors import BridgeError, ConnectionLostError, LaunchError
from bridge.process import LEAVE_SECONDS
from bridge.types import Array
from bridge.unity.communicator import LoopbackCommunicator, NoAnswerError, PlayerStoppedError
from bridge.unity.player import Player

#: A player that announces its end, or whose connection breaks, has so long to hand in its return code.
RETURN_CODE_SECONDS = 0.5


class _Statistic(NamedTuple):
    """All that was recorded under one name: sum, number and latest of the values, and how the build aggregates them."""

    total: float
    size: int
    latest: float
    method: StatsAggregationMethod

    @property
    def number(self) -> float:
        if self.method == StatsAggregationMethod.MOST_RECENT:
            return self.latest
        return self.total if self.method == StatsAggregationMethod.SUM else self.total / self.size


class PlayerEnvironment(UnityEnvironment):  # type: ignore[misc]
    """The stock environment around a player that was started before, with its messages left as they came.

    The stock class decodes images of one memory layout only, hides a dead player for seconds, hangs on one that dies
    in its handshake, answers one step late after a timeout, and leaves zombies and `atexit` handlers. Here the player
    is started by `Player`, messages go through `LoopbackCommunicator`, and after any failure the player is killed.

    Args:
        player: the started process; None when a person starts the Editor.
        communicator: the port that the player was told.
        seed: 31 bit, for `UnityEngine.Random`.
        side_channels: of mlagents-envs, besides the one for statistics.
        no_graphics: whether the player was told so; only for error messages.

    Attributes:
        behaviors: what the build said about each behaviour, by full name (`GridWorld?team=0`).
        infos: the agent infos of the latest exchange, by full name, in the order in which they came.
        package_version: of the Unity package in the build.

    Raises:
        LaunchError: the player died, did not connect in time, or speaks another version of the protocol.
    """

    def __init__(
        self,
        player: Player | None,
        communicator: LoopbackCommunicator,
        seed: int,
        side_channels: list[SideChannel],
        *,
        no_graphics: bool = False,
    ) -> None:
        self.player = player
        self.behaviors: dict[str, BrainParametersProto] = {}
        self.infos: Mapping[str, Sequence[AgentInfoProto]] = {}
        self.package_version = ""
        self._own_communicator = communicator
        self._waiting = False  # something was sent that no `receive` has fetched
        self._ended = ""  # how the player was lost, for every call after that
        self._statistics = StatsSideChannel()
        self._recorded: dict[str, _Statistic] = {}
        try:
            super().__init__(
                file_name=None,  # the stock launch deletes ".app", ".exe" anywhere in the path, then globs it
                base_port=communicator.port,
                seed=seed,
                no_graphics=no_graphics,
                timeout_wait=communicator.timeout,
                side_channels=[*side_channels, self._statistics],
            )
        except BaseException:
            self._close(0)
            raise
        finally:
            atexit.unregister(self._close)

    def _get_communicator(self, *_: Any) -> LoopbackCommunicator:
        return self._own_communicator

    def _send_academy_parameters(self, init_parameters: UnityRLInitializationInputProto) -> UnityOutputProto:
        """The handshake: two calls of the player, of which the stock client waits for the second without limit."""
        inputs = UnityInputProto()
        inputs.rl_initialization_input.CopyFrom(init_parameters)
        try:
            output: UnityOutputProto = self._own_communicator.receive(self._poll_process)
            self._check_version(output)
            self._own_communicator.send(inputs)
            self._own_communicator.receive(self._poll_process)
        except NoAnswerError:
            raise LaunchError(self._launch_timeout()) from None
        except PlayerStoppedError as error:
            raise LaunchError(self._gone(f"{error} during the handshake")) from None
        except ConnectionLostError as error:
            raise LaunchError(str(error)) from None
        return output

    def _check_version(self, output: UnityOutputProto) -> None:
        found = output.rl_initialization_output
        self.package_version = found.package_version
        if found.communication_version.split(".")[0] != self.API_VERSION.split(".")[0]:
            raise LaunchError(
                f"{self._named()} speaks version {found.communication_version or 'unknown'} of the ML-Agents "
                f"communication API (Unity package {found.package_version or 'unknown'}), expected {self.API_VERSION} "
                f"(mlagents-envs {mlagents_envs.__version__}): rebuild it with com.unity.ml-agents 2.0 or newer."
            )

    def _update_behavior_specs(self, output: UnityOutputProto) -> None:
        """Keeps descriptions as they come. The stock method loses one that comes before its first agent."""
        for brain in output.rl_initialization_output.brain_parameters:
            self.behaviors[brain.brain_name] = brain

    def _update_state(self, output: UnityRLOutputProto) -> None:
        self.infos = {name: infos.value for name, infos in output.agentInfos.items()}
        if output.side_channel:
            self._side_channel_manager.process_side_channel_message(output.side_channel)
            self._sum_up_statistics()

    def send_reset(self) -> None:
        """Asks for a reset of the whole scene. The answer comes with `receive`."""
        self._send(self._generate_reset_input())

    def send_actions(self, actions: Mapping[str, tuple[Array, Array]]) -> None:
        """Asks for a step.

        Args:
            actions: by full behaviour name the continuous [M, ...] and the discrete [M, ...] native actions;
                M = its decision infos in the latest exchange, in their order.
        """
        inputs = UnityInputProto()
        rl_input = inputs.rl_input
        rl_input.command = STEP
        rl_input.side_channel = bytes(self._side_channel_manager.generate_side_channel_messages())
        for name, (continuous, discrete) in actions.items():
            add = rl_input.agent_actions[name].value.add
            for numbers, indices in zip(continuous.tolist(), discrete.tolist(), strict=True):
                # Builds before communication 1.3 read the deprecated field, which held both kinds.
                add(
                    continuous_actions=numbers, discrete_actions=indices, vector_actions_deprecated=[*numbers, *indices]
                )
        self._send(inputs)

    def _send(self, inputs: UnityInputProto) -> None:
        if self._ended:
            raise ConnectionLostError(f"this environment was lost before: {self._ended}")
        try:
            self._own_communicator.send(inputs)
        except PlayerStoppedError as error:
            raise self._lost(str(error)) from None
        self._waiting = True

    def receive(self, *, launching: bool = False) -> None:
        """Waits for the answer and keeps it in `behaviors` and `infos`.

        Args:
            launching: a missing answer has the causes that a failed launch has; the message lists them.

        Raises:
            ConnectionLostError: the player died, left or did not answer in time. It is killed, and this object dead.
        """
        try:
            output = self._own_communicator.receive(self._poll_process)
        except NoAnswerError:
            what = f"did not answer within {self._own_communicator.timeout:g} s (option timeout) and was killed"
            self._ended = self._gone(what, wait=0.0, causes=launching)
            self._close(0)
            raise ConnectionLostError(self._ended) from None
        except PlayerStoppedError as error:
            raise self._lost(str(error)) from None
        except BridgeError as error:
            self._ended = str(error)
            self._close(0)
            raise
        self._waiting = False  # not before: Ctrl-C while waiting leaves an answer on its way
        self._update_behavior_specs(output)
        self._update_state(output.rl_output)

    def settle(self) -> None:
        """Fetches and forgets the answer to something that was sent, if there is one on its way."""
        if self._waiting and not self._ended:
            self.receive()

    def metrics(self) -> dict[str, float]:
        """What the build has recorded (`StatsRecorder.Add`) since the last call, one number by name."""
        recorded, self._recorded = self._recorded, {}
        return {name: statistic.number for name, statistic in recorded.items()}

    def _sum_up_statistics(self) -> None:
        """Nobody may ask for a long time, so sums are kept and no lists."""
        for name, entries in self._statistics.get_and_reset_stats().items():
            before = self._recorded.get(name)
            total, size = (before.total, before.size) if before is not None else (0.0, 0)
            latest, method = entries[-1]
            total += sum(value for value, _ in entries)
            self._recorded[name] = _Statistic(total, size + len(entries), latest, method)

    def _poll_process(self) -> None:
        if self.player is not None and self.player.ended() is not None:
            raise ConnectionLostError(self._gone("died"))

    def _lost(self, what: str) -> ConnectionLostError:
        self._ended = self._gone(what)
        self._close(0)
        return ConnectionLostError(self._ended)

    def _named(self) -> str:
        return self.player.launch.name if self.player is not None else "the Unity Editor"

    def _gone(self, what: str, *, wait: float = RETURN_CODE_SECONDS, causes: bool = False) -> str:
        causes_ = self.causes() if causes else ""
        if self.player is None:
            return f"{self._named()} {what}: start the play mode again and connect again.{causes_}"
        ended = self.player.ended(wait)
        tail = self.player.tail() or "\nIt wrote no log."
        return f"{self._named()} {what}{f' ({ended})' if ended else ''}.{causes_}{tail}"

    def _launch_timeout(self) -> str:
        seconds = f"{self._own_communicator.timeout:g} s (option timeout)"
        port = self._own_communicator.port
        if self.player is None:
            return (
                f"the Unity Editor did not connect to port {port} within {seconds}: open the scene and press Play, "
                'with every agent\'s Behavior Type "Default".'
            )
        silent = (
            f"did not connect to port {port}" if self._own_communicator.peer is None else "connected, but said no more"
        )
        return self._gone(f"{silent} within {seconds} and was killed", wait=0.0, causes=True)

    def causes(self) -> str:
        """What usually keeps a build silent, as lines for an error message, with what can be seen from here."""
        lines = [
            "an older version of this build is still running, or it waits for a person (a dialog, a start button)",
            "the scene has no ML-Agents agent, or its package com.unity.ml-agents is older than 1.0",
            'an agent\'s Behavior Type is "Heuristic Only" or "Inference Only"; it must be "Default"',
            "an agent has no Decision Requester and nothing else that calls RequestDecision()",
        ]
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            no_display = "there is no display here (DISPLAY is not set): run under xvfb-run"
            lines.insert(0, f"{no_display}, or with no_graphics if no agent has a camera")
        elif self._no_graphics:
            lines.insert(0, "no_graphics is on: a camera cannot draw without graphics")
        return "\nUsual causes:\n" + "\n".join(f"- {line}" for line in lines)

    def close(self) -> None:
        """Ends the player: it is told to leave, and killed when it does not. Idempotent."""
        self._close()

    def _close(self, timeout: float | None = None) -> None:
        self._loaded = False
        self._own_communicator.close()
        if self.player is not None:
            self.player.close(LEAVE_SECONDS if timeout is None else timeout)
