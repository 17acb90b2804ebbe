"""Runs in place of a start script, for bench/stages: a launch that notes its moments.

It writes them to the descriptor that $MOMENTS names.
"""

import time

moments = [("the interpreter starts", time.monotonic_ns())]

import posix  # noqa: E402
import sys  # noqa: E402
from _frozen_importlib_external import SourceFileLoader  # noqa: E402

name = "minictr.start"
exec(SourceFileLoader(name, sys.argv[1] + "/minictr/start.py").get_code(name))
launcher, leave, load = posix.getpid(), posix._exit, globals()["kept_modules"]


def note(what):
    """One more stage has ended."""
    moments.append((what, time.monotonic_ns()))


def noting(module, name, before, after):
    """Have a function of the package note its begin and its end."""
    function = getattr(sys.modules[module], name)

    def noted(*arguments):
        if before:
            note(before)
        given = function(*arguments)
        if after:
            note(after)
        return given

    setattr(sys.modules[module], name, noted)


def kept_modules(environ):
    """Load them, and have what follows noted."""
    note("`minictr.start` is loaded, the environment read")
    modules = load(environ)
    note("the modules are loaded")
    noting("minictr.cli.actions", "main", "the command line is read", None)
    noting("minictr.cli.actions", "tree_of", None, "host and image are looked up")
    noting("minictr.cli.actions", "launch", "the launch is planned", "the payload has ended")
    noting("minictr.runtime.launch", "_map_ids", "the container is cloned", "the ids are mapped")
    noting("minictr.runtime.launch", "_follow", None, "root and confinement stand, execve(2)")
    return modules


def noted_exit(status):
    """The launcher's last word."""
    if posix.getpid() == launcher:
        note("the launcher is about to end")
        posix.write(int(posix.environ[b"MOMENTS"]), repr(moments).encode())
    leave(status)


posix._exit = noted_exit
globals()["main"]()
