"""The checkers of tools/ find what they are for: a checker that passes everything looks the same."""
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*command, cwd=ROOT):
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout + done.stderr


def tree(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def layers(folder, files):
    tree(folder, {"layers.txt": "low:\nhigh: low\n", **{f"src/{n}": t for n, t in files.items()}})
    return run(sys.executable, ROOT / "tools/check_layers.py", folder / "src",
               folder / "layers.txt")


def test_layers_accepts_downward_includes(tmp_path):
    code, out = layers(tmp_path, {"low/a.h": "", "high/b.c": '#include "low/a.h"\n'})
    assert code == 0, out


@pytest.mark.parametrize("files, complaint", [
    ({"high/b.h": "", "low/a.c": '#include "high/b.h"\n'}, "low may not include high"),
    ({"low/a.h": "", "low/a.c": '#include "a.h"\n'}, "write the folder"),
    ({"high/b.c": '#include "low/gone.h"\n'}, "there is no low/gone.h"),
    ({"odd/a.c": ""}, "odd is not in the list"),
    ({"low/a.h": '#include "low/b.h"\n', "low/b.h": '#include "low/a.h"\n'}, "in a circle"),
])
def test_layers_complains(tmp_path, files, complaint):
    code, out = layers(tmp_path, files)
    assert code == 1 and complaint in out


def lengths(folder, source, exceptions=""):
    tree(folder, {"a.c": source, "tools/length_exceptions.txt": exceptions})
    run("git", "init", "-q", cwd=folder)
    return run(sys.executable, ROOT / "tools/check_length.py", cwd=folder)


def function(lines):
    return "int f(void) {\n" + "    g();\n" * (lines - 3) + "    return 0;\n}\n"


def test_lengths(tmp_path):
    code, out = lengths(tmp_path, function(100))
    assert code == 0 and "1 over a goal, 0 over a limit" in out
    code, out = lengths(tmp_path, function(101))
    assert code == 1 and "a.c:1: f: 101 lines, at most 100" in out
    code, out = lengths(tmp_path, function(101), "a.c:f  a table\n")
    assert code == 0, out
    code, out = lengths(tmp_path, function(100), "a.c:f  a table\n")
    assert code == 1 and "remove its line" in out
    code, out = lengths(tmp_path, "int f(int x) {\n" + "    if (x > 1)\n        x--;\n" * 20
                        + "    return x;\n}\n")
    assert code == 1 and "21 complexity" in out
    code, out = lengths(tmp_path, "\n" * 901)
    assert code == 1 and "901 lines in the file" in out


@pytest.mark.parametrize("body, complaint", [
    ("    x += 1\n" * 100, "101 lines, at most 100"),
    ("    if x > 1:\n        x -= 1\n" * 20, "21 complexity"),
])
def test_lengths_of_python(tmp_path, body, complaint):
    tree(tmp_path, {"tool.py": "def f(x):\n" + body})
    code, out = lengths(tmp_path, function(9))
    assert code == 1 and "tool.py:1: f: " in out and complaint in out


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("call", [
    "strcpy(text, text)", "sprintf(text, text)", "strtok(text, text)", "(void)atoi(text)",
    "(void)alloca(9)", "(void)localtime(0)", "(void)system(text)",
])
def test_banned_functions_do_not_compile(tmp_path, compiler, call):
    source = tmp_path / "a.c"
    command = [compiler, "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-include",
               ROOT / "src/base/banned.h", source]
    source.write_text("void f(char *text);\nvoid f(char *text) {\n    (void)text;\n}\n")
    code, out = run(*command)
    assert code == 0, out
    source.write_text("void f(char *text);\nvoid f(char *text) {\n    %s;\n}\n" % call)
    code, out = run(*command)
    name = call.replace("(void)", "").partition("(")[0]
    assert code == 1 and f"sorry_{name}_is_a_banned_function" in out
