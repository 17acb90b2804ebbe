"""Rewrite a compiled filter into a shorter one that gives every system call the same verdict.

Why: each launch pays for seccomp(2), whose cost is the filter's. The kernel compiles every
instruction, and since 5.11 it runs the filter once for each number of the two ABIs it knows
(kernel/seccomp.c, seccomp_cache_prepare), so that a call which is allowed whatever its arguments
need not ask the filter later. libseccomp tests one number at a time and writes the verdict behind
each: 1500 instructions for an allowlist of three ABIs, of which a call passes fifty.

How: the filter is asked, not translated. Its comparisons cut the numbers into runs which it
cannot tell apart, so what it says of one number holds for the run. That is a verdict or, where
arguments count, a question with two answers, each a verdict or another question. Questions about
the number, which find the run, and about the ABI are put before them. So the whole filter is one
graph of questions, in which equal parts exist once, and which is written down as BPF again.

Kept: the verdict for every ABI, number and arguments, and that a call decided without a look at
its arguments still is, for the kernel's shortcut is open to no other.
"""

from __future__ import annotations

from minictr.runtime import bpf
from minictr.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Instruction = tuple[int, int, int, int]
    Word = tuple[int, int]  # what the accumulator holds: an offset in struct seccomp_data, a mask
    Place = tuple[int, Word]  # a node, and what the accumulator holds on arrival
    Run = tuple[int, int]  # the first number of a run, and the node that answers for it

_ALL = 0xFFFFFFFF
_NUMBER = (bpf.NUMBER_AT, _ALL)
_ARCHITECTURE = (bpf.ARCHITECTURE_AT, _ALL)
_NOTHING = (-1, 0)  # the accumulator at the start: no word of the call, and 0 (linux/filter.h)
_ORDERED = (bpf.EQUAL, bpf.GREATER, bpf.AT_LEAST)  # true from a number on, or at one alone

_KERNEL_ASKS = 512  # at least NR_syscalls: how many numbers the kernel runs a filter for
_REACH = 250  # instructions a conditional jump is let skip; its field holds 255
_CHAIN = 3  # exceptions tested one after another before a tree is cheaper


class Question(Value):
    """One comparison of a part of the call: `word & mask CODE constant`.

    word  an offset in struct seccomp_data
    yes   the node asked next if it holds, no: if not
    """

    word: int
    mask: int
    code: int
    constant: int
    yes: int
    no: int


class Graph:
    """Questions and verdicts, each kept once. A node is an index; it leads to lower ones only."""

    def __init__(self) -> None:
        self.nodes: list[Question | int] = []
        self._known: dict[Question | int, int] = {}

    def add(self, node: Question | int) -> int:
        """The index of a question or of a verdict (SECCOMP_RET_)."""
        if node not in self._known:
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return self._known[node]

    def ask(self, held: Word, code: int, constant: int, yes: int, no: int) -> int:
        """The index of a question about `held`, in the cheapest form that means the same."""
        if yes == no:
            return yes
        word, mask = held
        if code == bpf.EQUAL and mask == constant and constant.bit_count() == 1:
            mask, code = _ALL, bpf.ANY_BIT  # one bit: set if it is not clear
        after = self.nodes[no]
        if code == bpf.ANY_BIT and isinstance(after, Question):
            same = after.replace(constant=0) == Question(word, mask, code, 0, yes, after.no)
            if same:  # "this flag, or else that one" is "one of these flags"
                constant, no = constant | after.constant, after.no
        return self.add(Question(word, mask, code, constant, yes, no))


def squeeze(program: bytes, native: int) -> bytes:
    """`program` in a shorter form, fastest for the ABI `native` (an AUDIT_ARCH value).

    ValueError: it does with an ABI or a number what neither libseccomp nor bpf.py writes.
    """
    instructions: list[Instruction] = list(bpf.INSTRUCTION.iter_unpack(program))
    constants = {k for code, _, _, k in instructions if code in bpf.COMPARE}
    # Between two of these no comparison of a number changes its answer.
    numbers = sorted({0} | {n for k in constants for n in (k, k + 1) if n <= _ALL})
    foreign = next(value for value in range(len(constants) + 1) if value not in constants)
    graph = Graph()
    root = _ask_number(graph, _runs(graph, instructions, foreign, numbers))
    known = constants & set(bpf.AUDIT_ARCH.values())
    for architecture in sorted(known, key=lambda known: known == native):
        tree = _ask_number(graph, _runs(graph, instructions, architecture, numbers))
        root = graph.ask(_ARCHITECTURE, bpf.EQUAL, architecture, tree, root)
    return _written(graph, root)


