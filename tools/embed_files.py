#!/usr/bin/env python3
"""Turns files into one C source with a table of their bytes: embed_files.py OUTPUT FILE...

The table is `embedded_files` of src/admin/embedded.h; a file is found there by its name without
folders.
"""
import pathlib
import sys

output, *paths = sys.argv[1:]
parts = ['#include "admin/embedded.h"\n']
rows = []
for number, path in enumerate(map(pathlib.Path, paths)):
    data = path.read_bytes()
    lines = [", ".join(map(str, data[i:i + 24])) for i in range(0, len(data), 24)]
    parts.append(f"static const unsigned char bytes_{number}[] = {{\n" + ",\n".join(lines) + "};\n")
    rows.append(f'    {{"{path.name}", bytes_{number}, sizeof bytes_{number}}},\n')
parts.append("const struct embedded_file embedded_files[] = {\n" + "".join(rows) + "};\n"
             f"const size_t embedded_file_count = {len(rows)};\n")
pathlib.Path(output).write_text("\n".join(parts))
