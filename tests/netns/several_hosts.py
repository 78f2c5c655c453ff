#!/usr/bin/env python3
"""A coordinator's host and three workers' hosts, as network namespaces with addresses of their own, over TLS.

One sweep of real training goes through: partitions (both ways, one way, the other way), a host that vanishes, and a change of the
coordinator's address. Then: all jobs have one result, and every result and metric is what an undisturbed run gives, to the bit;
and whoever went on with another's attempt went on from a checkpoint. Prints the timeline.

    sudo tests/netns/several_hosts.py --bin build/dev/bin --partition 60      # seconds of each partition; 5 in CI

Exit codes: 0 all held, 1 something did not, 77 skipped (not root, or no network namespaces here).
"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LEASE_S = 3
WORKERS = ("w1", "w2", "w3")
SWEEP = """name: s
datasets: {{d: {{path: d.safetensors}}}}
split: {{kfold: 2, folds: [0]}}
teachers: [{{resnet1d: 8/4}}]
students: [{{resnet1d: 4/4}}]
methods: [scratch, soft, feature]
train: {{epochs: {epochs}, batch: 32, keep: best}}
seeds: [{seeds}]
checkpoint_every: 1s
"""
# Of every series but those that measure time.
POINTS = ("SELECT job, series, step, value FROM metrics WHERE series NOT LIKE '%per_s%' AND series NOT LIKE '%seconds%' "
          "ORDER BY job, series, step")
RESULTS = "SELECT job, mae_bpm, val_mae_bpm, kept_epoch, weights FROM results ORDER BY job"


def run(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.returncode}: {done.stderr.strip()}")
    return done


class Network:
    """A switch and hosts on it; host N has 10.77.0.N."""

    def __init__(self, tag: str):
        self.tag = tag
        self.hosts: dict[str, int] = {}
        run("ip", "netns", "add", f"{tag}-hub")
        run("ip", "-n", f"{tag}-hub", "link", "add", "switch", "type", "bridge")
        run("ip", "-n", f"{tag}-hub", "link", "set", "switch", "up")

    def name(self, host: str) -> str:
        return f"{self.tag}-{host}"

    def add(self, host: str, number: int) -> None:
        name, hub = self.name(host), f"{self.tag}-hub"
        run("ip", "netns", "add", name)
        run("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", f"to-{host}", "netns", hub)
        run("ip", "-n", hub, "link", "set", f"to-{host}", "master", "switch", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        self.hosts[host] = number
        self.address(host, number)

    def address(self, host: str, number: int) -> None:
        run("ip", "-n", self.name(host), "addr", "flush", "dev", "eth0")
        run("ip", "-n", self.name(host), "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")

    def cut(self, host: str, away: bool) -> None:
        """Both ways: the cable is out."""
        run("ip", "-n", f"{self.tag}-hub", "link", "set", f"to-{host}", "down" if away else "up")

    def deafen(self, sender: str, receiver: int, away: bool) -> None:
        """One way: nothing of what `sender` sends arrives; what is sent to it does."""
        run("ip", "-n", self.name(sender), "route", "add" if away else "del", "blackhole", f"10.77.0.{receiver}/32")

    def delay(self, host: str) -> bool:
        """40 ms and one loss in a hundred, where the kernel can."""
        done = run("ip", "netns", "exec", self.name(host), "tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay",
                   "40ms", "10ms", "loss", "1%", check=False)
        return done.returncode == 0

    def vanish(self, host: str) -> None:
        pids = run("ip", "netns", "pids", self.name(host), check=False).stdout.split()
        self.cut(host, True)
        for pid in pids:
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def close(self) -> None:
        for host in self.hosts:
            for pid in run("ip", "netns", "pids", self.name(host), check=False).stdout.split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            run("ip", "netns", "del", self.name(host), check=False)
        run("ip", "netns", "del", f"{self.tag}-hub", check=False)


class Lab:
    """Programs on hosts, and what happened when."""

    def __init__(self, programs: pathlib.Path, folder: pathlib.Path, network: Network):
        self.programs, self.folder, self.network = programs, folder, network
        self.began = time.monotonic()
        self.server: subprocess.Popen[bytes] | None = None
        self.running: list[subprocess.Popen[bytes]] = []

    def say(self, words: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f} s  {words}", flush=True)

    def on(self, host: str, log: str, *words: str) -> subprocess.Popen[bytes]:
        with open(self.folder / log, "ab") as out:
            process = subprocess.Popen(["ip", "netns", "exec", self.network.name(host), *words], stdout=out, stderr=out,
                                       cwd=self.folder, env={**os.environ, "XDG_STATE_HOME": str(self.folder / "state")})
        self.running.append(process)
        return process

    def start_server(self) -> None:
        address = self.folder / "address"
        address.unlink(missing_ok=True)
        self.server = self.on("co", "server.log", str(self.programs / "retort-server"), "--folder", "co", "--listen",
                              "0.0.0.0:7641", "--advertise", "10.77.0.1,10.77.0.2", "--lease", f"{LEASE_S}s",
                              "--address-file", "address")
        until = time.monotonic() + 30
        while not address.exists():
            if time.monotonic() > until or self.server.poll() is not None:
                raise RuntimeError("the coordinator does not serve: " + (self.folder / "server.log").read_text())
            time.sleep(0.05)

    def start_worker(self, host: str) -> None:
        self.on(host, f"{host}.log", str(self.programs / "retort-worker"), "--access", "co/access/worker.access", "--id", host,
                "--folder", host, "--slots", "1", "--drain-timeout", "1s")

    def retort(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run("ip", "netns", "exec", self.network.name("co"), str(self.programs / "retort"), "--access",
                   str(self.folder / "co/access/admin.access"), *words, check=check)

    def query(self, sql: str) -> list[dict]:
        return json.loads(self.retort("query", sql, "--max-rows", "10000000", "-o", "json").stdout)

    def running_on(self) -> dict[str, str]:
        rows = self.query("SELECT job, worker FROM attempts WHERE start_ms IS NOT NULL AND end_ms IS NULL")
        return {row["worker"]: row["job"] for row in rows}

    def done(self) -> int:
        return self.query("SELECT count(*) AS n FROM results")[0]["n"]

    def wait_running(self, host: str) -> None:
        until = time.monotonic() + 60
        while host not in self.running_on():
            if time.monotonic() > until:
                raise RuntimeError(f"{host} runs nothing")
            time.sleep(0.2)
        time.sleep(2.5)  # so that there are checkpoints to go on from

    def close(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def disturb(lab: Lab, seconds: float) -> None:
    net = lab.network
    if net.delay("w2"):
        lab.say("w2: 40 ms of delay and 1 % of loss from now on")
    else:
        lab.say("this kernel has no netem: no delay and loss")
    lab.wait_running("w1")
    lab.say(f"w1: cable out for {seconds:g} s; {lab.done()} jobs done")
    net.cut("w1", True)
    time.sleep(seconds)
    net.cut("w1", False)
    lab.say(f"w1: cable in; {lab.done()} jobs done")
    lab.wait_running("w2")
    lab.say(f"w2: what it sends is lost for {seconds:g} s")
    net.deafen("w2", 1, True)
    time.sleep(seconds)
    net.deafen("w2", 1, False)
    lab.say(f"w2: heard again; {lab.done()} jobs done")
    lab.wait_running("w1")
    lab.say(f"w1: what is sent to it is lost for {seconds:g} s")
    net.deafen("co", net.hosts["w1"], True)
    time.sleep(seconds)
    net.deafen("co", net.hosts["w1"], False)
    lab.say(f"w1: hears again; {lab.done()} jobs done")
    lab.wait_running("w3")
    lab.say("w3: the host vanishes")
    net.vanish("w3")
    time.sleep(1)
    lab.wait_running("w2")
    lab.say("the coordinator moves from 10.77.0.1 to 10.77.0.2")
    assert lab.server is not None
    for pid in run("ip", "netns", "pids", net.name("co")).stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    lab.server.wait(10)
    net.address("co", 2)
    lab.start_server()
    lab.say(f"the coordinator serves there; {lab.done()} jobs done")


def undisturbed(programs: pathlib.Path, folder: pathlib.Path, lab: Lab) -> None:
    """The same sweep by another coordinator, on loopback, with two workers that nobody disturbs."""
    env = {**os.environ, "XDG_STATE_HOME": str(folder / "state2")}
    subprocess.run([programs / "retort", "local", "sweep.yaml", "--folder", "quiet", "--workers", "2"], cwd=folder, env=env,
                   check=True, capture_output=True)
    server = subprocess.Popen([programs / "retort-server", "--folder", "quiet/coordinator", "--listen", "127.0.0.1:0",
                               "--address-file", "quiet/address", "--log-level", "warn"], cwd=folder, env=env)
    try:
        until = time.monotonic() + 30
        while not (folder / "quiet/address").exists() and time.monotonic() < until:
            time.sleep(0.05)
        for what, sql in (("results", RESULTS), ("points", POINTS)):
            done = subprocess.run([programs / "retort", "--access", folder / "quiet/coordinator/access/admin.access", "query", sql,
                                   "--max-rows", "10000000", "-o", "json"], env=env, check=True, capture_output=True, text=True)
            expected, seen = json.loads(done.stdout), lab.query(sql)
            differ = sum(a != b for a, b in zip(expected, seen)) + abs(len(expected) - len(seen))
            lab.say(f"{what}: {len(seen)} rows, {differ} differ from an undisturbed run")
            if differ or not expected:
                first = next(((a, b) for a, b in zip(expected, seen) if a != b), None)
                raise AssertionError(f"{what} differ from an undisturbed run: {first}")
    finally:
        server.terminate()
        server.wait(20)


def check_resumed(lab: Lab) -> None:
    """An attempt whose predecessors trained long enough for a checkpoint (one each second) went on from one."""
    rows = lab.query("SELECT job, attempt, worker, failure, device_s FROM attempts ORDER BY job, attempt")
    trained: dict[str, float] = {}
    again = resumed = owed = 0
    for row in rows:
        before = trained.get(row["job"], 0.0)
        if row["attempt"] > 1:
            log = lab.retort("job", "logs", row["job"], "--attempt", str(row["attempt"]), check=False).stdout
            found = re.search(r"goes on from epoch (\d+)", log)
            again, resumed = again + 1, resumed + (found is not None)
            owed += found is None and before > 3
            lab.say(f"job {row['job'][:8]} attempt {row['attempt']} on {row['worker']}, after {before:.1f} s of training: "
                    + (found.group(0) if found else "from the beginning"))
        # What a lost attempt is said to have taken ends with its lease.
        lost = (row["failure"] or "").upper() == "LOST"
        trained[row["job"]] = before + max(0.0, (row["device_s"] or 0.0) - LEASE_S * lost)
    lab.say(f"{len(rows)} attempts, {again} begun again, {resumed} of them from a checkpoint")
    if owed or not resumed:
        raise AssertionError("an attempt began again from nothing, or nothing was disturbed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="folder of the programs")
    parser.add_argument("--partition", type=float, default=5, help="seconds of each partition")
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    arguments = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("ip") is None:
        print("SKIPPED: network namespaces need root and iproute2")
        return 77
    tag = f"rt{os.getpid()}"
    if run("ip", "netns", "add", f"{tag}-try", check=False).returncode != 0:
        print("SKIPPED: this machine gives no network namespaces")
        return 77
    run("ip", "netns", "del", f"{tag}-try")
    programs = arguments.bin.resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="retort-netns-"))
    network = Network(tag)
    lab = Lab(programs, folder, network)
    held = False
    try:
        network.add("co", 1)
        for number, host in enumerate(WORKERS):
            network.add(host, 11 + number)
        run(str(programs / "retort"), "data", "synth", "--out", str(folder / "d.safetensors"), "--subjects", "4", "--minutes",
            "3", "--seed", "1")
        # Enough that there is training at the last disturbance.
        seeds = max(3, round(arguments.partition / 2))
        (folder / "sweep.yaml").write_text(SWEEP.format(epochs=400, seeds=", ".join(map(str, range(seeds)))))
        lab.start_server()
        lab.say("the coordinator serves on 10.77.0.1 over TLS")
        lab.retort("sweep", "submit", str(folder / "sweep.yaml"))
        for host in WORKERS:
            lab.start_worker(host)
        disturb(lab, arguments.partition)
        waited = lab.retort("sweep", "wait", "s", "--timeout", f"{240 + 20 * arguments.partition:g}s", check=False)
        lab.say(f"sweep wait: exit code {waited.returncode}, {lab.done()} jobs done")
        if waited.returncode != 0:
            raise AssertionError("not all jobs ended well: " + waited.stderr)
        states = lab.query("SELECT state, count(*) AS n FROM jobs GROUP BY state")
        if [row["state"] for row in states] != ["succeeded"] or states[0]["n"] != lab.done():
            raise AssertionError(f"jobs: {states}")
        check_resumed(lab)
        undisturbed(programs, folder, lab)
        held = True
    finally:
        lab.close()
        network.close()
        if arguments.keep or not held:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder)
    lab.say("all held")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"FAILED: {error}")
        sys.exit(1)
