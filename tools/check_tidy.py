#!/usr/bin/env python3
"""Runs clang-tidy over every C file of a build folder: check_tidy.py BUILD

A file that was clean is not looked at again until its preprocessed text, its command line or the
rules change: BUILD/tidy-clean holds the hashes.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys


def fingerprint(entry, rules):
    """Hash of all that decides the outcome; None where the file does not even preprocess."""
    command = shlex.split(entry["command"])
    output = command.index("-o")
    del command[output : output + 2]
    command[command.index("-c")] = "-E"
    done = subprocess.run(command, cwd=entry["directory"], capture_output=True, check=False)
    if done.returncode:
        return None
    # The file as it is, too: comments (NOLINT) are gone from the preprocessed text.
    source = pathlib.Path(entry["directory"], entry["file"]).read_bytes()
    text = rules + entry["command"].encode() + source + done.stdout
    return hashlib.sha256(text).hexdigest()


def check(entry, build, rules, clean):
    mark = fingerprint(entry, rules)
    if mark and (clean / mark).exists():
        return True, ""
    path = os.path.relpath(os.path.join(entry["directory"], entry["file"]))
    done = subprocess.run(["clang-tidy", "-p", build, "--quiet", path], capture_output=True,
                          text=True, check=False)
    if done.returncode == 0 and mark:
        (clean / mark).touch()
    return done.returncode == 0, done.stdout + (done.stderr if done.returncode else "")


def main():
    build = sys.argv[1]
    rules = pathlib.Path(".clang-tidy").read_bytes()
    clean = pathlib.Path(build, "tidy-clean")
    clean.mkdir(exist_ok=True)
    entries = json.loads(pathlib.Path(build, "compile_commands.json").read_text())
    entries = list({e["file"]: e for e in entries if e["file"].endswith(".c")}.values())
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for ok, text in pool.map(lambda e: check(e, build, rules, clean), entries):
            if not ok:
                failed += 1
                print(text)
    print(f"{len(entries)} files, {failed} with findings")
    sys.exit(bool(failed or not entries))


if __name__ == "__main__":
    main()
