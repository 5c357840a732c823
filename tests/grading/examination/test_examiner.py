"""Ordinary test cells work across two processes, modules and gradients included."""

import copy
import sys

import nbformat
import pytest

from lmlib.grading.examination import examiner
from lmlib.grading.examination.forkserver import Forkserver
from lmlib.grading.examination.student import warm_up
from lmlib.grading.submissions.intake import Submission

LIMITS = examiner.Limits(cell=2.0, test=2.0, notebook=30.0)
# For a test that has to end, however busy the machine is, and not in time.
PATIENT = examiner.Limits(cell=60.0, test=60.0, notebook=120.0)


@pytest.fixture(scope="module")
def forkserver():
    with Forkserver() as server:
        yield server


def cell(source: str, name: str, role: str, points: float = 1) -> nbformat.NotebookNode:
    made = nbformat.v4.new_code_cell(source)
    made.metadata.nbgrader = nbformat.NotebookNode(
        grade_id=name,
        grade=role == "test",
        solution=role == "solution",
        locked=role != "solution",
        schema_version=3,
    )
    if role == "test":
        made.metadata.nbgrader.points = points
    return made


def examine(
    forkserver, student: str | list[str], *tests: str, given: str = "", limits=LIMITS
):
    """The record of a notebook with these cells of the student, and these tests."""
    student = [student] if isinstance(student, str) else student
    cells = [
        cell("import math\nimport torch\n" + given, "given", "given"),
        *(cell(text, f"answer{i}", "solution") for i, text in enumerate(student)),
        *(cell(text, f"test{i}", "test") for i, text in enumerate(tests)),
    ]
    return examined(forkserver, nbformat.v4.new_notebook(cells=cells), limits=limits)


def examined(forkserver, notebook, source=None, limits=LIMITS):
    """The record of a notebook, which is its own source if there is no other."""
    submission = Submission(
        student="s",
        assignment="a",
        notebook=notebook,
        reason="",
        repairs=(),
        digest="1",
    )
    connection = forkserver.connect()
    try:
        return examiner.examine_submission(
            submission, source or notebook, connection, limits
        )
    finally:
        connection.close()


def passes(forkserver, student, *tests, **options):
    record = examine(forkserver, student, *tests, **options)
    for result in record.cells:
        assert result.state == "passed", result.output


def only(forkserver, student, test, **options):
    (result,) = examine(forkserver, student, test, **options).cells
    return result


# -- What works as if there were one process ------------------------------------------


def test_functions_values_and_arguments_of_all_kinds(forkserver):
    passes(
        forkserver,
        "number, words = 3, {'a': (1, [2.5, None])}\n"
        "def echo(*args, **options): return args, options",
        "assert number == 3 and words == {'a': (1, [2.5, None])}\n"
        "args, options = echo(1, 'two', b'3', [4], (5,), key=torch.float32)\n"
        "assert args == (1, 'two', b'3', [4], (5,))\n"
        "assert options == {'key': torch.float32}",
    )


def test_tensors_and_arrays(forkserver):
    passes(
        forkserver,
        "import numpy as np\ndef both(x): return x * 2, np.asarray(x) + 1",
        "x = torch.randn(2, 3).mT\n"
        "double, array = both(x)\n"
        "assert torch.equal(double, x * 2) and type(array).__name__ == 'ndarray'\n"
        "assert abs(array - x.numpy() - 1).max() < 1e-6",
    )


def test_change_of_an_argument_in_place_is_seen(forkserver):
    passes(
        forkserver,
        "def change(x, names): x.mul_(2); names.append('b')",
        "x, names = torch.ones(3), ['a']\n"
        "change(x, names)\n"
        "assert x.tolist() == [2, 2, 2] and names == ['a', 'b']",
    )


def test_gradient_with_respect_to_inputs(forkserver):
    passes(
        forkserver,
        "def cube(x, y): return (x ** 3 * y).sum()",
        "x = torch.tensor([1.0, 2.0], requires_grad=True)\n"
        "y = torch.tensor([3.0, 4.0], requires_grad=True)\n"
        "loss = 2 * cube(x, y * 1)\n"
        "loss.backward()\n"
        "assert x.grad.tolist() == [18, 96]\n"  # 2·3x²y
        "assert y.grad.tolist() == [2, 16]",  # 2·x³
    )