# --- what the filter says -----------------------------------------------------------------------


def _runs(
    graph: Graph, instructions: list[Instruction], architecture: int, numbers: Iterable[int]
) -> list[Run]:
    runs: list[Run] = []
    for number in numbers:
        seen = {_NUMBER: number, _ARCHITECTURE: architecture, _NOTHING: 0}
        answer = _answer(graph, instructions, seen)
        if not runs or runs[-1][1] != answer:
            runs.append((number, answer))
    return runs


def _answer(graph: Graph, instructions: list[Instruction], seen: dict[Word, int]) -> int:
    """The node for one number of one ABI.

    Forward, every instruction that can be reached is found, with what the accumulator holds
    there. Backward, each gets its node from those behind it: BPF jumps forward only.
    """
    after: dict[Place, list[Place]] = {}
    ahead: list[Place] = [(0, _NOTHING)]
    while ahead:
        place = ahead.pop()
        if place not in after:
            after[place] = _next(instructions[place[0]], place, seen)
            ahead += after[place]
    nodes: dict[Place, int] = {}
    for place in sorted(after, reverse=True):
        code, _, _, constant = instructions[place[0]]
        following = [nodes[next_place] for next_place in after[place]]
        if code == bpf.RETURN:
            nodes[place] = graph.add(constant)
        elif len(following) == 1:
            nodes[place] = following[0]
        else:
            nodes[place] = graph.ask(place[1], code, constant, *following)
    return nodes[0, _NOTHING]


def _next(instruction: Instruction, place: Place, seen: dict[Word, int]) -> list[Place]:
    """What is run after one instruction: two places where it asks about an argument."""
    code, true, false, constant = instruction
    at, held = place[0] + 1, place[1]
    if code == bpf.RETURN:
        return []
    if code == bpf.LOAD:
        return [(at, (constant, _ALL))]
    if code == bpf.AND:
        mask = held[1] & constant
        return [(at, (held[0], mask) if mask else _NOTHING)]
    if code == bpf.JUMP:
        return [(at + constant, held)]
    if held in seen:
        _check(held, code)
        return [(at + (true if bpf.COMPARE[code](seen[held], constant) else false), held)]
    if held[0] in (bpf.NUMBER_AT, bpf.ARCHITECTURE_AT):
        raise ValueError(f"a filter masks the word at {held[0]} with {held[1]:#x}")
    return [(at + true, held), (at + false, held)]


def _check(held: Word, code: int) -> None:
    """Runs are sound for comparisons by order, and one foreign ABI for all if only names count."""
    if (held == _NUMBER and code not in _ORDERED) or (held == _ARCHITECTURE and code != bpf.EQUAL):
        raise ValueError(f"a filter compares the word at {held[0]} by instruction {code:#x}")


# --- the way to the run -------------------------------------------------------------------------


class Stretch(Value):
    """Numbers from `first` to the next stretch, answered by `node` but for a few exceptions."""

    first: int
    node: int
    exceptions: tuple[Run, ...]  # single numbers

    def weight(self, end: int) -> int:
        """How much its depth in a tree matters: how often the kernel comes past at seccomp(2)."""
        return 1 + max(0, min(end, _KERNEL_ASKS) - self.first)


def _ask_number(graph: Graph, runs: list[Run]) -> int:
    """The node that finds the run of a number and asks on there."""
    stretches = _stretches(runs)
    ends = [stretch.first for stretch in stretches[1:]] + [_ALL]
    weights = [stretch.weight(end) for stretch, end in zip(stretches, ends, strict=True)]
    return _tree(graph, stretches, weights)


def _tree(graph: Graph, stretches: list[Stretch], weights: list[int]) -> int:
    """A binary tree, each question dividing the weight and not the count: Huffman's thought.

    The order of calls by how often programs make them is of no use: the frequent ones are
    allowed by number alone, and the kernel does not ask for them.
    """
    if len(stretches) == 1:
        node = stretches[0].node
        for number, answer in stretches[0].exceptions:
            node = graph.ask(_NUMBER, bpf.EQUAL, number, answer, node)
        return node
    heavier = [max(sum(weights[:at]), sum(weights[at:])) for at in range(1, len(stretches))]
    middle = 1 + heavier.index(min(heavier))
    above = _tree(graph, stretches[middle:], weights[middle:])
    below = _tree(graph, stretches[:middle], weights[:middle])
    return graph.ask(_NUMBER, bpf.AT_LEAST, stretches[middle].first, above, below)


