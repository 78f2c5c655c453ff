"""Builds the package: the stubs of the protocol are generated from ../../proto, never kept in the source tree."""
import pathlib
import shutil
import subprocess
import tempfile

from setuptools import setup
from setuptools.command.build_py import build_py

PROTOS = pathlib.Path(__file__).resolve().parent.parent.parent / "proto"
FILES = ["options", "spec", "result", "resources", "sweep_service", "artifact_service"]


def generate(out):
    """Writes retort/v1/*_pb2*.py and their type stubs below `out`."""
    programs = {}
    for name in ("protoc", "grpc_python_plugin"):
        programs[name] = shutil.which(name)
        if programs[name] is None:
            raise SystemExit(f"retort: {name} is missing; Debian has it in protobuf-compiler and "
                             "protobuf-compiler-grpc (deploy/install.sh installs both)")
    if not (PROTOS / "retort/v1/spec.proto").exists():
        raise SystemExit(f"retort: {PROTOS} is missing; install from a checkout of the repository")
    out.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [programs["protoc"], f"-I{PROTOS}", f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}",
         f"--plugin=protoc-gen-grpc_python={programs['grpc_python_plugin']}"]
        + [str(PROTOS / "retort/v1" / f"{name}.proto") for name in FILES], check=True)
    (out / "retort/v1/__init__.py").write_text('"""The protocol, generated from proto/retort/v1."""\n')


class Build(build_py):
    """build_py, and the generated stubs beside it."""

    def run(self):
        super().run()
        generate(pathlib.Path(self.build_lib))


with tempfile.TemporaryDirectory() as folder:
    # Nothing is left in the source tree.
    setup(cmdclass={"build_py": Build},
          options={"build": {"build_base": folder}, "egg_info": {"egg_base": folder}})
