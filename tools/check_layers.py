#!/usr/bin/env python3
"""Holds the layering of src/: usage: check_layers.py SRC LAYERS.TXT

Fails on an include that layers.txt does not allow, on an include of our own without its folder
("file.h" instead of "folder/file.h"), on a folder that layers.txt does not name, on a header that
is not there, and on headers that include each other in a circle.
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')


def read_rules(path):
    """{folder: set of folders it may include}; a folder may only name folders above its line."""
    allowed = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        folder, _, below = line.split("#")[0].strip().partition(":")
        if not folder:
            continue
        for other in below.split():
            if other not in allowed:
                sys.exit(f"{path}:{number}: {folder} uses {other}, which is not below it")
        allowed[folder] = set(below.split())
    return allowed


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match[1]


def check_file(root, path, allowed):
    """Complaints about one file."""
    layer = path.relative_to(root).parts[0]
    if layer not in allowed:
        yield f"{path}:1: folder {layer} is not in the list of layers"
        return
    for number, name in includes(path):
        other, slash, _ = name.partition("/")
        if not slash:
            yield f'{path}:{number}: write the folder: "{layer}/{name}"'
        elif not (root / name).exists():
            # A file that the build makes (embedded SQL, tables) lies in its own folder.
            if other != layer:
                yield f"{path}:{number}: there is no {name}"
        elif other != layer and other not in allowed[layer]:
            yield f"{path}:{number}: {layer} may not include {other}"


def header_circles(root):
    """Complaints about headers that reach themselves."""
    graph = {str(p.relative_to(root)): [n for _, n in includes(p)] for p in root.rglob("*.h")}
    done = set()

    def visit(name, trail):
        if name in trail:
            yield "headers in a circle: " + " -> ".join([*trail[trail.index(name) :], name])
        elif name not in done:
            for other in graph.get(name, ()):
                yield from visit(other, [*trail, name])
            done.add(name)

    for name in sorted(graph):
        yield from visit(name, [])


def main():
    root, rules = map(pathlib.Path, sys.argv[1:3] or ("src", "tools/layers.txt"))
    allowed = read_rules(rules)
    complaints = list(header_circles(root))
    files = [p for p in sorted(root.rglob("*")) if p.suffix in (".c", ".h") and p.parent != root]
    for path in files:
        complaints.extend(check_file(root, path, allowed))
    print("\n".join(complaints) if complaints else f"{len(files)} files keep to the layers")
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
