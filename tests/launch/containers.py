#!/usr/bin/python3
"""containers.py PROGRAMS: the services of docker-compose.yml, run by podman, with programs that were built already.

By hand, as root, where there is no Docker engine: it downloads a Debian and LibTorch (some minutes). The image is the second stage of
deploy/Dockerfile on a root folder of debootstrap; PROGRAMS is a folder with retort, retort-server, retort-worker and retort-runner.
Each service gets its command, user, variables, volumes and limits from docker-compose.yml; the network is the host's. Further options of podman
(`--runtime runc --cgroup-manager cgroupfs`) are taken from RETORT_PODMAN, of `podman run` (`--ulimit nproc=4096:4096`) from RETORT_PODMAN_RUN.
"""
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

import yaml

SOURCES = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(sys.argv[1])
PODMAN = ["podman", *shlex.split(os.environ.get("RETORT_PODMAN", ""))]
MARK = "retort-try"  # before the names of containers and volumes


def podman(*words, check=True):
    ran = subprocess.run([*PODMAN, *words], capture_output=True, text=True)
    if check and ran.returncode != 0:
        raise SystemExit(f"podman {' '.join(words)}: {ran.stderr}")
    return ran


def make_image(folder):
    if podman("image", "exists", "debian:bookworm-slim", check=False).returncode != 0:
        subprocess.run(["debootstrap", "--variant=minbase", "bookworm", f"{folder}/root"], check=True)
        subprocess.run(f"tar -C {folder}/root -c . | podman import - debian:bookworm-slim", shell=True, check=True)
    stages = (SOURCES / "deploy/Dockerfile").read_text().split("FROM debian:bookworm-slim", 1)[1]
    (folder / "Dockerfile").write_text(
        "FROM scratch AS build\nCOPY bin /opt/retort/bin\nFROM debian:bookworm-slim" + stages)
    (folder / "bin").mkdir()
    for program in ("retort", "retort-server", "retort-worker", "retort-runner"):
        subprocess.run(["strip", "-o", folder / "bin" / program, PROGRAMS / program], check=True)
    podman("build", "--network", "host", "--isolation", "chroot", "-t", "retort", str(folder))


def run_words(name, service, detached):
    """`podman run …` for a service of docker-compose.yml."""
    words = ["run", "--name", f"{MARK}-{name}", "--network", "host", "--add-host", "coordinator:127.0.0.1"]
    words += shlex.split(os.environ.get("RETORT_PODMAN_RUN", ""))
    words += ["-d"] if detached else ["--rm"]
    words += ["--read-only"] if service.get("read_only") else []
    for option, key in (("--tmpfs", "tmpfs"), ("--cap-drop", "cap_drop")):
        words += [word for value in service.get(key, []) for word in (option, value)]
    for value in service.get("security_opt", []):
        words += ["--security-opt", value.removesuffix(":true")]
    for volume in service.get("volumes", []):
        words += ["-v", volume if volume.startswith("/") else f"{MARK}-{volume}"]
    for key, value in service.get("environment", {}).items():
        words += ["-e", f"{key}={value}"]
    return [*words, "localhost/retort", *service["command"]]


def until(what, seconds, ready):
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {seconds} s")
        time.sleep(0.5)
    print(f"{what}: yes")


def stop(name, service):
    podman("stop", "-t", service["stop_grace_period"].removesuffix("s"), f"{MARK}-{name}")
    code = podman("inspect", f"{MARK}-{name}", "--format", "{{.State.ExitCode}}").stdout.strip()
    print(f"{name} leaves with exit code {code}")
    if code != "0":
        raise SystemExit(podman("logs", f"{MARK}-{name}").stderr)


def main():
    services = yaml.safe_load((SOURCES / "docker-compose.yml").read_text())["services"]
    coordinator, worker = services["coordinator"], services["worker"]
    health = coordinator["healthcheck"]["test"][1:]
    try:
        with tempfile.TemporaryDirectory() as folder:
            make_image(pathlib.Path(folder))
        podman(*run_words("coordinator", coordinator, True))
        ask = lambda *words: podman("exec", f"{MARK}-coordinator", *words, check=False)
        until("the coordinator is healthy", 60, lambda: ask(*health).returncode == 0)
        podman(*run_words("join", services["join"], False))
        podman(*run_words("worker", worker, True))
        until("a worker has joined", 60, lambda: "active" in ask(*health).stdout)
        for name in ("coordinator", "worker"):
            user = podman("exec", f"{MARK}-{name}", "id", "-u").stdout.strip()
            print(f"{name} runs as user {user}")
            if user == "0" or podman("exec", f"{MARK}-{name}", "touch", "/usr/x", check=False).returncode == 0:
                raise SystemExit(f"{name} can write to its root")
        held = podman("exec", f"{MARK}-worker", "ls", "/join").stdout.split()
        print(f"the worker holds {held}")
        if held != ["worker.access"]:
            raise SystemExit("and should hold its access file alone")
        stop("worker", worker)
        stop("coordinator", coordinator)
    finally:
        for name in ("worker", "join", "coordinator"):
            podman("rm", "-f", f"{MARK}-{name}", check=False)
        for volume in ("coordinator", "join"):
            podman("volume", "rm", "-f", f"{MARK}-{volume}", check=False)


main()
