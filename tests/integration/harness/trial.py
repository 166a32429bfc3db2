"""What the tools that try random things have in common: options and folders."""
import argparse
import pathlib
import random
import shutil
import tempfile


def parser(description):
    made = argparse.ArgumentParser(description=description,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--seed", type=int, help="default: a random one, which is printed")
    made.add_argument("--keep", metavar="DIR", help="keep configurations, states and logs there")
    return made


def parse(made):
    arguments = made.parse_args()
    if arguments.seed is None:
        arguments.seed = random.randrange(10**9)
    return arguments


class Folders:
    """`servers`, removed at the end, and `logs` (configurations, states, logs), which stay where
    the user named a folder for them, or where something has failed."""

    def __init__(self, name, keep):
        self.failed = False
        self._keep = keep
        self.logs = pathlib.Path(keep or tempfile.mkdtemp(prefix=f"banyan-{name}-"))
        self.logs.mkdir(parents=True, exist_ok=True)
        self.servers = pathlib.Path(tempfile.mkdtemp(prefix=f"banyan-{name}-servers-"))
        # Not a private folder: the user postgres must be able to enter it.
        self.servers.chmod(0o755)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        shutil.rmtree(self.servers, ignore_errors=True)
        if not (kind or self.failed or self._keep):
            shutil.rmtree(self.logs, ignore_errors=True)
