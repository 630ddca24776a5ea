"""A headless browser that opens a page, and the server of that page, which hears what it found."""

import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",  # a container has no user namespaces; the page is ours
    "--disable-gpu-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-port=0",  # without it the shell ends when the page is loaded
)


class NoBrowser(Exception):
    """There is no browser, or no page to open in it, and why."""


def browser():
    """Return the program of a browser; raises NoBrowser."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        raise NoBrowser(f"none of {', '.join(PROGRAMS)} is there: make test installs one")
    return found


def cornerstone_page():
    """Return the folder of the page with Cornerstone; raises NoBrowser."""
    command = ["bash", str(REPOSITORY / "ext/cornerstone.sh")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        raise NoBrowser(done.stderr.strip() or f"ext/cornerstone.sh ended with {done.returncode}")
    return Path(done.stdout.strip())


class Page(http.server.SimpleHTTPRequestHandler):
    """Serves the files of the page and what it is to do, and takes what comes of it."""

    def __init__(self, *arguments, work, results, done, **options):
        self.work, self.results, self.done = work, results, done
        super().__init__(*arguments, **options)

    def guess_type(self, path):
        # The decoders ask for their WebAssembly under names without an ending.
        types = {".html": "text/html", ".js": "text/javascript"}
        return types.get(Path(path).suffix, "application/wasm")

    def do_GET(self):
        if self.path != "/work":
            super().do_GET()
            return
        self.answer(json.dumps(self.work).encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/done":
            self.results.append({"name": None, **body})
            self.done.set()
        else:
            self.results.append(body)
        self.answer(b"{}")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Site:
    """The server of a page, whose origin is known before there is something to do."""

    def __init__(self, folder):
        self.work, self.results, self.done = [], [], threading.Event()
        told = {"work": self.work, "results": self.results, "done": self.done}
        handler = partial(Page, directory=folder, **told)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def opened(site, profile, *flags, timeout=300):
    """Open the page of a site, and return what it posted by name when it says that it is done."""
    results = site.results
    log = profile / "browser.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(browser(), *FLAGS, *flags, f"--user-data-dir={profile}"),
                f"{site.origin}/index.html",
            ],
            stdout=output,
            stderr=output,
            start_new_session=True,  # Debian's program is a script that waits for the browser
        )
    try:
        finished = site.done.wait(timeout)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
    assert finished, f"{[each['name'] for each in results]} {log.read_text(errors='replace')}"
    found = {each["name"]: each for each in results}
    assert "error" not in found.pop(None), results[-1]
    return found
