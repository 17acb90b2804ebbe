"""The texts of the start scripts: each finds an interpreter and the package, and starts the two."""

from __future__ import annotations

import os
import sys
import sysconfig

# What a start script gives to `python3 -X utf8 -I -S -c`, followed by the directory of the package,
# that of its dependencies, the name called as, and the arguments. The loader is the one that a
# search would find; the search reads three directories. What fails before start.py runs, which a
# lack of memory does, is one line of the interpreter's: start.py has tracebacks printed again.
CODE = """import sys
sys.tracebacklimit = 0
from _frozen_importlib_external import SourceFileLoader
name = "minictr.start"
exec(SourceFileLoader(name, sys.argv[1] + "/minictr/start.py").get_code(name))
main()"""

SYSTEM_PYTHON = "/usr/bin/python3"

# The script that is installed where the system's own python3 installs minictr. Any python3 can read
# it: that may be another one tomorrow. It is compiled at every start, and a text that is not needed
# costs nothing there: so what looks further is one.
_INSTALLED = """\
#!{python} -ISXutf8
# Starts minictr. The kernel starts the interpreter: no shell has to, docs/install.md.
import sys
sys.tracebacklimit = 0
from _frozen_importlib_external import SourceFileLoader
from posix import lstat
name, script, code = "minictr.start", sys.argv[0], None
site = script.rsplit("/", 2)[0] + "/lib/python%d.%d/site-packages" % sys.version_info[:2]
try:
    if script[0] == "/" and lstat(script).st_mode >> 12 == 0o10:  # and no link: S_IFREG
        code = SourceFileLoader(name, {package} + "/minictr/start.py").get_code(name)
except OSError:
    pass
if code is None:
    exec(r'''{search}''')
sys.argv[:1] = "-c", {package}, site, script.rpartition("/")[2]
exec(code)
main()
"""

# Follows the links of the script's own path, as pipx makes one; all else the shell script finds.
_SEARCH = """
from posix import execv, getcwd, readlink
path = script if script[:1] == "/" else getcwd() + "/" + script
try:
    while True:
        link = readlink(path)
        path = link if link[:1] == "/" else path.rpartition("/")[0] + "/" + link
except OSError:
    library = path.rpartition("/")[0] + "/../lib/python%d.%d/" % sys.version_info[:2]
for packages in "site-packages", "dist-packages":
    site = library + packages
    try:
        code = SourceFileLoader(name, {package} + "/minictr/start.py").get_code(name)
        break
    except OSError:
        continue
else:
    execv("/bin/bash", ["bash", "-pc", {shell}, *sys.argv])
"""


def installed_script(shell: str, package: str = "") -> str:
    """Give the text of the start script that an installation by the system's python3 makes.

    shell    the text of scripts/minictr, which finds what this one does not
    package  the directory that holds minictr/; "" where that is installed, too
    """
    lines = [line for line in shell.splitlines() if line and not line.startswith("#")]
    named = ascii(package) if package else "site"
    search = _SEARCH.format(package=named, shell=ascii("\n".join(lines)))
    return _INSTALLED.format(python=SYSTEM_PYTHON, package=named, search=search)


def script_for(name: str, python: str, package: str, site: str) -> str:
    """Give the text of a start script for a fixed name and absolute paths, which looks for nothing.

    The kernel starts the interpreter itself where its path fits a `#!` line, execve(2): blanks end
    it, and 255 bytes are read. A shell in between costs a millisecond.

    name     what the program is called as: "singularity", "apptainer", ...
    python   the interpreter
    package  the directory that holds minictr/
    site     the directory that holds its dependencies
    """
    if len(python.encode()) < 200 and not set(python) & set(" \t\n"):
        words = ["-c", package, site, name]
        return f"#!{python} -ISXutf8\n" + CODE.replace("\n", f"\nsys.argv[:1] = {words!a}\n", 1)
    shell = " ".join(quote(word) for word in (CODE, package, site, name))
    return f'#!/bin/bash -p\nexec {quote(python)} -X utf8 -IS -c {shell} "$@"\n'


def here() -> tuple[str, str, str]:
    """Give the interpreter, package directory and site directory of this very process."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    site = sys.argv[2] if sys.argv[0] == "-c" else sysconfig.get_path("purelib")
    return sys.executable, package, os.path.abspath(site)


def quote(word: str) -> str:
    """Quote a word for sh."""
    return "'" + word.replace("'", "'\\''") + "'"