def test_gradcheck_of_a_students_function(forkserver):
    passes(
        forkserver,
        "def f(x): return torch.softmax(x, -1) ** 2",
        "x = torch.randn(3, dtype=torch.float64, requires_grad=True)\n"
        "assert torch.autograd.gradcheck(f, (x,))",
        limits=PATIENT,  # gradcheck imports sympy, which alone takes a second
    )


MODULE = """
class Layer(torch.nn.Module):
    def __init__(self, d):
        super().__init__()
        self.linear = torch.nn.Linear(d, 2, bias=False)
        self.calls = 0
    def forward(self, x):
        self.calls += 1
        return self.linear(x)
"""


def test_modules_have_state_parameters_and_gradients(forkserver):
    passes(
        forkserver,
        MODULE,
        "m = Layer(3)\n"
        "x = torch.ones(4, 3, requires_grad=True)\n"
        "y = m(x)\n"
        "assert y.shape == (4, 2) and m.calls == 1\n"
        "assert torch.allclose(y, x @ m.linear.weight.T)\n"
        "y.sum().backward()\n"
        "assert m.linear.weight.grad.tolist() == [[4.0] * 3] * 2\n"
        "assert torch.allclose(x.grad, m.linear.weight.sum(0).expand(4, 3))\n"
        "assert m.eval().training is False",
    )


def test_tests_do_not_see_what_another_test_changed(forkserver):
    passes(
        forkserver,
        "count = [0]\ndef step():\n    count[0] += 1\n    return count[0]",
        "assert step() == 1 and step() == 2",
        "assert step() == 1",
    )


def test_errors_keep_their_type_and_tell_the_line(forkserver):
    passes(
        forkserver,
        "class Own(ValueError): pass\n"
        "def f(kind):\n"
        "    raise {'v': ValueError, 'o': Own, 'n': NotImplementedError}[kind]('no')",
        "for kind, name in (('v', 'ValueError'), ('o', 'Own'), ('x', 'KeyError')):\n"
        "    try: f(kind)\n"
        "    except Exception as error:\n"
        "        assert type(error).__name__ == name\n"
        "        assert error.where == ' in line 3 of f'\n"
        "    else: raise AssertionError\n"
        "try: f('o')\n"
        "except ValueError: pass",
    )


def test_answers_of_numpy_in_a_dict_of_another_kind_are_answers(forkserver):
    passes(
        forkserver,
        "import collections, numpy as np\n"
        "d = collections.OrderedDict(variance=np.int64(64), ceiling=np.log2(64))\n"
        "e = collections.defaultdict(int, half=torch.tensor(28), scaled='A')",
        "from lmlib.exercises import check\n"
        "assert check('3.1/read_the_plot', d) == check('3.1/read_the_plot', e) == 2",
        given="import lmlib",
    )


def test_magics_and_later_definitions(forkserver):
    passes(
        forkserver,
        ["%matplotlib inline\nf = 1", "def f(): return g()", "def g(): return 7"],
        "assert f() == 7",
    )


@pytest.mark.parametrize(
    ("student", "told"),
    [
        ("%%time\nf = 7\n1 / 0", "ZeroDivisionError"),
        ("f = 7\n%run nowhere.py", "File `'nowhere.py'` not found"),
        ("get_ipython().run_cell('1 / 0')\nf = 7", "ZeroDivisionError"),
        ("f = 7\n%nothing", "Line magic function `%nothing` not found"),
        ("f = 7\nOut[12]", "KeyError in line 2 of the cell: “12”"),
    ],
)
def test_errors_that_ipython_shows_and_goes_on_from_are_told(forkserver, student, told):
    result = only(forkserver, student, "assert f == 7")
    assert result.state == "passed"
    assert told in result.output


