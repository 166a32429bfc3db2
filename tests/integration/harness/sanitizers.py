"""What the sanitizers are told, and how their reports are recognised.

A report ends the program with EXIT_CODE, which no command of ours uses, or is found in its output.
"""
import os
import pathlib
import re

EXIT_CODE = 99
_ROOT = pathlib.Path(__file__).resolve().parents[3]
REPORT = re.compile(
    r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error: |Sanitizer:DEADLYSIGNAL")


def environment():
    """The environment for a program that may be built with sanitizers."""
    supp = _ROOT / "tools"
    return {
        **os.environ,
        "ASAN_OPTIONS": f"exitcode={EXIT_CODE}:detect_leaks=1:strict_string_checks=1:"
        "detect_stack_use_after_return=1",
        "LSAN_OPTIONS": f"exitcode={EXIT_CODE}:suppressions={supp}/lsan.supp:print_suppressions=0",
        "UBSAN_OPTIONS": f"exitcode={EXIT_CODE}:print_stacktrace=1",
        "TSAN_OPTIONS": f"exitcode={EXIT_CODE}:suppressions={supp}/tsan.supp:second_deadlock_stack=1",
    }
