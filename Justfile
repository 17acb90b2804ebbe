# minictr's recipes; `./bootstrap RECIPE` sets up what they need first.

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

# List the recipes
list:
    @just --list --unsorted

# Build the example image and run it
demo: images
    minictr run images/hello.sif
    minictr exec images/hello.sif id

# Everything that CI runs
test: lint types images
    pytest

# Style and format
lint:
    ruff check
    ruff format --check

# Strict static types
types:
    mypy

# Values with values
unit *ARGS:
    pytest tests/unit {{ ARGS }}

# Printed texts against the kept ones
golden *ARGS:
    pytest tests/golden {{ ARGS }}

# Real launches, seen from inside and outside
integration *ARGS: images
    pytest tests/integration {{ ARGS }}

# A reproduction for every cause, the long ones too; writes docs/lab.md
lab *ARGS: images
    LAB_TABLE=docs/lab.md pytest tests/lab -m "long or not long" {{ ARGS }}

# Arbitrary bytes for the parsers, many of them
fuzz *ARGS:
    pytest tests/fuzz --hypothesis-profile=long {{ ARGS }}

# Build the images that are not there yet
images:
    @images/build

# Generate the pages of docs/ that come from the code
docs:
    python docs/generate.py

# Every benchmark, beside the peers that are installed; writes docs/performance.md
bench *ARGS:
    python bench/all {{ ARGS }}
    python bench/report

# The same in the root with all the peers; needs root and the shared lab/peers
bench-in-peers *ARGS:
    bench/in-peers all {{ ARGS }}

# Both README commands in a bare Debian 12 and 13; needs root
bare *ARGS:
    tests/bare/run {{ ARGS }}

# What needs other kernels or security modules, in virtual machines; needs root, shared lab/vm
lab-vm *ARGS:
    python tests/vm/causes {{ ARGS }}

# The AppArmor profile of docs/apparmor.md, in a virtual machine; needs root, shared lab/vm
profile-vm *ARGS:
    python tests/vm/apparmor {{ ARGS }}

# One home directory of two machines over NFS, in a virtual machine; needs root, shared lab/vm
nfs-vm *ARGS:
    python tests/vm/nfs {{ ARGS }}

# The lab's faults explained as other launchers meet them; needs root and the shared lab/peers
why-in-peers *ARGS:
    tests/lab/why-in-peers {{ ARGS }}
