# ruff: noqa: B905, RUF005, UP028, UP031
"""Launches the simulated builds of this repository, from any working directory, under any fitting Python.

Whoever launches a Unity player knows a path and no interpreter, so the Python that `env` finds may lack what the build
needs. Then another one is looked for: the active virtual environment, one beside the repository, the Python of the
parent process (a trainer has all that is needed), and the python3 names on PATH. The files in this folder must run on
any Python 3.
"""

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys

NEEDS = ("grpc", "numpy", "PIL")
OLDEST = (3, 10)
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def fits():
    """Whether this interpreter can run the build."""
    return sys.version_info >= OLDEST and all(importlib.util.find_spec(name) for name in NEEDS)


def other_interpreters():
    """Paths of Pythons worth a try, the likeliest first."""
    if os.environ.get("VIRTUAL_ENV"):
        yield os.path.join(os.environ["VIRTUAL_ENV"], "bin", "python")
    for name in (".venv", "venv"):
        yield os.path.join(ROOT, name, "bin", "python")
    for path in parent_interpreters():
        yield path
    for name in ["python"] + ["python3.%d" % minor for minor in range(20, 9, -1)]:
        yield shutil.which(name)


def parent_interpreters():
    """The parent's Python, where /proc tells: as it was called (a virtual environment's name), then its file."""
    process = "/proc/%d/" % os.getppid()
    try:
        with open(process + "cmdline", "rb") as file:
            called = os.fsdecode(file.read().split(b"\0")[0])
        if "python" in os.path.basename(called):
            yield shutil.which(called) or os.path.join(os.readlink(process + "cwd"), called)
        executable = os.readlink(process + "exe")
        if "python" in os.path.basename(executable):
            yield executable
    except OSError:
        return


def runs(interpreter):
    """Whether another interpreter can run the build, by its own account."""
    names = ", ".join(NEEDS)
    check = "import sys, %s; sys.exit(sys.version_info < %r)" % (names, OLDEST)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        return subprocess.call([interpreter, "-c", check], cwd=ROOT, timeout=30, **quiet) == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def give_up(script):
    """Say in one line what is missing, on stderr and in the player's log; returns the exit code."""
    line = "%s: no Python >= %d.%d with %s found (tried %s and others); install them.\n"
    line %= (os.path.basename(script),) + OLDEST + (", ".join(NEEDS), sys.executable)
    sys.stderr.write(line)
    for flag, path in zip(sys.argv, sys.argv[1:]):
        if flag.lower() == "-logfile" and path != "-":
            try:
                with open(path, "a") as file:
                    file.write(line)
            except OSError as error:
                sys.stderr.write("%s\n" % error)
    return 127


def main(package, script):
    """Run the build here, or hand over to an interpreter that can; returns the exit code.

    package: whose `__main__` is the build. script: the executable file that was started.
    """
    if fits():
        sys.path[0] = ROOT  # instead of the script's folder; the working directory is never searched
        return importlib.import_module(package + ".__main__").main(sys.argv[1:])
    tried = {sys.executable}
    for interpreter in other_interpreters():
        if interpreter and interpreter not in tried and os.access(interpreter, os.X_OK):
            tried.add(interpreter)
            if runs(interpreter):
                os.execv(interpreter, [interpreter, os.path.realpath(script)] + sys.argv[1:])
    return give_up(script)
