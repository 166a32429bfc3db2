#!/usr/bin/env python3
"""Holds the budgets of length and complexity over our code, C and Python.

Hard limits fail; goals are only counted and, with --verbose, listed. Exceptions live in
tools/length_exceptions.txt, each with its reason; one that is no longer needed fails as well, so
that the list cannot rot. Complexity is McCabe's, with a flat switch counted once.
"""
import pathlib
import subprocess
import sys

import lizard

FUNCTION_LINES, FUNCTION_GOAL = 100, 60
FILE_LINES, FILE_GOAL = 900, 500
COMPLEXITY = 20
EXCEPTIONS = pathlib.Path("tools/length_exceptions.txt")


def read_exceptions():
    """{"path" or "path:function": reason}"""
    entries = {}
    for number, line in enumerate(EXCEPTIONS.read_text().splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, _, reason = line.partition("  ")
        if not reason.strip():
            sys.exit(f"{EXCEPTIONS}:{number}: two spaces and a reason must follow the name")
        entries[name] = reason.strip()
    return entries


def our_files():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.c", "*.h",
         "*.py"],
        check=True, capture_output=True, text=True)
    return [name for name in sorted(set(listed.stdout.split())) if pathlib.Path(name).exists()]


def measure(path):
    """Yields (name, where, value, what, goal, limit) for a file and its functions."""
    lines = len(pathlib.Path(path).read_text().splitlines())
    yield path, f"{path}:1", lines, "lines in the file", FILE_GOAL, FILE_LINES
    extensions = lizard.get_extensions(["modified"])
    for function in lizard.analyze_files([path], exts=extensions):
        for item in function.function_list:
            name, where = f"{path}:{item.name}", f"{path}:{item.start_line}: {item.name}"
            length = item.end_line - item.start_line + 1
            yield name, where, length, "lines", FUNCTION_GOAL, FUNCTION_LINES
            yield (name, where, item.cyclomatic_complexity, "complexity", COMPLEXITY, COMPLEXITY)


def main():
    verbose = "--verbose" in sys.argv[1:]
    exceptions = read_exceptions()
    unused, failed, over_goal, files = set(exceptions), 0, 0, our_files()
    for path in files:
        for name, where, value, what, goal, limit in measure(path):
            if value > limit and name in exceptions:
                unused.discard(name)
            elif value > limit:
                failed += 1
                print(f"{where}: {value} {what}, at most {limit}")
            elif value > goal:
                over_goal += 1
                if verbose:
                    print(f"{where}: {value} {what}, the goal is {goal}")
    for name in sorted(unused):
        failed += 1
        print(f"{EXCEPTIONS}: {name} is within the limits: remove its line")
    print(f"{len(files)} files, {over_goal} over a goal, {failed} over a limit")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
