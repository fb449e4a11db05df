"""What drawing needs of the machine, and from where MuJoCo's pictures are taken."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import gymnasium

from bridge.errors import UsageError

#: Of a free camera in MuJoCo: metres, degrees, degrees. (With numpy 2, mujoco 2.3.7 cannot set the point `lookat`.)
CAMERA_KEYS = ("distance", "azimuth", "elevation")
#: How long a library for drawing may take to say whether it works, in seconds.
GRAPHICS_SECONDS = 60.0


def prepare_pygame() -> None:
    """It looks for a screen even where none is needed, and complains."""
    if _has_no_screen():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def prepare_mujoco(target: str) -> None:
    """Without a screen MuJoCo draws only if told what with: EGL or else OSMesa.

    A choice already made stays. Once one of them is loaded, the other cannot be: each is tried in a process of its own.

    Raises:
        UsageError: neither works.
    """
    if not _has_no_screen() or "MUJOCO_GL" in os.environ:
        return
    for library in ("egl", "osmesa"):
        if _draws_with(library):
            os.environ["MUJOCO_GL"] = library
            return
    raise UsageError(
        f"{target} cannot draw here: there is no screen, and neither EGL nor OSMesa works; install OSMesa (Debian and "
        "Ubuntu: apt-get install libosmesa6), or a graphics driver with EGL."
    )


def aim_camera(target: str, environment: gymnasium.Env[Any, Any], camera: str | Mapping[str, float]) -> None:
    """Sets where pictures are taken from, before the first one is. Raises `UsageError`."""
    renderer = getattr(environment.unwrapped, "mujoco_renderer", None)
    if renderer is None:
        raise UsageError(f"{target} has no camera to choose, only MuJoCo environments have: leave the option out.")
    if isinstance(camera, str):
        names = [renderer.model.camera(index).name for index in range(renderer.model.ncam)]
        if camera not in names:
            have = f"has {', '.join(names)}" if names else "has none with a name"
            raise UsageError(f"there is no camera {camera!r}: the model of {target} {have}.")
        renderer.camera_id = names.index(camera)
        return
    for name in camera:
        if name not in CAMERA_KEYS:
            raise UsageError(f"a camera has no {name!r}; there are {', '.join(CAMERA_KEYS)}.")
    renderer.camera_id = -1  # the free one
    renderer.default_cam_config = {**(renderer.default_cam_config or {}), **camera}


def _has_no_screen() -> bool:
    """Servers, containers, Colab."""
    return sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _draws_with(library: str) -> bool:
    environment = {**os.environ, "MUJOCO_GL": library, "PYOPENGL_PLATFORM": library}
    code = "import mujoco; mujoco.GLContext(8, 8).make_current()"
    try:
        tried = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=GRAPHICS_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == 0
