"""Faults of image files, which are refused before any step."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import AS_USER

RUN = 'minictr exec "$DIRECTORY/image.sif" true'
GOOD = 'cp "$SIF" "$DIRECTORY/image.sif"'
AGAIN = f"{GOOD}; {RUN}"
# Everybody may read it but the user, by an entry of its own.
LISTED = f"""{GOOD}; chown root "$DIRECTORY/image.sif"; chmod 0644 "$DIRECTORY/image.sif"
    setfacl -m "u:$USER:-" """


def poked(offset: int, text: str) -> str:
    """A good image with some bytes changed, and a launch of it."""
    return f'{GOOD} && poke "$DIRECTORY/image.sif" {offset} "{text}"; {RUN}'


# In bb-gzip.sif: descriptors of 585 bytes from 4096 on, the third is the primary partition's; the
# file system lies from 36864 on. What a descriptor says of a partition is not read of the first.
FIRST, PRIMARY = 4096, 5266
FILE_SYSTEM, KIND, MACHINE = 201, 205, 209
SQUASHFS = 36864

CASES = [
    Case(
        "MC0101",
        proof=("nosuch.sif",),
        fix=("ls {directory}",),
        repaired='cp "$SIF" "$DIRECTORY/nosuch.sif"; minictr exec "$DIRECTORY/nosuch.sif" true',
        near='ln -s "$SIF" "$DIRECTORY/link.sif"; minictr exec "$DIRECTORY/link.sif" true',
    ),
    Case(
        "MC0102",
        proof=("{directory}/image.sif",),
        fix=("chmod u+r {directory}/image.sif",),
        repaired=f'{GOOD} && chmod 0 "$DIRECTORY/image.sif" && eval "$USER_FIX"; {RUN}',
        near=f'{GOOD} && chmod 0400 "$DIRECTORY/image.sif"; {RUN}',
    ),
    Case(
        "MC0102",
        name="list",
        as_root=True,
        script=f'{LISTED} "$DIRECTORY/image.sif"; {AS_USER} {RUN}',
        proof=("mode 0644", "it has an access control list"),
        fix=("setfacl -m u:{uid}:r {directory}/image.sif",),
        repaired=f"""{LISTED} "$DIRECTORY/image.sif"
            setfacl -m "u:$USER:r" "$DIRECTORY/image.sif"; {AS_USER} {RUN}""",
        near=f"""{LISTED} "$DIRECTORY/image.sif"; setfacl -b "$DIRECTORY/image.sif"
            {AS_USER} {RUN}""",
    ),
    Case(
        "MC0103",
        proof=("{directory}/image.sif",),
        repaired=AGAIN,
        near=f'mkfifo "$DIRECTORY/fifo"; {AGAIN}',
    ),
    Case(
        "MC0104",
        proof=("{directory}/image.sif",),
        repaired=AGAIN,
        near=f'printf x >"$DIRECTORY/image.sif"; {RUN}',
        instead="MC0114",
    ),
    Case(
        "MC0105",
        proof=("{directory}/image.sif",),
        fix=("head {directory}/image.sif",),
        repaired=AGAIN,
        near=f"echo 'how to write <html>' >\"$DIRECTORY/image.sif\"; {RUN}",
        instead="MC0114",
    ),
    Case(
        "MC0106",
        proof=("{directory}/image.sif",),
        fix=("tar -xf {directory}/image.sif",),
        repaired="""cd "$DIRECTORY" && tar -cf image.sif -C "$IMAGE" . && eval "$USER_FIX"
            minictr exec root true""",
        near=f'printf "%300s" ustar >"$DIRECTORY/image.sif"; {RUN}',
        instead="MC0114",
    ),
    Case(
        "MC0107",
        proof=("{directory}/image.sif",),
        fix=("debugfs -R",),
        repaired="""cd "$DIRECTORY" && truncate -s 16M image.sif
            mkfs.ext3 -q -d "$IMAGE" image.sif && eval "$USER_FIX"; minictr exec root true""",
        near=f'truncate -s 1M "$DIRECTORY/image.sif"; {RUN}',
        instead="MC0114",
    ),
    Case(
        "MC0108",
        proof=("{directory}/image.sif",),
        repaired=AGAIN,
        near=poked(FIRST + FILE_SYSTEM, "\\006"),
    ),
    Case(
        "MC0109",
        proof=("{directory}/image.sif",),
        repaired=AGAIN,
        near=poked(FIRST, "\\007"),
    ),
    Case(
        "MC0110",
        proof=("{directory}/image.sif",),
        repaired=AGAIN,
        near=poked(FIRST + MACHINE, "10"),
    ),
    Case(
        "MC0111",
        proof=("{directory}/image.sif",),
        repaired=AGAIN,
        near=poked(FIRST + KIND, "\\003"),
    ),
    Case(
        "MC0112",
        proof=("{directory}/image.sif",),
        repaired=AGAIN,
        near=f'{GOOD} && echo more >>"$DIRECTORY/image.sif"; {RUN}',
    ),
    Case(
        "MC0113",
        proof=("{directory}/image.sif",),
        repaired=AGAIN,
        near=poked(50, "99"),  # the identifier, which may be anything
    ),
    Case(
        "MC0114",
        proof=("{directory}/image.sif",),
        fix=("file {directory}/image.sif",),
        repaired=AGAIN,
        near='mv "$SIF" "$DIRECTORY/image.sif.txt"; minictr exec "$DIRECTORY/image.sif.txt" true',
    ),
    Case(
        "MC0115",
        proof=("{directory}/image.sif",),
        repaired=AGAIN,
        near=poked(SQUASHFS + 8, "x"),  # when it was made
    ),
    Case(
        "MC0116",
        proof=("{directory}/image.sif",),
        repaired=AGAIN,
        near=poked(SQUASHFS + 9, "\\011"),
    ),
    Case(
        "MC0117",
        proof=("{directory}/image.sif",),
        repaired=AGAIN,
        near=poked(FIRST + FILE_SYSTEM, "\\004"),
    ),
    Case(
        "MC0117",
        name="version",
        script=poked(42, "02"),
        proof=("is a SIF of version 02", "byte 42: version is '02"),
        fix=("Build the image again as a SIF of version 01.",),
        repaired=AGAIN,
        near=poked(42, "01"),
    ),
    Case(
        "MC0117",
        name="squashfs",
        script=poked(SQUASHFS + 28, "\\003"),
        proof=("is a squashfs of version 3.0", "4.0 is expected"),
        fix=("Build the image again as a squashfs of version 4.0.",),
        repaired=AGAIN,
        near=poked(SQUASHFS + 28, "\\004"),
    ),
    Case(
        "MC0120",
        proof=("{directory}/image.sif",),
        repaired=AGAIN,
        near=poked(SQUASHFS - 2, "xx"),  # between the objects
    ),
]
