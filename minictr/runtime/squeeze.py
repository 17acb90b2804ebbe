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

from itertools import pairwise

from minictr.runtime import bpf
from minictr.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    Instruction = tuple[int, int, int, int]
    Word = tuple[int, int]  # what the accumulator holds: an offset in struct seccomp_data, a mask
    Place = tuple[int, Word]  # an instruction or a node, and what the accumulator holds there
    Run = tuple[int, int]  # the first number of a run, and the node that answers for it

_ALL = 0xFFFFFFFF
_NUMBER = (bpf.NUMBER_AT, _ALL)
_ARCHITECTURE = (bpf.ARCHITECTURE_AT, _ALL)
_NOTHING = (-1, 0)  # no word of the call, and 0: at the start, and what a mask of 0 leaves
_FOREIGN = 0  # for every ABI that bpf.AUDIT_ARCH does not name
_SEEN = (bpf.NUMBER_AT, bpf.ARCHITECTURE_AT, -1)  # words known when the filter is asked

_KERNEL_ASKS = 512  # at least NR_syscalls: how many numbers the kernel runs a filter for
_REACH = 250  # how far a conditional jump may go; 255 less what is put between for its other way
_CHAIN = 3  # exceptions tested one after another before a tree is cheaper


class Question(Value):
    """A comparison, `word & mask CODE constant`, and the nodes which go on from each answer."""

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
            other = Question(word, mask, code, after.constant, yes, after.no)
            if after == other:  # "this flag, or else that one" is "any of these flags"
                constant, no = constant | after.constant, after.no
        return self.add(Question(word, mask, code, constant, yes, no))


def squeeze(program: bytes, native: int) -> bytes:
    """`program` in a shorter form, fastest for the ABI `native` (an AUDIT_ARCH value).

    ValueError: it does with an ABI or a number what neither libseccomp nor bpf.py writes.
    """
    instructions = bpf.decoded(program)
    constants = {k for code, _, _, k in instructions if code in bpf.COMPARE}
    # Between two of these no comparison of a number changes its answer.
    numbers = sorted({0} | {n for k in constants for n in (k, k + 1) if n <= _ALL})
    graph = Graph()
    root = _ask_number(graph, _runs(graph, instructions, _FOREIGN, numbers))
    known = constants & set(bpf.AUDIT_ARCH.values())
    for architecture in sorted(known, key=lambda known: known == native):
        tree = _ask_number(graph, _runs(graph, instructions, architecture, numbers))
        root = graph.ask(_ARCHITECTURE, bpf.EQUAL, architecture, tree, root)
    return _written(graph, root)


def _runs(
    graph: Graph, instructions: tuple[Instruction, ...], architecture: int, numbers: list[int]
) -> list[Run]:
    """What the filter says of each number: the runs of one ABI, in order."""
    runs: list[Run] = []
    for number in numbers:
        seen = {_NUMBER: number, _ARCHITECTURE: architecture, _NOTHING: 0}
        answer = _answer(graph, instructions, seen)
        if not runs or runs[-1][1] != answer:
            runs.append((number, answer))
    return runs


def _answer(graph: Graph, instructions: tuple[Instruction, ...], seen: dict[Word, int]) -> int:
    """The node for one number of one ABI.

    Forward, all places are found where it is not decided how to go on, or where all is. Backward,
    each gets its node from those behind it: BPF jumps forward only.
    """
    after: dict[Place, list[Place]] = {}
    start = _decided(instructions, (0, _NOTHING), seen)
    ahead = [start]
    while ahead:
        place = ahead.pop()
        if place not in after:
            (code, true, false, _), (at, held) = instructions[place[0]], place
            ways = () if code == bpf.RETURN else (at + 1 + true, at + 1 + false)
            after[place] = [_decided(instructions, (way, held), seen) for way in ways]
            ahead += after[place]
    nodes: dict[Place, int] = {}
    for place in sorted(after, reverse=True):
        code, _, _, constant = instructions[place[0]]
        following = [nodes[way] for way in after[place]]
        nodes[place] = (
            graph.ask(place[1], code, constant, *following) if following else graph.add(constant)
        )
    return nodes[start]


def _decided(instructions: tuple[Instruction, ...], place: Place, seen: dict[Word, int]) -> Place:
    """Go on from `place` to the next return, or comparison of what is not in `seen`."""
    at, held = place
    while True:
        code, true, false, constant = instructions[at]
        if code == bpf.LOAD:
            held = (constant, _ALL)
        elif code == bpf.AND:
            mask = held[1] & constant
            held = (held[0], mask) if mask else _NOTHING
        elif code == bpf.JUMP:
            at += constant
        elif code == bpf.RETURN or held[0] not in _SEEN:
            return (at, held)
        else:
            _check(held, code, constant)
            at += true if bpf.COMPARE[code](seen[held], constant) else false
        at += 1