def test_warming_up_leaves_the_main_module_and_the_home_folder_alone(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("HOME", str(tmp_path))
    main = sys.modules["__main__"]
    warm_up()
    assert sys.modules["__main__"] is main
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "lines",
    [
        ["In [12]: f = lambda: 7"],  # by itself it would be an annotation of In[12]
        ["import os", "In [3]: f = lambda: 7"],
        [">>> f = lambda: 7"],
        ["  def f():", "      return 7"],
        ["", "%time f = lambda: 7"],
    ],
)
def test_prompts_magics_and_indentation_are_taken_as_jupyter_takes_them(
    forkserver, lines
):
    passes(forkserver, "\n".join(lines), "assert f() == 7")


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        ("torch.zeros(2)", "x += 1"),
        ("torch.zeros(2)", "x.data[0] = 1"),  # which torch's own counter does not see
        ("torch.zeros(2)", "x.numpy()[1] = 1"),
        ("torch.zeros(2)", "x[0] = -0.0"),
        ("torch.zeros(2, 2, dtype=torch.bfloat16).t()", "x[0, 1] = 2"),
        ("torch.zeros(2, dtype=torch.complex64)", "x[0] = 1j"),
        ("[1, [2]]", "x[1].append(3)"),
        ("{'a': 1}", "x['a'] = 2"),
        ("np.zeros(2)", "x[0] = 1"),
        ("(torch.zeros(1), 'a')", ""),
        ("[torch.zeros(1)]", "x[0] += 1"),
    ],
)
def test_what_a_call_changes_in_its_arguments_is_seen(forkserver, argument, change):
    passes(
        forkserver,
        f"def f(x, y):\n    {change or 'pass'}\n    return y",
        f"import numpy as np, torch\nx = {argument}\nassert f(x, 5) == 5\n"
        f"expected = {argument}\n"
        f"def change(x):\n    {change or 'pass'}\nchange(expected)\n"
        "assert repr(x) == repr(expected), repr(x)\n"
        + (f"assert repr(x) != repr({argument})" if change else ""),
    )


# -- Points ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "points"),
    [
        ("x = 1", 4),
        ("1.5", 1.5),
        ("9", 4),
        ("-1", 0),
        ("'text'", 4),
        ("assert False", 0),
        ("nan = float('nan')\nnan", 0),
    ],
)
def test_points_are_counted_as_nbgrader_does(forkserver, test, points):
    notebook = nbformat.v4.new_notebook(cells=[cell(test, "t", "test", points=4)])
    submission = Submission(
        student="s",
        assignment="a",
        notebook=notebook,
        reason="",
        repairs=(),
        digest="1",
    )
    connection = forkserver.connect()
    record = examiner.examine_submission(submission, notebook, connection, LIMITS)
    connection.close()
    assert record.points == points


def test_hidden_failure_is_told_without_its_words(forkserver):
    result = only(
        forkserver,
        "def f(x): return x",
        "assert f(1) == 1\n"
        "### BEGIN HIDDEN TESTS\n"
        "assert f(41) == 42, 'the answer is 42'\n"
        "### END HIDDEN TESTS",
    )
    assert result.points == 0
    assert result.output == "A hidden test failed."


def test_failed_cell_is_named_where_its_test_fails(forkserver):
    result = only(forkserver, "def f(x:\n    pass", "f(1)")
    assert "answer0 stopped with SyntaxError in line 1" in result.output


# -- What goes wrong costs what it touches, and no more -------------------------------

LOOP = "def f():\n    while True: pass"
CRASH = "import os, ctypes\ndef f(): ctypes.string_at(0)"


@pytest.mark.parametrize(
    ("student", "state"),
    [
        (LOOP, "timed out"),
        (CRASH, "crashed"),
        ("import os\ndef f(): os._exit(0)", "crashed"),
        ("import os, signal\ndef f(): os.kill(os.getpid(), signal.SIGKILL)", "crashed"),
        ("import sys\ndef f(): sys.exit()", "failed"),
        ("def f(): raise KeyboardInterrupt", "failed"),
    ],
)
def test_a_test_that_ends_badly_costs_only_itself(forkserver, student, state):
    record = examine(
        forkserver, student + "\ndef g(): return 1", "f()", "assert g() == 1"
    )
    assert [result.state for result in record.cells] == [state, "passed"]


@pytest.mark.parametrize(
    "cell_text",
    [
        "while True: pass",
        "import os; os._exit(3)",
        "import ctypes; ctypes.string_at(0)",
        "import re; re.match(r'(a+)+$', 'a' * 60 + 'b')",
    ],
)
def test_a_cell_that_ends_badly_costs_only_itself(forkserver, cell_text):
    record = examine(
        forkserver,
        ["def g(): return 1", cell_text, "def h(): return 2"],
        "assert g() == 1",
        "assert h() == 2",
    )
    assert [result.state for result in record.cells] == ["passed", "passed"]


