"""Whether the process that did something is still there."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from agents.system.processes import is_there, this_process

TELL = "import json; from agents.system.processes import this_process; print(json.dumps(this_process()), flush=True)"


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def test_a_process_is_there_until_it_ends() -> None:
    words = [sys.executable, "-c", f"{TELL}; input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        other = told(process)
        assert other["pid"] == process.pid
        assert is_there(other)
        process.kill()
        process.wait()
        assert not is_there(other)


def test_this_process_is_there_and_another_one_of_its_number_was_not() -> None:
    this = this_process()
    assert is_there(this)
    assert not is_there({**this, "started": this["started"] - 3600})


def test_of_another_machine_nobody_knows() -> None:
    assert is_there({**this_process(), "host": "another machine", "pid": 2**22 + 1})
