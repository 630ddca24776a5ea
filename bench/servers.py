"""Starting, watching and stopping the servers that the benchmarks compare.

VNA is `.venv/bin/vna serve` (or the program that VNA_BIN names). Orthanc is the program that
VNA_ORTHANC names, run as `PROGRAM CONFIG.json`, else the one that ext/orthanc.sh installs;
VNA_ORTHANC_DIR names a folder that it can see, where all storage is created, so that both write to
the same disk. Without an Orthanc, VNA is measured alone.

CPU seconds are user and system time of all processes of a server, of threads that have ended too.
Memory is PSS, summed over its processes: pages shared with others count in proportion.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NoReturn

REPOSITORY = Path(__file__).resolve().parent.parent
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
# A server is idle when it used less than this share of one processor over the quiet time. Orthanc
# polls in several threads and never gets to zero.
IDLE_SHARE = 0.03
QUIET_S = 1.0
SETTLE_TIMEOUT_S = 120.0
PLUGIN = "usr/share/orthanc/plugins/libOrthancDicomWeb.so"


def storage_parent() -> Path:
    """Return the folder below which servers get their storage."""
    configured = os.environ.get("VNA_ORTHANC_DIR") or os.environ.get("VNA_BENCH_DIR")
    return Path(configured or tempfile.gettempdir())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def drop_cached(folder: Path) -> None:
    """Let the files of a server leave the page cache; only clean pages can."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def read_or_empty(path: str) -> str:
    """Read a file of /proc, which may vanish with its process at any moment."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def process_tree(root: int) -> list[int]:
    """Return `root` and all its descendants that still run."""
    found, pending = [], [root]
    while pending:
        pid = pending.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                children = read_or_empty(f"/proc/{pid}/task/{task}/children")
                pending.extend(map(int, children.split()))
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of a process tree, children that were waited for included."""
    ticks = 0
    for pid in process_tree(root):
        _, _, fields = read_or_empty(f"/proc/{pid}/stat").rpartition(")")
        ticks += sum(map(int, fields.split()[11:15]))
    return ticks / TICKS_PER_SECOND


def pss_bytes(root: int) -> int:
    total = 0
    for pid in process_tree(root):
        for line in read_or_empty(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def public_id(identity: dict[str, str], level: int) -> str:
    """Return the id that clients know a resource by; level 1 is the patient, 4 the instance."""
    names = ("patient_id", "study_instance_uid", "series_instance_uid", "sop_instance_uid")
    digest = hashlib.sha1("|".join(identity[name] for name in names[:level]).encode()).hexdigest()
    return "-".join(digest[at : at + 8] for at in range(0, 40, 8))


class Server:
    """One server process with empty storage of its own."""

    name = ""
    called_ae_title = ""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-", dir=storage_parent()))
        self.http_port, self.dicom_port = free_port(), free_port()
        self.log_path = self.root / "server.log"
        self.start_s = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    # What differs between servers.

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def settings(self) -> dict[str, Any]:
        """What is not at its default."""
        raise NotImplementedError

    # What does not.

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} is not started"
        return self.process.pid

    def start(self) -> None:
        """Start the server; `start_s` is the time to its first answer over HTTP."""
        command, environment = self.command(), os.environ | self.environment()
        with open(self.log_path, "ab") as log:
            began = time.perf_counter()
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _ = self.get(self.readiness_path())
                if status == 200:
                    break
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at start: {self.log_tail()}")
            if time.perf_counter() - began > START_TIMEOUT_S:
                self.kill()
                raise RuntimeError(f"{self.name} gave no answer: {self.log_tail()}")
            time.sleep(0.005)
        self.start_s = time.perf_counter() - began

    def readiness_path(self) -> str:
        return "/system"

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill all processes of the server at once (SIGKILL)."""
        if self.process is None:
            return
        for pid in process_tree(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(STOP_TIMEOUT_S)

    def remove(self) -> None:
        """Stop the server and remove its storage."""
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> Server:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return self.log_path.read_bytes()[-2000:].decode(errors="replace")
        return "(no log)"

    def request(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=30)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, bytes]:
        return self.request("GET", path)

    def get_json(self, path: str) -> Any:
        return self.json_of("GET", path)

    def post_json(self, path: str, body: str) -> Any:
        return self.json_of("POST", path, body)

    def json_of(self, method: str, path: str, body: str | None = None) -> Any:
        status, answer = self.request(method, path, body)
        if status != 200:
            raise RuntimeError(f"{self.name}: {method} {path} answered {status}: {answer[:200]!r}")
        return json.loads(answer)

    def version(self) -> str:
        # VNA answers with the version of the interface that it imitates, and beside it its own.
        system = self.get_json("/system")
        return str(system.get("VnaVersion") or system["Version"])

    def instances(self) -> int:
        return int(self.get_json("/statistics")["CountInstances"])

    def data_set(self, identity: dict[str, str]) -> bytes:
        """Fetch one instance and return its data set, without preamble and meta header."""
        status, file = self.get(f"/instances/{public_id(identity, 4)}/file")
        if status != 200:
            raise RuntimeError(f"{self.name}: instance {identity} answered {status}")
        assert file[128:132] == b"DICM", f"{self.name}: no DICM at byte 128"
        assert file[132:138] == b"\x02\x00\x00\x00UL", f"{self.name}: no (0002,0000) at byte 132"
        return file[144 + int.from_bytes(file[140:144], "little") :]

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def pss_bytes(self) -> int:
        return pss_bytes(self.pid)

    def settle(self) -> float:
        """Wait until the server is idle; return the `time.monotonic` at which it became so."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        samples = [(time.monotonic(), self.cpu_seconds())]
        while time.monotonic() < deadline:
            time.sleep(0.05)
            samples.append((time.monotonic(), self.cpu_seconds()))
            now, used = samples[-1]
            while len(samples) > 2 and samples[1][0] <= now - QUIET_S:
                samples.pop(0)
            began, used_before = samples[0]
            if now - began >= QUIET_S and used - used_before <= IDLE_SHARE * (now - began):
                return began
        raise RuntimeError(f"{self.name} is still busy after {SETTLE_TIMEOUT_S} s")


