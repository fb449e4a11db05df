"""The report as one HTML page that needs nothing else: no script, no network. Every text in it is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from agents.reporting import tables
from agents.reporting.figures import Figure, action_figures, curve_figures, score_figure
from agents.reporting.films import cinema_of
from agents.reporting.reading import Group, Run, grouped

#: Names that fit into a title.
NAMES = 3


def report_page(runs: Sequence[Run], when: datetime) -> str:
    """The page about these runs, at least one.

    Args:
        when: it is made.
    """
    groups = grouped(runs)
    scores = score_figure(groups)
    faults = tables.faults(runs)
    return _render(
        "report.html",
        title=_title(groups),
        subtitle=_subtitle(runs, groups, when),
        runs=runs,
        groups=groups,
        results=tables.results(groups),
        curves=curve_figures(groups),
        has_bands=len(groups) < len(runs),
        speeds=tables.speeds(runs),
        scores=[scores] if scores else [],
        tests=tables.tests(runs),
        actions=action_figures(groups),
        cinemas=[cinema_of(run) for run in runs if run.videos],
        differences=tables.differences(groups),
        settings=tables.settings(groups),
        faults=faults,
        versions=tables.versions(runs),
        starts=tables.starts(runs),
    )


def live_fragment(figures: Sequence[Figure], lines: Sequence[str]) -> str:
    """Charts and lines of text as HTML for a notebook, with their looks."""
    return _render("live.html", figures=figures, lines=lines)


def _render(template: str, **values: object) -> str:
    environment = Environment(
        loader=PackageLoader("agents.reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["drawn"] = lambda figure: Markup(figure.svg)  # its texts are escaped
    looks = {name: Markup(_style(f"{name}.css")) for name in ("charts", "report")}
    return environment.get_template(template).render(looks=looks, **values)


def _style(name: str) -> str:
    return (files("agents.reporting") / "templates" / name).read_text(encoding="utf-8")


def _title(groups: Sequence[Group]) -> str:
    labels = [group.legend for group in groups]
    more = f" and {len(labels) - NAMES} more" if len(labels) > NAMES else ""
    return ", ".join(labels[:NAMES]) + more


def _subtitle(runs: Sequence[Run], groups: Sequence[Group], when: datetime) -> str:
    count = f"{len(runs)} run{'s' * (len(runs) > 1)}"
    if len(groups) < len(runs):
        count += f" of {len(groups)} configuration{'s' * (len(groups) > 1)}"
    environments = ", ".join(dict.fromkeys(run.config.environment.target for run in runs))
    return f"DQN on {environments} · {count} · {when:%Y-%m-%d %H:%M} · dqn-bridge {version('dqn-bridge')}"