def _check(held: Word, code: int, constant: int) -> None:
    """That one number can stand for its run, and _FOREIGN for all ABIs without a name."""
    if held == _NUMBER and code in (bpf.EQUAL, bpf.GREATER, bpf.AT_LEAST):
        return
    if held == _ARCHITECTURE and code == bpf.EQUAL and constant in bpf.AUDIT_ARCH.values():
        return
    if held != _NOTHING:
        raise ValueError(f"a filter asks of {held} by instruction {code:#x} for {constant:#x}")


class Stretch(Value):
    """Numbers from `first` to the next stretch, answered by `node` but for single exceptions."""

    first: int
    node: int
    exceptions: tuple[Run, ...]


def _ask_number(graph: Graph, runs: list[Run]) -> int:
    """The node that finds the run of a number and asks on there."""
    stretches = _stretches(runs)
    starts = [min(stretch.first, _KERNEL_ASKS) for stretch in stretches]
    weights = [1 + end - start for start, end in pairwise([*starts, _KERNEL_ASKS])]
    return _tree(graph, stretches, weights)


def _tree(graph: Graph, stretches: list[Stretch], weights: list[int]) -> int:
    """A binary tree in which each question divides the weight: what the kernel asks for often.

    How often programs make a call does not count: frequent calls are allowed by their number
    alone, so the kernel asks for them only when it loads the filter, as for any other.
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

    A lone number among others costs one instruction (is it this one?) as an exception and two
    (from here on? from the next on?) as a run. A few at a time: each number of the stretch
    passes all of its exceptions.
    """
    stretches: list[Stretch] = []
    for at, following in pairwise([*_kept(runs), len(runs)]):
        first, node = runs[at]
        exceptions = tuple(runs[at + 1 : following])
        if stretches and stretches[-1].node == node:
            before = stretches.pop()
            first, exceptions = before.first, before.exceptions + exceptions
        while len(exceptions) > _CHAIN:
            stretches.append(Stretch(first, node, exceptions[:_CHAIN]))
            first, exceptions = exceptions[_CHAIN][0], exceptions[_CHAIN:]
        stretches.append(Stretch(first, node, exceptions))
    return stretches


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


def _written(graph: Graph, root: int) -> bytes:
    """The graph as a program, written from its end: a jump must know how far its target is."""
    code: list[Instruction] = []  # back to front
    written: dict[Place, int] = {}  # where in `code`
    for place in sorted(_places(graph, root)):
        node, held = graph.nodes[place[0]], place[1]
        if isinstance(node, int):
            code.append((bpf.RETURN, 0, 0, node))
        else:
            targets = [_near(code, written, way) for way in _ways(graph, node)]
            yes, no = (len(code) - 1 - target for target in targets)
            code.append((node.code, yes, no, node.constant))
            if held == _NOTHING and node.mask != _ALL:
                code.append((bpf.AND, 0, 0, node.mask))
            if held == _NOTHING:
                code.append((bpf.LOAD, 0, 0, node.word))
        written[place] = len(code) - 1
    return b"".join(bpf.INSTRUCTION.pack(*instruction) for instruction in reversed(code))


def _places(graph: Graph, root: int) -> set[Place]:
    """The nodes that are reached, twice where only one way there saves a load."""
    places: set[Place] = set()
    ahead = [(root, _NOTHING)]
    while ahead:
        place = ahead.pop()
        node = graph.nodes[place[0]]
        if place not in places and isinstance(node, Question):
            ahead += _ways(graph, node)
        places.add(place)
    return places


def _ways(graph: Graph, question: Question) -> list[Place]:
    """What is asked after yes, and after no: without a load if it is about the same word."""
    held = (question.word, question.mask)
    ways = []
    for way in (question.yes, question.no):
        node = graph.nodes[way]
        same = isinstance(node, Question) and (node.word, node.mask) == held
        ways.append((way, held if same else _NOTHING))
    return ways


def _near(code: list[Instruction], written: dict[Place, int], place: Place) -> int:
    """Where to jump to for `place`. What is out of reach is brought near first.

    A verdict is written again, as it is no longer than the BPF_JA which leads to all else.
    """
    target = written[place]
    if len(code) - target > _REACH:
        verdict = code[target][0] == bpf.RETURN
        code.append(code[target] if verdict else (bpf.JUMP, 0, 0, len(code) - 1 - target))
        written[place] = len(code) - 1
    return written[place]
