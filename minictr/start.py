"""Turns the call of a start script into one call of the command line, and ends the process."""

import _signal
import posix
import sys
from _frozen_importlib_external import SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from minictr.modules import KeptModules

# Words of a command line for which the modules of a launch are loaded at once.
LAUNCHES = frozenset(("run", "exec", "shell", "test", "run-singularity"))

SIGINT, SIGKILL = 2, 9

# An exception that nobody caught is our own mistake: the statuses of a launcher's failure.
BUG = 125
BUG_DROP_IN = 255
NO_MEMORY = b"minictr: error: no memory is left\n"


def main() -> None:
    """Run the command line of a start script; never returns."""
    called_as = "minictr"
    try:
        end_at_interrupt()
        _, package, site, called_as, *arguments = sys.argv
        sys.path += [package, site]  # behind the standard library: nothing there may hide a module
        if sys.flags.no_site:
            sys.meta_path.append(RestOfThePath)
        end(called_as, arguments)
    except (MemoryError, SystemError):  # failed() had none left to say it
        posix.write(2, NO_MEMORY)
    except OSError as error:  # nor this: ENOMEM, or the package was removed meanwhile
        posix.write(2, f"minictr: error: {error}\n".encode("utf-8", "surrogateescape"))
    posix._exit(BUG if called_as == "minictr" else BUG_DROP_IN)


def end(called_as: str, arguments: list[str]) -> None:
    """Run the command line and end the process with its status; never returns.

    posix._exit saves the 1.4 ms which the interpreter takes to tidy up.
    """
    import gc  # not above: end_at_interrupt() comes before all imports

    gc.disable()  # a launch makes no cycles worth collecting
    try:
        launches = not LAUNCHES.isdisjoint((called_as, *arguments))
        environ = begin(launches)
        modules = kept_modules(environ) if launches else None
        status = run(called_as, arguments, environ)
        flush()
        if modules:
            modules.save()
        if status < 0:
            status = end_by(-status)
    except BrokenPipeError:
        status = 128 + 13  # SIGPIPE: `minictr plan ... | head` ends as any other program does
    except KeyboardInterrupt:
        status = 128 + SIGINT
        end_at_interrupt(now=True)
    except BaseException as error:
        status = failed(called_as, arguments, error)
    posix._exit(status)


def end_at_interrupt(now: bool = False) -> None:
    """Have SIGINT end this process as any other signal does; `now` where one came.

    The interpreter notes it and raises KeyboardInterrupt at the next line, wherever that is: raised
    while importlib gives a lock up, or the interpreter looks whether the start script is an archive
    of modules, it is printed and forgotten. What was printed for the second reason is kept in sys;
    for the first, before this runs, nothing is: one in two thousand, sent at any moment, is lost.
    """
    raises = _signal.default_int_handler  # type: ignore[attr-defined]
    if now or _signal.getsignal(SIGINT) is raises:
        _signal.signal(SIGINT, _signal.SIG_DFL)
    if now or isinstance(getattr(sys, "last_value", None), KeyboardInterrupt):
        posix.kill(posix.getpid(), SIGINT)


def end_by(number: int) -> int:
    """End this process by that signal; gives the status of a shell for it, should it go on.

    No second core file: core(5) has none of a process that is not dumpable.
    """
    from minictr.runtime.privileges import be_unreadable

    be_unreadable()
    if number != SIGKILL:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {number})
    posix.kill(posix.getpid(), number)
    return 128 + number


def kept_modules(environ: dict[str, str]) -> "KeptModules":
    """Load what a launch needs."""
    module = sys.modules.get("minictr.modules") or beside("modules")
    modules: KeptModules = module.KeptModules.of(environ)
    return modules


def beside(name: str) -> "ModuleType":
    """Import the module of that name which lies beside this one: there is nothing to search."""
    here = main.__code__.co_filename.rpartition("/")[0]
    loader = SourceFileLoader(f"minictr.{name}", f"{here}/{name}.py")
    code = loader.get_code(loader.name)
    assert code, "a loader of sources has one"
    module = sys.modules[loader.name] = type(sys)(loader.name)
    module.__file__ = loader.path
    exec(code, module.__dict__)
    return module


def failed(called_as: str, arguments: list[str], error: BaseException) -> int:
    """Report what kept us from beginning, or a mistake of our own; gives the exit status."""
    sys.__dict__.pop("tracebacklimit", None)  # which the start script has set
    as_object = asks_for_object(arguments)
    refusals = sys.modules.get("minictr.refusal")
    if refusals and isinstance(error, refusals.Refusal):
        from minictr.cli.reports import refusal_at_start

        return refusal_at_start(called_as, as_object, error)
    own = called_as == "minictr"
    status = BUG if own else BUG_DROP_IN
    refused = MemoryError, ImportError, RuntimeError, SystemError
    if hasattr(error, "errno") or isinstance(error, refused):
        posix.closerange(3, 1024)  # a report needs descriptors, and we need none of these any more
        short, missing = beside("in_short"), None  # while there is memory for it
        scarce = short.is_shortage(error)
        try:
            if stopped(called_as, as_object, error, scarce):
                return status
        except Exception as lack:  # whatever it is, it is missing for a report, too
            missing = lack
        if missing or scarce:
            label = "minictr: error: " if own else "FATAL:   "
            short.tell(label, status, as_object, error, missing)
            return status
    sys.excepthook(*sys.exc_info())
    return status


