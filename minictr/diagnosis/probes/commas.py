"""Finds the path with a comma in it that --bind took for several."""

from __future__ import annotations

from minictr.diagnosis.interview import Interview


def meant_by(interview: Interview, source: str) -> tuple[str, str]:
    r"""(the path that is there, the bind as it is to be written); ("", "") for no such path.

    `--bind DIR/a,b:/mnt` is read as DIR/a and b:/mnt, and `--bind DIR/a\,b:/mnt` as one.
    """
    here = interview.host.working_directory + "/"
    binds = interview.request.binds
    for first, bind in enumerate(binds):
        path, sources = bind.source, [bind.source]
        for before, later in zip(binds[first:], binds[first + 1 :], strict=False):
            if before.target != before.source:  # it has a target: here the bind ended
                break
            path += "," + later.source.removeprefix(here)
            sources.append(later.source)
            if source in sources and interview.host.exists(path):
                target = f":{later.target}" if later.target != later.source else ""
                option = ":ro" if target and later.read_only else ""
                return path, path.replace(":", "\\:").replace(",", "\\,") + target + option
    return "", ""
