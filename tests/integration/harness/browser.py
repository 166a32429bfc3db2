"""Chromium on the page of a daemon: steps in, what was read out."""
import json
import pathlib
import subprocess

_DRIVE = pathlib.Path(__file__).resolve().parents[2] / "node/drive.mjs"


def drive(url, folder, *steps, timeout=120):
    """Runs the steps of tests/node/drive.mjs; returns what its `read` steps found."""
    done = subprocess.run(["node", str(_DRIVE), url, str(folder), json.dumps(steps)], capture_output=True, text=True,
                          timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert not result["failed"], f"{result['failed']} (see {folder}/failed.png) {result['problems']}"
    assert not result["problems"], result["problems"]
    return result["found"]