def asks_for_object(arguments: list[str]) -> bool:
    """Whether a report is to be JSON, where no command line was read."""
    given = " ".join(arguments).replace("--diagnosis=", "--diagnosis ")
    return posix.environ.get(b"MINICTR_DIAGNOSIS") == b"json" or "--diagnosis json" in given


def let_go(error: BaseException) -> None:
    """Give back what a launch has loaded, which has no use any more."""
    import gc

    for name in [name for name in sys.modules if name.startswith("minictr.")]:
        del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not hasattr(finder, "kept")]
    error.__traceback__ = error.__context__ = None  # their frames hold the rest
    gc.collect()


def stopped(called_as: str, as_object: bool, error: BaseException, scarce: bool) -> int:
    """Report a call that was refused, or a limit of this process: the exit status, 0 for neither.

    scarce   whether memory is what it lacks: a report needs some, too
    """
    if scarce:
        let_go(error)
    from minictr.cli.reports import stopped_at_start

    return stopped_at_start(called_as, as_object, error)


def take_standard_descriptors() -> None:
    """Open /dev/null in place of those that the caller closed.

    A socket or file of ours would get their numbers otherwise, and a payload write to it.
    """
    descriptor = posix.open("/dev/null", posix.O_RDWR)
    while descriptor < 3:
        posix.set_inheritable(descriptor, True)
        descriptor = posix.open("/dev/null", posix.O_RDWR)
    posix.close(descriptor)


def run(called_as: str, arguments: list[str], environ: dict[str, str]) -> int:
    """Call the command line; gives the exit status, also where a command ends by sys.exit."""
    from minictr.cli.main import main as command_line

    try:
        return command_line(called_as, arguments, environ)
    except SystemExit as wish:
        if isinstance(wish.code, str):
            print(wish.code, file=sys.stderr)
            return 1
        return wish.code or 0


def flush() -> None:
    """Write out what print() still holds; a stream that the caller closed is None."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def begin(launches: bool) -> dict[str, str]:
    """Take the standard descriptors, and give the caller's environment. Raises Refusal."""
    try:
        take_standard_descriptors()
        block = read_whole("/proc/self/environ")
    except OSError as error:
        before = set(sys.modules)
        from minictr.unready import environment_block

        block = environment_block(error, launches)
        for name in sys.modules.keys() - before:  # imported where kept_modules() does not see it
            if name.startswith("minictr."):
                del sys.modules[name]
    return environment(block.decode("utf-8", "surrogateescape"))


def environment(block: str) -> dict[str, str]:
    """Give the variables of an environment; bytes that are no UTF-8 are surrogates.

    Where the caller's locale is C, Python sets LC_CTYPE in its own environment (PEP 538): a
    payload must not see that. proc(5) /proc/pid/environ is the environment as execve(2) left it.
    Where a shell starts us it adds two variables of its own: `_`, the interpreter's path, and
    SHLVL, which is 0 where the caller had none.
    """
    environ: dict[str, str] = {}
    for entry in block.split("\0"):
        name, equals, value = entry.partition("=")
        if equals and name:  # a name may be missing: no program could be given such a variable
            environ.setdefault(name, value)  # the first of two wins, as in getenv(3)
    environ.pop("_", None)
    if environ.get("SHLVL") == "0":
        del environ["SHLVL"]
    return environ


def read_whole(path: str) -> bytes:
    """Read a file of unknown size."""
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    parts = []
    while part := posix.read(descriptor, 1 << 16):
        parts.append(part)
    posix.close(descriptor)
    return b"".join(parts)


class RestOfThePath:
    """Finds what the two directories of the start script do not hold, by the skipped site module.

    So a dependency may lie elsewhere (a distribution's own package, for instance), and only a
    program that needs it pays for the search. The last entry of sys.meta_path.
    """

    @classmethod
    def find_spec(
        cls,
        name: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> "ModuleSpec | None":
        """Complete sys.path at the first module that is nowhere, and look again."""
        if path is not None:
            return None
        sys.meta_path.remove(cls)
        import site

        site.main()
        site.addsitedir(sys.argv[2])  # a virtual environment's, started by the base interpreter
        for finder in sys.meta_path:
            if spec := finder.find_spec(name, path, target):
                return spec
        return None