def _stretches(runs: list[Run]) -> list[Stretch]:
    """Join runs over the single numbers between them.

    A lone number in an answer of others costs one instruction (is it this one?) as an exception
    and two (from here on? from there on?) as a run.
    """
    kept = [*_kept(runs), len(runs)]
    stretches: list[Stretch] = []
    for at, following in zip(kept, kept[1:], strict=False):
        first, node = runs[at]
        exceptions = runs[at + 1 : following]
        if stretches and stretches[-1].node == node:
            first, exceptions = stretches[-1].first, [*stretches.pop().exceptions, *exceptions]
        stretches.append(Stretch(first, node, tuple(exceptions)))
    return [part for stretch in stretches for part in _parts(stretch)]


def _parts(stretch: Stretch) -> list[Stretch]:
    """Divide a stretch whose exceptions would be a long chain, passed by every number in it."""
    first, exceptions = stretch.first, stretch.exceptions
    parts = []
    for at in range(0, max(len(exceptions), 1), _CHAIN):
        parts.append(stretch.replace(first=first, exceptions=exceptions[at : at + _CHAIN]))
        first = exceptions[at + _CHAIN][0] if at + _CHAIN < len(exceptions) else first
    return parts


def _kept(runs: list[Run]) -> list[int]:
    """The runs that are not exceptions, so that the fewest questions are asked: shortest path.

    From a kept run to the next one it costs a question for each exception between them and, if
    their answers differ, one for where the second begins.
    """
    best: list[tuple[int, list[int]]] = [(0, [0])]
    for at in range(1, len(runs)):
        ways = []
        for before in range(at - 1, -1, -1):
            cost = best[before][0] + at - before - 1 + (runs[before][1] != runs[at][1])
            ways.append((cost, [*best[before][1], at]))
            if runs[before + 1][0] - runs[before][0] > 1:
                break  # too long for an exception
        best.append(min(ways))
    return best[-1][1]


# --- BPF again ----------------------------------------------------------------------------------


def _written(graph: Graph, root: int) -> bytes:
    """The graph as a program, written from its end, as each jump must know how far it goes."""
    code: list[Instruction] = []
    written: dict[Place, int] = {}  # the index in `code`, which is back to front
    for place in sorted(_places(graph, root)):
        node, held = graph.nodes[place[0]], place[1]
        if isinstance(node, int):
            code.append((bpf.RETURN, 0, 0, node))
        else:
            needed = (node.word, node.mask)
            targets = [_near(code, written, _place(graph, n, needed)) for n in (node.yes, node.no)]
            yes, no = (len(code) - 1 - target for target in targets)
            code.append((node.code, yes, no, node.constant))
            if held != needed and node.mask != _ALL:
                code.append((bpf.AND, 0, 0, node.mask))
            if held != needed:
                code.append((bpf.LOAD, 0, 0, node.word))
        written[place] = len(code) - 1
    return b"".join(bpf.INSTRUCTION.pack(*instruction) for instruction in reversed(code))


def _places(graph: Graph, root: int) -> set[Place]:
    """The nodes that are reached, once for each state of the accumulator they are reached in."""
    places: set[Place] = set()
    ahead = [_place(graph, root, _NOTHING)]
    while ahead:
        place = ahead.pop()
        node = graph.nodes[place[0]]
        if place not in places and isinstance(node, Question):
            ahead += [_place(graph, n, (node.word, node.mask)) for n in (node.yes, node.no)]
        places.add(place)
    return places


def _place(graph: Graph, node: int, held: Word) -> Place:
    """Only a question about the very word that is held saves a load."""
    question = graph.nodes[node]
    saves = isinstance(question, Question) and held == (question.word, question.mask)
    return (node, held if saves else _NOTHING)


def _near(code: list[Instruction], written: dict[Place, int], place: Place) -> int:
    """The index to jump to for `place`; one that is out of reach is first brought near.

    A verdict is written again, as it is no longer than the BPF_JA that leads to all else.
    """
    target = written[place]
    if len(code) - target > _REACH:
        far = code[target]
        again = far if far[0] == bpf.RETURN else (bpf.JUMP, 0, 0, len(code) - 1 - target)
        code.append(again)
        written[place] = len(code) - 1
    return written[place]
