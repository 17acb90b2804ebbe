"""Images with modes that keep even their owner out of what a launch looks at."""

from __future__ import annotations

from lab.bench import Case

BUILD = 'minictr build "$DIRECTORY/out.sif" "$IMAGE" 2>"$DIRECTORY/built"'
RUN = 'runuser -u "$USER" -- minictr exec "$DIRECTORY/out.sif" true'
SERVED = 'runuser -u "$USER" -- minictr exec --unpack never "$DIRECTORY/out.sif" true'
SCRIPTS = 'mkdir -p "$IMAGE/.singularity.d/env"'
BEHIND = 'runuser -u "$USER" -- minictr exec --unpack background "$DIRECTORY/out.sif" true'
LARGE = 'head -c 17000000 /dev/urandom >"$IMAGE/large"'  # more than what is unpacked at once
DIRECTORY = 'runuser -u "$USER" -- minictr exec "$IMAGE" true'


def closed(name: str, path: str, run: str, word: str = "search", prepare: str = "") -> Case:
    """A part of an image that is closed; near it one that no launch looks at."""
    return Case(
        "MC0143",
        name=name,
        as_root=True,
        prepare=prepare,
        script=f'chmod 0 "$IMAGE{path}"; {BUILD}; {run}',
        proof=(f"the image gives {path or '/'} the mode 0000", f"it denies {word}"),
        fix=(f"Set the mode of {path or '/'} where the image is built.",),
        repaired=f'chmod 0 "$IMAGE{path}"; chmod 0755 "$IMAGE{path}"; {BUILD}; {run}',
        near=f'mkdir "$IMAGE/kept"; chmod 0 "$IMAGE/kept"; {BUILD}; {run}',
    )


CASES = [
    Case(
        "MC0143",
        proof=("/bin in the image is closed to its owner", "gives /bin the mode 0000"),
        fix=("Set the mode of /bin where the image is built.",),
        repaired=f'chmod 0755 "$IMAGE/bin"; {BUILD}; {RUN}',
        # The cache is what is closed.
        near=f"""{BUILD}; mkdir "$DIRECTORY/cache"; chown "$USER:" "$DIRECTORY/cache"
            chmod 0500 "$DIRECTORY/cache"; MINICTR_CACHEDIR="$DIRECTORY/cache" {RUN}""",
        instead="MC0124",
    ),
    closed("root", "", RUN),
    closed("scripts", "/.singularity.d/env", RUN, "reading", SCRIPTS),
    closed("served", "/.singularity.d/env", SERVED, "reading", SCRIPTS),
    closed("served-root", "", SERVED),
    closed("served-behind", "", BEHIND, prepare=LARGE),
    Case(
        "MC0143",
        name="served-search",
        as_root=True,
        script=f'chmod 0444 "$IMAGE"; {BUILD}; {SERVED}',
        proof=("the image gives / the mode 0444", "it denies search"),
        fix=("Set the mode of / where the image is built.",),
        repaired=f'chmod 0755 "$IMAGE"; {BUILD}; {SERVED}',
        # Nobody may list it, which no launch does.
        near=f'chmod 0111 "$IMAGE"; {BUILD}; {SERVED}',
    ),
    Case(
        "MC0102",
        name="scripts",
        as_root=True,
        prepare=f'{SCRIPTS}; chown -R "$USER:" "$IMAGE/.singularity.d"',
        script=f'chmod 0 "$IMAGE/.singularity.d/env"; {DIRECTORY}',
        proof=("/.singularity.d/env: mode 0000",),
        fix=("chmod u+rx {image}/.singularity.d/env",),
        repaired=f"""chmod 0 "$IMAGE/.singularity.d/env"; {DIRECTORY} 2>"$DIRECTORY/said"
            runuser -u "$USER" -- sh -c "$USER_FIX"; {DIRECTORY}""",
        near=f'chmod 0500 "$IMAGE/.singularity.d/env"; {DIRECTORY}',
    ),
]
