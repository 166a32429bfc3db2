#!/usr/bin/env python3
"""Makes docs/dashboard.png and docs/divergences.png: the page of `make demo`, after a while under load. Takes two minutes.

    tools/dashboard_shot.py [--all FOLDER]     --all: also dark, and as a phone shows it
"""
import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIMIT_SECONDS, WATCH_MS = 600, 20000
STEPS = [["open", "/"], ["see", "#connection", "Live"], ["wait", WATCH_MS], ["shot", "desktop"], ["dark", True], ["wait", 500],
         ["shot", "desktop-dark"], ["size", "phone"], ["wait", 800], ["shot", "phone-dark"], ["dark", False], ["wait", 500],
         ["shot", "phone"], ["size", "desktop"], ["click", "nav a[data-view=divergences]"], ["see", ".verdict"],
         ["click", "#divergence-analyzed"], ["click", ".divergence .toggle"], ["see", ".divergence .sides"], ["shot", "divergences"],
         ["click", "nav a[data-view=routing]"], ["see", "#routing-cards .share"], ["shot", "routing"]]


def shoot(url, folder):
    done = subprocess.run(["node", ROOT / "tests/node/drive.mjs", url, folder, json.dumps(STEPS)], capture_output=True, text=True,
                          timeout=120, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    if result["failed"] or result["problems"]:
        sys.exit(f"the page: {result}")


def main():
    folder = pathlib.Path(sys.argv[2] if sys.argv[1:2] == ["--all"] else tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, str(ROOT / "examples/shop/demo.py")])
    output, shown, start = b"", False, time.monotonic()
    while time.monotonic() - start < LIMIT_SECONDS:
        try:
            if select.select([terminal], [], [], 1)[0]:
                output += os.read(terminal, 65536)
        except OSError:
            break
        address = re.search(rb"banyan serve: (http://\S+)/", output)
        if address and b"Press Enter" in output and not shown:
            shown = True
            shoot(address[1].decode(), folder)
            os.write(terminal, b"\n")
    if not shown:
        sys.exit(output.decode(errors="replace")[-3000:])
    shutil.copy(folder / "desktop.png", ROOT / "docs/dashboard.png")
    shutil.copy(folder / "divergences.png", ROOT / "docs/divergences.png")


if __name__ == "__main__":
    main()
