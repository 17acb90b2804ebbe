"""Launches as on an old kernel: `launch_on_old_kernel.py MAJOR MINOR PACKAGE ARGUMENTS...`.

The plan is made for a host of that kernel, and carried out on this one. What the plan chooses for
the old kernel is what is tested; that this kernel could do more does no harm.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    major, minor, package, *arguments = sys.argv[1:]
    sys.path.insert(0, package)
    from minictr.cli import actions, main, names, plan
    from minictr.cli.grammar import read_flags
    from minictr.cli.options import flags_of
    from minictr.host import read_host

    def old_host() -> object:
        return read_host().replace(kernel=(int(major), int(minor)))

    actions.read_host = plan.read_host = old_host
    command, *rest = arguments
    values, rest = read_flags(rest, flags_of("exec", True), {})
    request = main.request_of(names.MINICTR, "exec", rest, values, dict(os.environ))
    return (plan if command == "plan" else actions).main(request)


if __name__ == "__main__":
    sys.exit(main())
