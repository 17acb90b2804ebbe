"""Says which version this is, in the words that clients of each name look for."""

from __future__ import annotations

import minictr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minictr.cli.names import Name

# The version of apptainer whose command line we follow. Clients choose what they pass by this
# number (cwltool: --no-eval from 1.1 on), and read it from "apptainer version X.Y.Z" under both
# names; an empty answer makes snakemake ask for ever.
FOLLOWED = "1.4.5"


def version(name: Name, sentence: bool) -> str:
    """The number, or the sentence that --version prints."""
    if name.drop_in:
        return f"apptainer version {FOLLOWED}" if sentence else FOLLOWED
    return f"minictr {minictr.__version__}" if sentence else minictr.__version__