class Vna(Server):
    """The archive of this repository."""

    name = "vna"
    called_ae_title = "VNA"

    def __init__(self, **settings: str) -> None:
        """Prepare a server; `settings` are further variables, such as VNA__HTTP__HOST."""
        super().__init__()
        self.further_settings = settings

    @staticmethod
    def program() -> Path:
        return Path(os.environ.get("VNA_BIN") or REPOSITORY / ".venv/bin/vna")

    def storage(self) -> Path:
        return self.root / "data"

    def command(self) -> list[str]:
        return [str(self.program()), "serve"]

    def environment(self) -> dict[str, str]:
        return {
            "VNA__STORAGE__ROOT": str(self.storage()),
            "VNA__HTTP__PORT": str(self.http_port),
            "VNA__DICOM__HOST": "127.0.0.1",
            "VNA__DICOM__PORT": str(self.dicom_port),
            **self.further_settings,
        }

    def readiness_path(self) -> str:
        return "/health/ready"

    def settings(self) -> dict[str, Any]:
        return dict(self.further_settings)


class Orthanc(Server):
    """The peer, with its default sync settings."""

    name = "orthanc"
    called_ae_title = "ORTHANC"

    def __init__(self, *, threads: int) -> None:
        self.executable = self.program()
        super().__init__()
        self.threads = threads

    @staticmethod
    def program() -> str:
        """Return the program to run; where there is none, the script goes on without the peer."""
        if wanted := os.environ.get("VNA_ORTHANC"):
            return shutil.which(wanted) or go_on_without_peer(f"{wanted} is no program that runs")
        script = ["bash", str(REPOSITORY / "ext/orthanc.sh")]
        installed = subprocess.run(script, stdout=subprocess.PIPE, text=True)
        return installed.stdout.strip() or go_on_without_peer("ext/orthanc.sh could not install it")

    def settings(self) -> dict[str, Any]:
        return {
            "DicomThreadsCount": self.threads,
            "AuthenticationEnabled": False,
            "RemoteAccessAllowed": False,
            "Plugins": [],
        }

    def environment(self) -> dict[str, str]:
        # DCMTK's own switch; without it each answer waits 40 ms for a delayed acknowledgement.
        return {"TCP_NODELAY": "1"}

    def command(self) -> list[str]:
        storage = self.root / "data"
        storage.mkdir(exist_ok=True)
        configuration = self.root / "orthanc.json"
        folders_and_ports = {
            "StorageDirectory": str(storage),
            "IndexDirectory": str(storage),
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
        }
        configuration.write_text(json.dumps(self.settings() | folders_and_ports))
        return [self.executable, str(configuration)]


def go_on_without_peer(reason: str) -> NoReturn:
    """Say how to name an Orthanc, and run the script again with VNA alone.

    A script that was told which servers to compare ends instead: it cannot do what was asked.
    """
    hint = (
        f"no Orthanc to compare with: {reason}. Set VNA_ORTHANC to a program that runs as "
        "PROGRAM CONFIG.json, and VNA_ORTHANC_DIR to a folder that it can see"
    )
    if any(word.startswith("--servers") for word in sys.argv[1:]):
        sys.exit(hint)
    print(f"{hint}. Going on with VNA alone.\n", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.argv, "--servers", "vna"])


class OrthancWeb(Orthanc):
    """The peer with its DICOMweb plugin, which lies beside it."""

    more: ClassVar[dict[str, Any]] = {}

    def settings(self) -> dict[str, Any]:
        plugin = Path(self.executable).resolve().parent / PLUGIN
        assert plugin.exists(), f"{plugin} is missing"
        web = {"Enable": True, "Root": "/dicom-web/", **self.more}
        return super().settings() | {"Plugins": [str(plugin)], "DicomWeb": web}


