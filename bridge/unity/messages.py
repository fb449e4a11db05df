"""mlagents-envs' message classes, rebuilt for today's protobuf: the one module that does this.

Why: the `*_pb2.py` files inside every release of mlagents-envs up to 1.1.0 were generated for protobuf 3 and protobuf 4
and later refuse to import them ("Descriptors cannot be created directly"). Pinning protobuf 3.20 is no way out: from
Python 3.11 on it has only the pure-Python parser (a step with one 64 x 84 camera takes 70 ms instead of 2), and
TensorBoard and onnx want a newer one. The message *descriptions* inside those files are still good, so `install` reads
them from the installed wheel and has protobuf build the classes itself, which then parse in C.

Besides, `install` makes the rest of mlagents-envs importable and quiet:

- it imports `distutils`, which left Python with 3.12; setuptools brings it back;
- it prints through log handlers of its own; they are left out, so that its log records go where the program sends them;
- 0.28.0 and 1.1.0 use `np.bool`, which numpy 1.24 removed and numpy 2 brought back: numpy >= 2 is required.
"""

from __future__ import annotations

import ast
import importlib.util
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from google.protobuf import __version__ as protobuf_version
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.internal import builder

from bridge.errors import UsageError

PACKAGE = "mlagents_envs.communicator_objects"


def install() -> None:
    """Makes `mlagents_envs.environment` importable. Idempotent; call it before anything else of mlagents-envs.

    Raises:
        UsageError: mlagents-envs, or the setuptools it needs, is not installed.
    """
    if importlib.util.find_spec("mlagents_envs") is None:
        raise UsageError("Unity builds need mlagents-envs, which is not installed: pip install mlagents-envs")
    _install_messages()
    with warnings.catch_warnings():
        # "distutils is deprecated", and what else was fine when mlagents-envs was written.
        warnings.simplefilter("ignore")
        _import_distutils()
        _import_environment()


def _install_messages() -> None:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError("mlagents-envs is incomplete: pip install --force-reinstall mlagents-envs")
    sources = sorted(Path(spec.submodule_search_locations[0]).glob("*_pb2.py"))
    if f"{PACKAGE}.{sources[0].stem}" in sys.modules or not _outdated(sources):
        return
    files = _in_order(dict(_described(sources)))
    pool = descriptor_pool.Default()
    for module_name, file in files.items():
        descriptor = pool.AddSerializedFile(file.SerializeToString())
        module = ModuleType(f"{PACKAGE}.{module_name}")
        builder.BuildMessageAndEnumDescriptors(descriptor, module.__dict__)
        builder.BuildTopDescriptorsAndMessages(descriptor, module.__name__, module.__dict__)
        sys.modules[module.__name__] = module


def _outdated(sources: list[Path]) -> bool:
    """Whether the installed protobuf refuses these generated files. Current ones use protobuf's `builder`."""
    if int(protobuf_version.split(".")[0]) < 4:
        return False
    return any("builder" not in source.read_text("utf-8") for source in sources)


def _described(sources: list[Path]) -> Iterator[tuple[str, descriptor_pb2.FileDescriptorProto]]:
    """The file description inside each generated module, by module name; nothing of the module is run."""
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            literal = _serialized(node)
            if literal is not None:
                yield source.stem, descriptor_pb2.FileDescriptorProto.FromString(literal)
                break


def _serialized(node: ast.AST) -> bytes | None:
    """The literal of `FileDescriptor(serialized_pb=_b("..."))` or `AddSerializedFile(b"...")`."""
    if not isinstance(node, ast.Call):
        return None
    values = [keyword.value for keyword in node.keywords if keyword.arg == "serialized_pb"]
    if isinstance(node.func, ast.Attribute) and node.func.attr == "AddSerializedFile":
        values = node.args
    for value in values:
        inner = value.args[0] if isinstance(value, ast.Call) and value.args else value
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str | bytes):
            return inner.value if isinstance(inner.value, bytes) else inner.value.encode("latin1")
    return None


def _in_order(
    files: dict[str, descriptor_pb2.FileDescriptorProto],
) -> dict[str, descriptor_pb2.FileDescriptorProto]:
    """The same files, each after the ones it depends on."""
    names = {file.name: module for module, file in files.items()}
    ordered: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(module: str) -> None:
        for dependency in files[module].dependency:
            if dependency in names and names[dependency] not in ordered:
                add(names[dependency])
        ordered.setdefault(module, files[module])

    for module in files:
        add(module)
    return ordered


def _import_distutils() -> None:
    if importlib.util.find_spec("distutils") is None:
        try:
            importlib.import_module("setuptools")  # puts its own copy of distutils in the standard one's place
        except ImportError as error:
            raise UsageError("mlagents-envs needs setuptools from Python 3.12 on: pip install setuptools") from error


def _import_environment() -> None:
    """Imports the environment with the standard `getLogger` in place of mlagents-envs' own.

    Its own adds a handler to standard output with each call, one of them for every unknown side channel message.
    """
    if "mlagents_envs.environment" in sys.modules:
        return
    importlib.import_module("mlagents_envs.logging_util").get_logger = logging.getLogger  # type: ignore[attr-defined]
    importlib.import_module("mlagents_envs.environment")
    # At INFO it asks for the Editor's Play button whenever the player was started by somebody else than itself.
    logging.getLogger("mlagents_envs.environment").setLevel(logging.WARNING)