@pytest.mark.parametrize(
    "operation",
    [
        "thing == 1",
        "bool(thing)",
        "len(thing)",
        "list(thing)",
        "thing + 1",
        "{thing}",
        "thing.x == 1",
        "abs(thing)",
        "isinstance(thing, bool) or (1 in thing)",
    ],
)
def test_handles_refuse_what_would_let_the_student_answer(forkserver, operation):
    result = only(
        forkserver,
        "class Thing:\n"
        "    x = property(lambda self: Thing())\n"
        "    def __getattr__(self, name): return lambda *a: True\n"
        "    __eq__ = __contains__ = lambda *a: True\n"
        "    __bool__ = lambda self: True\n"
        "    __len__ = lambda self: 1\n"
        "    __iter__ = lambda self: iter([1])\n"
        "    __hash__ = lambda self: 1\n"
        "thing = Thing()",
        operation + "\n1",
    )
    assert result.points == 0
    assert "TypeError" in result.output


@pytest.mark.parametrize(
    "student",
    [
        "import builtins, torch\nbuiltins.isinstance = lambda *a: True\n"
        "torch.allclose = torch.equal = lambda *a, **k: True\n"
        "torch.Tensor.__eq__ = lambda *a: torch.tensor(True)",
        "import lmlib.exercises, lmlib.exercises.checks\n"
        "lmlib.exercises.check = lmlib.exercises.checks.check = lambda *a, **k: 1.0",
        "check = print = AssertionError = lambda *a: None\ndef f(x): return 0",
        "get_ipython = lambda: None\n"
        "import sys\nsys.modules['torch'] = None\nsys.exit = lambda *a: None",
    ],
)
def test_patching_anything_in_the_students_process_changes_no_mark(forkserver, student):
    record = examine(
        forkserver,
        student + "\ndef f(x): return x",
        "assert torch.allclose(f(torch.ones(2)), torch.zeros(2))",
        "assert f(torch.ones(2)).sum() == 2",
    )
    assert record.cells[0].points == 0


def test_what_cannot_cross_to_the_student_says_so(forkserver):
    result = only(forkserver, "def f(x): pass", "f(lambda: 1)")
    assert "cannot be handed to the student's process" in result.output


