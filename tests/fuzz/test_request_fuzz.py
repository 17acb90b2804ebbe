"""Any command line gives a Request or a Refusal."""

from __future__ import annotations

from command_lines import NOWHERE
from hypothesis import given, settings
from hypothesis import strategies as st

from minictr.cli.grammar import read_flags
from minictr.cli.main import ACTIONS, request_of
from minictr.cli.names import named
from minictr.cli.options import ACCEPTED, ACTION, GLOBAL, REFUSED, SHELL, flags_of
from minictr.refusal import Refusal

# What the kernel can pass as an argument, decoded as Python decodes it.
texts = st.binary(max_size=12).map(
    lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)

rows = st.sampled_from((*ACTION, *SHELL, *ACCEPTED, *REFUSED, *GLOBAL))

pieces = st.sampled_from(
    [
        "/a",
        "/b:/c",
        "ro",
        ":",
        ",",
        "=",
        '"',
        "\\",
        "none",
        "1",
        "true",
        "seccomp:",
        "A=1",
        "src=/a",
    ]
)

values = st.one_of(texts, st.lists(pieces, max_size=5).map("".join))

flags = st.one_of(
    texts,
    st.builds(lambda row, value: f"--{row[0]}={value}", rows, values),
    st.builds(lambda row: f"--{row[0]}", rows),
    st.builds(lambda row, value: f"-{row[1]}{value}", rows, values),
)

variable_names = st.one_of(
    texts,
    st.builds(
        lambda prefix, row: prefix + (row[3].split() or ["X"])[-1],
        st.sampled_from(["MINICTR_", "APPTAINER_", "SINGULARITY_", "SINGULARITYENV_"]),
        rows,
    ),
)


@settings(deadline=None, max_examples=300, database=None)  # a checkout may be read-only
@given(
    called_as=st.sampled_from(["minictr", "apptainer"]),
    command=st.sampled_from(sorted(ACTIONS)),
    arguments=st.lists(st.one_of(flags, values), max_size=8),
    environ=st.dictionaries(variable_names, values, max_size=4),
)
def test_any_command_line_gives_a_request_or_a_refusal(
    called_as: str, command: str, arguments: list[str], environ: dict[str, str]
) -> None:
    name = named(called_as)
    given = {**NOWHERE, **environ}
    try:
        read, rest = read_flags(arguments, flags_of(command, not name.drop_in), {})
        made = request_of(name, command, [*rest, "image"], read, given)
    except Refusal as refusal:
        refused = refusal
    else:
        assert all(bind.source[0] == bind.target[0] == "/" for bind in made.binds)
        assert made.host_environment == tuple(given.items())
        return
    assert refused.code in ("usage", "request", "MC0445")  # the last is a bind's
    assert refused.cause
