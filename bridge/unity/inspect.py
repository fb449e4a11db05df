"""The description of a build, from one of its players. `bridge.reports` says what comes out."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto
from mlagents_envs.communicator_objects.brain_parameters_pb2 import BrainParametersProto
from mlagents_envs.communicator_objects.observation_pb2 import ObservationProto

from bridge.actions import CodecSettings
from bridge.errors import ConnectionLostError, LaunchError, UnsupportedError, UsageError
from bridge.reports import BehaviorReport, BuildFile, BuildReport, SensorReport
from bridge.types import EnvSpec
from bridge.unity import read_options
from bridge.unity.behavior import ActionSizes, Behavior, idle_actions, plain_name, select
from bridge.unity.builds import find_build
from bridge.unity.communicator import PortInUseError, open_port
from bridge.unity.decode import sensors_of
from bridge.unity.environment import PlayerEnvironment
from bridge.unity.launcher import PlayerLauncher

#: Exchanges after the first decision in which further behaviours may show up.
EXCHANGES = 20


def find(spec: EnvSpec) -> BuildFile:
    launch = find_build(spec.target, read_options(spec).builds_dir)
    return BuildFile(launch.name, launch.simulated, launch.is_editor)


def is_port_free(port: int) -> bool:
    try:
        open_port(port, 1.0, search=False).close()
    except PortInUseError:
        return False
    return True


def inspect(spec: EnvSpec) -> BuildReport:
    options = read_options(spec)
    launcher = PlayerLauncher(spec, options, find_build(spec.target, options.builds_dir), 0, 0)
    try:
        launcher.start()
        environment = launcher.connect()
        agents = _Agents()
        agents.watch(environment, options.timeout)
        behaviors = {
            name: _behavior(environment.behaviors[name], agents.infos.get(name), options.codec_settings)
            for name in sorted(environment.behaviors)
        }
        problem = ""
        try:
            chosen = select(behaviors, options.behavior)
        except UsageError as error:
            chosen, problem = None, str(error)
        if chosen is None and behaviors and not problem:
            problem = f"the build has no behaviour {options.behavior!r}; there are {', '.join(behaviors)}."
        return BuildReport(
            port=environment._port,
            package=environment.package_version or "unknown",
            behaviors=tuple(behaviors.values()),
            chosen=behaviors.get(chosen or ""),
            problem=problem,
            causes=tuple(line.removeprefix("- ") for line in environment.causes().splitlines() if line[:2] == "- "),
        )
    finally:
        launcher.close()


class _Agents:
    """The deciding agents of each behaviour, by full name, of the exchange in which there were most of them."""

    def __init__(self) -> None:
        self.infos: dict[str, Sequence[AgentInfoProto]] = {}

    def watch(self, environment: PlayerEnvironment, timeout: float) -> None:
        """Resets the scene and steps it until nothing new is to be expected.

        Raises:
            LaunchError: the player was lost before any agent had asked for a decision.
        """
        deadline = time.monotonic() + timeout
        exchanges = 0
        try:
            environment.send_reset()
            while True:
                environment.receive(launching=True)
                self._take_in(environment)
                exchanges += bool(self.infos)
                if exchanges > EXCHANGES or time.monotonic() > deadline:
                    return
                environment.send_actions(idle_actions(environment.behaviors, environment.infos))
        except ConnectionLostError as error:
            if not self.infos:
                raise LaunchError(str(error)) from None

    def _take_in(self, environment: PlayerEnvironment) -> None:
        for name, infos in environment.infos.items():
            deciding = [info for info in infos if not info.done]
            if len(deciding) > len(self.infos.get(name, ())):
                self.infos[name] = deciding


def _behavior(
    brain: BrainParametersProto, infos: Sequence[AgentInfoProto] | None, settings: CodecSettings
) -> BehaviorReport:
    name, sizes = plain_name(brain.brain_name), ActionSizes.of(brain)
    codec, problem = None, ""
    if infos is None:
        problem = f"no agent of behaviour {name!r} has asked for a decision."
    else:
        try:
            codec = Behavior.of(brain, infos[0]).codec(settings)
        except UsageError as error:
            problem = str(error)
    return BehaviorReport(
        name=name,
        agents=len(infos or ()),
        sensors=_sensors(infos[0].observations, name) if infos else (),
        continuous=sizes.continuous,
        branches=sizes.branches,
        codec=codec.name if codec is not None else "",
        agent_branches=codec.spec.branches if codec is not None else (),
        problem=problem,
    )


def _sensors(observations: Sequence[ObservationProto], behavior: str) -> tuple[SensorReport, ...]:
    """All of them, also where one of them is refused."""
    try:
        specs = [sensor.spec for sensor in sensors_of(observations, behavior)]
        return tuple(SensorReport(item.name, item.kind, item.shape, item.is_goal) for item in specs)
    except UnsupportedError as error:
        if len(observations) != 1:
            return tuple(sensor for message in observations for sensor in _sensors([message], behavior))
        (message,) = observations
        return (SensorReport(message.name, None, tuple(message.shape), problem=str(error)),)
