#!/usr/bin/env python3
"""Turns a file into the numbers of its bytes, for #include inside an array initialiser."""
import pathlib
import sys

data = pathlib.Path(sys.argv[1]).read_bytes()
lines = [", ".join(map(str, data[i:i + 20])) for i in range(0, len(data), 20)]
pathlib.Path(sys.argv[2]).write_text(",\n".join(lines) + "\n")
