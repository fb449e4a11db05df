"""From the file of a Unity build to its behaviours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agents.checks.findings import Finding, error, ok, problem
from bridge import (
    BehaviorReport,
    BridgeError,
    BuildFile,
    BuildReport,
    EnvSpec,
    LaunchError,
    SensorReport,
    find_build,
    inspect_build,
    is_port_free,
)

NO_DECISION = 'give each agent Behavior Parameters with Behavior Type "Default", and a Decision Requester'


class Build:
    """The checks of one build, each of them only if those before it found what it needs.

    Attributes:
        file: what is started; None as long as it has not been found.
        report: what it says of itself; None as long as it has not connected.
        is_usable: nothing of this keeps an agent from training.
    """

    def __init__(self, spec: EnvSpec, ports: Sequence[int]) -> None:
        self.file: BuildFile | None = None
        self.report: BuildReport | None = None
        self.is_usable = False
        self._spec = spec
        self._ports = ports  # that are asked for

    def find(self) -> Iterator[Finding]:
        try:
            self.file = find_build(self._spec)
        except BridgeError as failure:
            missing = str(failure).startswith("no build")
            yield problem("build", failure, "put it into unity_builds/ or give its path" if missing else "")
        else:
            yield ok("build", f"{self.file.name}{' (simulated, not made with Unity)' if self.file.simulated else ''}")

    def port(self) -> Iterator[Finding]:
        taken = [port for port in self._ports if not is_port_free(port)] if self.file is not None else []
        if taken:
            self.file = None
            yield error(
                "port",
                f"port {taken[0]} is taken by another program on this machine",
                "end that one (often a player from before), choose another --base-port, or leave it out",
            )
        elif self.file is not None and self._ports:
            yield ok("port", f"{', '.join(map(str, self._ports))} free")

    def handshake(self) -> Iterator[Finding]:
        if self.file is None or self.file.is_editor:  # the Editor would have to be started by hand once more
            self.is_usable = self.file is not None
            return
        try:
            self.report = inspect_build(self._spec)
        except LaunchError as failure:
            yield problem("handshake", failure, _remedy(str(failure)))
        except BridgeError as failure:
            yield problem("handshake", failure)
        else:
            yield ok("handshake", f"connected on port {self.report.port}, Unity package {self.report.package}")

    def behaviors(self) -> Iterator[Finding]:
        if self.report is None:
            return
        report, details = self.report, [line for item in self.report.behaviors for line in _table(item)]
        if not report.behaviors:
            seconds = f"within {self._spec.options['timeout']:g} s (option timeout)"
            found = f"the build runs, but no behaviour showed up: no agent asked for a decision {seconds}"
            yield error("behaviors", found, NO_DECISION, details=[f"- {cause}" for cause in report.causes])
        elif report.chosen is None:
            remedy = f"for instance --behavior {report.behaviors[0].name}"
            yield error("behaviors", report.problem, remedy, details=details)
        elif report.chosen.problem:
            remedy = "" if report.chosen.sensors else NO_DECISION
            yield error("behaviors", report.chosen.problem, remedy, details=details)
        else:
            self.is_usable = True
            names = ", ".join(item.name for item in report.behaviors)
            trained = f"; trained: {report.chosen.name}" if len(report.behaviors) > 1 else ""
            yield ok("behaviors", f"{names}{trained}", details=details)


def _remedy(failure: str) -> str:
    """What to do about a failed launch, where its first line does not say it."""
    causes = [line.removeprefix("- ") for line in failure.splitlines() if line.startswith("- ")]
    if causes:
        return f"most often: {causes[0]}; other causes are below"
    return "the end of its log is below; start the build by hand to see more" if "\n" in failure else ""


def _table(behavior: BehaviorReport) -> list[str]:
    """What a behaviour observes and does."""
    return [
        f"{behavior.name}: {behavior.agents} agent{'s' * (behavior.agents != 1)}",
        *sensor_table(behavior.sensors),
        f"  actions: {_native(behavior)} -> {_for_agent(behavior)}",
    ]


def sensor_table(sensors: Sequence[SensorReport]) -> list[str]:
    width = max([len(sensor.name) for sensor in sensors] + [6])
    rows = [("sensor", "kind", "shape", "")]
    for sensor in sensors:
        shape = " x ".join(map(str, sensor.shape))
        rows.append((sensor.name, sensor.kind or "refused", shape, "goal" if sensor.is_goal else ""))
    return [f"  {name:<{width}}  {kind:<7}  {shape:<12}  {goal}" for name, kind, shape, goal in rows]


def _native(behavior: BehaviorReport) -> str:
    kinds = [f"{behavior.continuous} continuous"] if behavior.continuous else []
    if behavior.branches:
        kinds.append(f"discrete {numbers(behavior.branches)}")
    return " and ".join(kinds) or "none"


def _for_agent(behavior: BehaviorReport) -> str:
    if behavior.problem:
        return f"cannot be trained: {behavior.problem}"
    return f"the agent's {numbers(behavior.agent_branches)} (codec {behavior.codec})"


def numbers(sizes: Sequence[int]) -> str:
    """`4` or `7 x 5`: sizes that may be many and alike."""
    alike = len(set(sizes)) == 1 and len(sizes) > 1
    return f"{len(sizes)} branches of {sizes[0]}" if alike else ", ".join(map(str, sizes))