def test_nothing_is_left_behind(forkserver, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    passes(
        forkserver,
        "import subprocess, os\n"
        "open('file.txt', 'w').write('x')\n"
        "def f(): return os.path.exists('file.txt')",
        "assert f()",
    )
    assert list(tmp_path.iterdir()) == []


def test_record_holds_answers_of_both_kinds_and_what_was_added(forkserver):
    essay = nbformat.v4.new_markdown_cell("Because.")
    essay.metadata.nbgrader = {"grade_id": "essay", "grade": True, "solution": True}
    given = nbformat.v4.new_markdown_cell("Think, then write.")
    test = cell("assert f() == 2", "test", "test")
    source = nbformat.v4.new_notebook(
        cells=[given, cell("", "f", "solution"), test, essay]
    )
    handed_in = [
        given,
        nbformat.v4.new_code_cell("two = 2"),
        cell("def f(): return two", "f", "solution"),
        nbformat.v4.new_markdown_cell("My *own* words."),
        nbformat.v4.new_code_cell("  "),
        test,
        essay,
    ]
    submission = Submission(
        student="s",
        assignment="a",
        notebook=nbformat.v4.new_notebook(cells=handed_in),
        reason="",
        repairs=(),
    )
    with forkserver.connect() as connection:
        record = examiner.examine_submission(submission, source, connection, LIMITS)
    assert record.answers == (
        ("cell 2", "two = 2"),
        ("f", "def f(): return two"),
        ("text 4", "My *own* words."),
        ("essay", "Because."),
    )
    assert record.points == 1


def test_gradient_from_above_is_the_one_that_was_sent(forkserver):
    """For real and complex tensors, and with infinite values below it."""
    passes(
        forkserver,
        "def scaled(x, by): return x * by\ndef turned(z): return z * 1j",
        "above = torch.tensor([2.0, -3.0])\n"
        "x = torch.tensor([1.0, math.inf], requires_grad=True)\n"
        "scaled(x, 3.0).backward(above)\n"
        "assert x.grad.tolist() == [6.0, -9.0]\n"
        "z = torch.tensor([1 + 1j, 2j], requires_grad=True)\n"
        "turned(z).backward(above + 0j)\n"
        "assert z.grad.tolist() == [-2j, 3j], z.grad",
    )


# -- A cell that only draws -----------------------------------------------------------

PICTURE = "heights = [1, 2]\nmath.was_drawn = True"
WAS_DRAWN = "import math\ndef drawn(): return hasattr(math, 'was_drawn')"


@pytest.mark.parametrize(
    ("tags", "answer", "drawn"),
    [
        ([], "", True),
        (["picture"], "", False),
        (["picture"], "highest = max(heights)\nassert highest == 2", True),
        (["picture"], "highest = max(globals()['heights'])", True),
        (["picture", "magic"], "", True),
    ],
)
def test_a_picture_is_drawn_if_a_student_uses_what_it_defines(
    forkserver, tags, answer, drawn
):
    picture = cell(PICTURE, "given_plot", "given")
    picture.metadata.tags = tags
    if "magic" in tags:  # what is no Python cannot be looked through
        picture.source = "%time\n" + PICTURE
    cells = [
        cell(WAS_DRAWN, "given", "given"),
        picture,
        cell(answer + "\ndef seen(): return drawn()", "answer", "solution"),
        cell(f"assert seen() is {drawn}", "test", "test"),
    ]
    record = examined(forkserver, nbformat.v4.new_notebook(cells=cells))
    assert [result.state for result in record.cells] == ["passed"], record


def test_a_picture_whose_names_a_test_uses_is_drawn(forkserver):
    picture = cell("heights = [len(words)]", "given_plot", "given")
    picture.metadata.tags = ["picture"]
    cells = [
        cell("words = ['a']", "answer", "solution"),
        picture,
        cell("assert heights == [1]", "test", "test"),
    ]
    record = examined(forkserver, nbformat.v4.new_notebook(cells=cells))
    assert [result.state for result in record.cells] == ["passed"], record


def test_a_student_cannot_call_a_cell_a_picture(forkserver):
    """The instructor's cell says what is left out, not the one that was handed in."""
    source = nbformat.v4.new_notebook(
        cells=[
            cell("factor = 2", "given", "given"),
            cell("", "answer", "solution"),
            cell("assert double() == 2", "test", "test"),
        ]
    )
    handed_in = copy.deepcopy(source)
    handed_in.cells[0].metadata.tags = ["picture"]
    handed_in.cells[1].source = "def double(): return globals()['fac' + 'tor']"
    record = examined(forkserver, handed_in, source)
    assert [result.state for result in record.cells] == ["passed"], record


# -- What an answer builds on, and what it may not call -------------------------------

HEADS = """
def split_heads(x, n_heads):
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)
def attention_weights(query, key):
    return (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)
def weighted_sum(weights, value):
    return weights @ value
def masked_attention_weights(scores, mask):
    some = mask.any(-1, keepdim=True)
    return scores.masked_fill(~mask & some, -math.inf).softmax(-1) * some
def merge_heads(x):
    return x.transpose(1, 2).flatten(-2)
def multi_head_attention(x, w_query, w_key, w_value, w_output, n_heads, mask=None):
    query, key, value = (split_heads(x @ w, n_heads) for w in (w_query, w_key, w_value))
    if mask is None:
        weights = attention_weights(query, key)
    else:
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        weights = masked_attention_weights(scores, mask)
    return merge_heads(weighted_sum(weights, value)) @ w_output
"""


def graded(forkserver, student, *exercises, **more):
    """The record of a notebook with the tests of these exercises of 3.1."""
    cells = [
        cell(
            "import math\nimport torch\nfrom lmlib.exercises import check", "g", "given"
        ),
        cell(HEADS + student, "answers", "solution"),
    ]
    for name in exercises:
        test = "\n".join(
            f'check("3.1/{name}", {name}{hidden})' for hidden in ("", ", hidden=True")
        )
        cells.append(cell(test, f"test_{name}", "test", 5))
    return examined(forkserver, nbformat.v4.new_notebook(cells=cells), **more)


@pytest.mark.parametrize(
    "helper",
    [
        "def attention_weights(query, key): return (query @ key.mT).softmax(-1)",
        "def attention_weights(query, key): raise NotImplementedError",
        "del attention_weights",
    ],
)
def test_a_right_answer_upon_a_wrong_helper_is_right(forkserver, helper):
    names = "multi_head_attention", "merge_heads"
    record = graded(forkserver, helper, *names, limits=PATIENT)
    result, other = record.cells
    assert result.points == 5
    assert result.output.count("Your `attention_weights` is wrong. With a right") == 2
    assert "in place" not in other.output


@pytest.mark.parametrize("bad", ["while True: pass", "import os; os._exit(3)"])
def test_a_helper_that_does_not_return_costs_itself_alone(forkserver, bad):
    helper = f"def merge_heads(x):\n    {bad}"
    record = graded(forkserver, helper, "merge_heads", "multi_head_attention")
    lost, result = record.cells
    assert lost.points == 0
    assert lost.state in ("timed out", "crashed")
    assert result.points == 5
    assert result.state == "passed"
    assert "right function in place of your `merge_heads`" in result.output


def test_an_answer_that_does_not_return_is_not_run_again(forkserver, monkeypatch):
    tried = []

    def counted(exam, cell, *references):
        tried.append(cell.metadata.nbgrader.grade_id)
        return once(exam, cell, *references)

    once = examiner._tried
    monkeypatch.setattr(examiner, "_tried", counted)
    answer = "def multi_head_attention(*args):\n    while True: pass"
    record = graded(forkserver, answer, "merge_heads", "multi_head_attention")
    assert record.cells[1].points == 0
    assert tried == ["test_merge_heads", "test_multi_head_attention"]


@pytest.mark.parametrize("bad", ["while True: pass", "import os; os._exit(3)"])
def test_a_right_helper_takes_no_points_away(forkserver, bad):
    """What is right with the student's own helper counts, whatever a right one does."""
    own = HEADS.replace(
        "masked_attention_weights(scores, mask)\n    return merge",
        "masked_attention_weights(scores, mask)\n"
        f"        if weights is not None:\n            {bad}\n    return merge",
    )
    helper = "def masked_attention_weights(scores, mask): return None"
    record = graded(forkserver, own + helper, "multi_head_attention")
    (result,) = record.cells
    assert result.points == 3  # without a mask it is right
    assert "in place" not in result.output


def test_what_replaces_a_helper_reaches_no_other_test(forkserver):
    helper = "def attention_weights(query, key): return (query @ key.mT).softmax(-1)"
    record = graded(
        forkserver, helper, "multi_head_attention", "attention_weights", "merge_heads"
    )
    assert record.cells[1].points < 5


@pytest.mark.parametrize(
    "patch",
    [
        "import dataclasses, lmlib.exercises.registry as r\n"
        "for n, e in list(r.EXERCISES.items()):\n"
        "    r.EXERCISES[n] = dataclasses.replace(e, reference=lambda *a: 1 / 0)\n",
        "import lmlib.grading.examination.student as s\n"
        "s.references_among = lambda *a: 1 / 0\n",
        "import lmlib.grading.examination.student as s\n"
        "s.Server.do_references = lambda self, names: ('points', 5)\n",
    ],
)
def test_patching_what_puts_references_in_place_earns_nothing(forkserver, patch):
    helper = patch + "def attention_weights(query, key): return query @ key.mT\n"
    record = graded(
        forkserver,
        helper,
        "attention_weights",
        "multi_head_attention",
        "merge_heads",
    )
    points = {cell.grade_id: cell.points for cell in record.cells}
    assert points["test_attention_weights"] == 0
    assert points["test_multi_head_attention"] <= 2  # with a mask it is right
    assert points["test_merge_heads"] > 0


CALLS = "from lmlib.attention import merge_heads as ready\n"


def test_an_answer_that_calls_the_library_gets_nothing_and_both_read_why(
    forkserver, monkeypatch
):
    answer = CALLS + "def merge_heads(x): return ready(x)"
    record = graded(forkserver, answer, "merge_heads", "split_heads")
    result, other = record.cells
    assert result.points == 0
    assert other.points > 0
    assert "It uses lmlib.attention.merge_heads" in result.output
    assert record.needs_person == (
        "`merge_heads` uses lmlib.attention.merge_heads: no points for it.",
    )
    monkeypatch.setenv("LMLIB_ALLOW_LIBRARY", "1")
    record = graded(forkserver, answer, "merge_heads")
    assert record.cells[0].points > 0
    assert record.needs_person == ()


def test_calling_the_library_elsewhere_costs_nothing(forkserver):
    record = graded(forkserver, CALLS + "ready(torch.ones(1, 2, 3, 4))", "merge_heads")
    assert record.cells[0].points > 0