class MemorySampler:
    """Samples the PSS of a server while it works; the maximum is what counts."""

    def __init__(self, server: Server, interval_s: float = 0.25) -> None:
        self.server, self.interval_s = server, interval_s
        self.max_bytes = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._end.wait(self.interval_s):
            self._sample()

    def _sample(self) -> None:
        self.max_bytes = max(self.max_bytes, self.server.pss_bytes())

    def __enter__(self) -> MemorySampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._sample()  # what ends before the first one has a figure too


class LoadError(Exception):
    """The load generator could not finish, or a request was not answered with status 0000."""


def loadgen_program() -> Path:
    """Return the load generator, built from this repository when VNA_LOADGEN does not name one."""
    if configured := os.environ.get("VNA_LOADGEN"):
        return Path(configured)
    subprocess.run(
        ["cargo", "build", "--quiet", "--release", "-p", "vna-loadgen"], cwd=REPOSITORY, check=True
    )
    target = os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target"
    return Path(target) / "release/vna-loadgen"


def loadgen_command(program: Path, command: str, options: dict[str, object]) -> list[str]:
    words = [str(program), command]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return words


def loadgen(program: Path, command: str, **options: object) -> dict[str, Any]:
    """Run a command of the load generator and return its report."""
    words = loadgen_command(program, command, options)
    result = subprocess.run(words, capture_output=True, text=True)
    if result.returncode != 0:
        raise LoadError(result.stderr.strip())
    report: dict[str, Any] = json.loads(result.stdout)
    if report.get("failures") or report.get("errors"):
        raise LoadError(f"{' '.join(words)}: {result.stdout.strip()}")
    return report


def send(program: Path, server: Server, **options: object) -> dict[str, Any]:
    """Send objects to `server` and wait until it is idle again.

    Returns the report of the load generator and, beside it, `settled_seconds` (the time from the
    first request until nothing was left to do), `settled_per_second`, the server's `cpu_seconds`,
    background work included, and `foreign_processors`: how many processors others kept busy at the
    same time. Well above 0.2, the kernel's own share, the machine was not ours.
    """
    before, busy_before, began = server.cpu_seconds(), busy_seconds(), time.monotonic()
    report = loadgen(
        program, "send", port=server.dicom_port, called=server.called_ae_title, **options
    )
    ended = time.monotonic()
    # Work that ended before the last answer's arrival here is not "left".
    left_s = max(0.0, server.settle() - ended)
    report["settled_seconds"] = report["seconds"] + left_s
    report["settled_per_second"] = report["stored"] / report["settled_seconds"]
    report["cpu_seconds"] = server.cpu_seconds() - before
    foreign = busy_seconds() - busy_before
    foreign -= report["cpu_seconds"] + report["generator_cpu_seconds"]
    report["foreign_processors"] = foreign / (time.monotonic() - began)
    return report


def ask(
    program: Path, server: Server, requests: list[dict[str, str]], **options: object
) -> dict[str, Any]:
    """Ask `requests` over and over; see the load generator for their form.

    Returns the report of the load generator and, beside it, `cpu_seconds_per_1000` answers and
    `foreign_processors`, as in `send`.
    """
    with tempfile.NamedTemporaryFile("w") as file:
        file.writelines(json.dumps(request) + "\n" for request in requests)
        file.flush()
        before, busy_before, began = server.cpu_seconds(), busy_seconds(), time.monotonic()
        try:
            report = loadgen(program, "http", port=server.http_port, requests=file.name, **options)
        except LoadError as error:
            # The server's folder goes with the run, and with it what it has to say of this.
            raise LoadError(f"{error}\n{server.name} says: {server.log_tail()}") from None
        used = server.cpu_seconds() - before
    foreign = busy_seconds() - busy_before - used - report["generator_cpu_seconds"]
    report["foreign_processors"] = foreign / (time.monotonic() - began)
    report["cpu_seconds_per_1000"] = used / report["answered"] * 1000
    return report


def busy_seconds() -> float:
    """Time that all processors together did not idle."""
    user, nice, system, _idle, _wait, *rest = map(int, read_or_empty("/proc/stat").split()[1:9])
    return (user + nice + system + sum(rest)) / TICKS_PER_SECOND


def machine() -> dict[str, str]:
    """Describe what the figures were measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in read_or_empty("/proc/cpuinfo").splitlines()
         if line.startswith("model name")),
        platform.machine(),
    )  # fmt: skip
    memory_kb = int(read_or_empty("/proc/meminfo").split()[1])
    return {
        "processor": f"{os.cpu_count()} x {model}",
        "memory": f"{memory_kb / 1024 / 1024:.0f} GiB",
        "kernel": platform.release(),
        "file system": file_system(storage_parent()),
    }


def file_system(path: Path) -> str:
    """Return the type of the file system that holds `path`."""

    def mounts() -> Iterator[tuple[str, str]]:
        for line in read_or_empty("/proc/self/mounts").splitlines():
            _, mount, kind, *_ = line.split()
            if path.is_relative_to(mount):
                yield mount, kind

    return max(mounts(), key=lambda found: len(found[0]), default=("", "unknown"))[1]
