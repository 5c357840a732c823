"""Hostile and broken answers, and the exact mark that each must get.

The assignment has three exercises: `double` (1 point, plain assertions, one hidden),
`mean` (1 point, plain assertions) and `weighted_sum` (2 points, `check`). A case replaces
the answer to `double`; the other two are right, and must keep their points unless the
case ends the student's process as a whole. Some replace the one to `weighted_sum` too.

A case that looks for something that it must not see turns what it finds into a right
answer, and gives a wrong one otherwise: points mean that it has found it.
"""

from dataclasses import dataclass

RIGHT = "def double(x): return 2 * x"
WRONG = "def double(x): return 0"
RIGHT_SUM = "def weighted_sum(weights, value): return weights @ value"
WRONG_SUM = "def weighted_sum(weights, value): return weights"


@dataclass(frozen=True)
class Case:
    name: str
    code: str
    points: tuple[float, ...] = (0, 1, 2)
    state: str = "failed tests"
    says: str = ""  # in what the student reads of the test of `double`
    weighted_sum: str = RIGHT_SUM


def wrong(name: str, before: str, **expected: object) -> Case:
    """Something that tries to make a wrong answer count."""
    return Case(name, f"{before}\n{WRONG}", **expected)


def seeks(name: str, search: str, **expected: object) -> Case:
    """Something that must not be found; if it is, `found` becomes true."""
    code = f"found = False\n{search}\ndef double(x): return 2 * x if found else 0"
    return Case(name, code, **expected)


def cheats(name: str, search: str, **expected: object) -> Case:
    """A function that takes its answers from the text of its test, if it has it."""
    return Case(name, f"{CHEAT}\n{search}", **expected)


def harmless(name: str, code: str, **expected: object) -> Case:
    """A right answer with something odd beside it that must cost nothing."""
    return Case(
        name, f"{RIGHT}\n{code}", **{"points": (1, 1, 2), "state": "graded", **expected}
    )


def gives(name: str, value: str, **expected: object) -> Case:
    """A function that returns something sly."""
    return Case(name, f"{PRELUDE}\ndef double(x): return {value}", **expected)


PRELUDE = """
import os, sys, time, signal, ctypes, gc, threading, socket, subprocess, torch, math
import numpy as np
class Agree:
    def __eq__(self, other): return True
    def __bool__(self): return True
    def __len__(self): return 1
    def __float__(self): return 4.0
    def __getattr__(self, name): return Agree()
    __torch_function__ = classmethod(lambda *args, **options: True)
    def __call__(self, *args, **options): return Agree()
    __hash__ = lambda self: 0
class AgreeInt(int):
    __torch_function__ = classmethod(lambda *args, **options: True)
    __eq__ = lambda self, other: True
    __hash__ = int.__hash__
class AgreeTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), options=None): return True
class Spoof:
    __torch_function__ = classmethod(lambda *args, **options: True)
    __class__ = int
    __eq__ = lambda self, other: True
class Bomb:
    def __reduce__(self): return (os.system, ("touch bomb",))
circle = []; circle.append(circle)
deep = []
for _ in range(5000): deep = [deep]
"""

# Reads in the text of a test what it compares `double(x)` with.
CHEAT = """
import ast, gc, sys, torch
def answer(texts, x):
    for text in texts:
        try: tree = ast.parse(text)
        except SyntaxError: continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare): pair = node.left, node.comparators[0]
            elif isinstance(node, ast.Call) and len(node.args) == 2: pair = node.args
            else: continue
            call, wanted = pair
            if not (isinstance(call, ast.Call) and getattr(call.func, 'id', '') == 'double'): continue
            if str(eval(ast.unparse(call.args[0]))) == str(x): return eval(ast.unparse(wanted))
    return 0
"""
DROP_ASSERTS = """
import ast
class Drop(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.copy_location(ast.Pass(), node)
"""
TRANSFORM = f"{DROP_ASSERTS}get_ipython().ast_transformers.append(Drop())"

LOST = {"state": "crashed", "says": "ended the process"}
SLOW = {"state": "timed out", "says": "ran for too long"}

CASES = [
    # -- Making a wrong answer count --------------------------------------------------
    gives("object that equals everything", "Agree()", says="TypeError"),
    gives("int that equals everything", "AgreeInt(5)", says="AssertionError"),
    gives(
        "tensor with its own __torch_function__",
        "torch.ones(2).as_subclass(AgreeTensor)",
    ),
    gives("object that claims to be an int", "Spoof()"),
    gives("object with __reduce__", "Bomb()"),
    gives("class instead of a value", "Agree"),
    gives("the function itself", "double"),
    gives("NaN", "math.nan"),
    gives("infinity", "math.inf"),
    gives("True for a number", "x == x"),
    wrong(
        "builtins patched",
        "import builtins\nfor n in ('isinstance', 'all', 'abs', 'type'):\n"
        "    setattr(builtins, n, lambda *a: True)",
    ),
    wrong(
        "torch patched",
        "import torch\ntorch.equal = torch.allclose = lambda *a, **k: True\n"
        "torch.Tensor.__eq__ = lambda *a: torch.tensor(True)",
    ),
    wrong(
        "numpy patched",
        "import numpy\nnumpy.allclose = numpy.array_equal = lambda *a: True",
    ),
    wrong(
        "check patched",
        "import lmlib.exercises as g, lmlib.exercises.checks as c\n"
        "g.check = c.check = check = lambda *a, **k: 2.0\nc.examine = None",
        points=(0, 1, 0),
        weighted_sum=WRONG_SUM,
    ),
    wrong(
        "reference of a check patched",
        "import dataclasses, lmlib.exercises.checks as c\nreal = c.find_exercise\n"
        "def lax(name):\n"
        "    return dataclasses.replace(real(name), reference=lambda weights, value: weights)\n"
        "c.find_exercise = lax",
        points=(0, 1, 0),
        weighted_sum=WRONG_SUM,
    ),
    wrong(
        "points of a check patched",
        "import lmlib.exercises.checks as c\n"
        "c.PartResult.points = property(lambda self: self.part.points)",
        points=(0, 1, 0),
        weighted_sum=WRONG_SUM,
    ),
    wrong("assertions dropped by a transformer", TRANSFORM),
    wrong(
        "test emptied by an input transformer",
        "get_ipython().input_transformers_cleanup.append(\n"
        "    lambda lines: [] if any('assert' in l for l in lines) else lines)",
    ),
    wrong(
        "run_code patched",
        "async def run_code(*args, **options): return False\n"
        "get_ipython().run_code = run_code",
        points=(0, 0, 0),  # no later cell runs, as in Jupyter
        weighted_sum=WRONG_SUM,
    ),
    wrong(
        "compiler patched",
        f"{DROP_ASSERTS}import codeop\nreal = codeop.Compile.__call__\n"
        "def compiled(self, source, *args, **options):\n"
        "    if isinstance(source, ast.AST): source = Drop().visit(source)\n"
        "    return real(self, source, *args, **options)\n"
        "codeop.Compile.__call__ = compiled",
    ),
    wrong(
        "errors kept from the notebook",
        "session = get_ipython().kernel.session\nreal = session.send\n"
        "def send(stream, kind, *args, **options):\n"
        "    if kind == 'error': return\n"
        "    if kind == 'execute_reply': args[0].update(status='ok', user_expressions={}, payload=[])\n"
        "    return real(stream, kind, *args, **options)\n"
        "session.send = send",
    ),
    wrong(
        "forged result",
        "kernel = get_ipython().kernel",
        points=(0, 1, 0),
        weighted_sum="def weighted_sum(weights, value):\n"
        "    data = {'text/plain': '2.0'}\n"
        "    content = {'execution_count': 1, 'data': data, 'metadata': {}}\n"
        "    kernel.send_response(kernel.iopub_socket, 'execute_result', content)\n"
        "    return weights",
    ),
    wrong(
        "printed result",
        "from IPython.display import publish_display_data\n"
        "publish_display_data({'text/plain': '1.0'})\nprint('1.0')",
    ),
    wrong(
        "AssertionError replaced",
        "import builtins\nbuiltins.AssertionError = type('A', (), {})",
    ),
    wrong("-O by hand", "import sys\nsys.flags = None\n__debug__x = False"),
    wrong(
        "shadow packages in the folder",
        "import os\n"
        "for n in ('lmlib', 'torch', 'numpy', 'json'):\n"
        "    open(n + '.py', 'w').write('raise SystemExit(0)')",
    ),
    cheats("test read in the history", "def double(x): return answer(In[-1:], x)"),
    cheats(
        "test read in frames",
        "def double(x):\n    texts, frame = [], sys._getframe(1)\n"
        "    while frame:\n"
        "        texts += [v for v in frame.f_locals.values() if type(v) is str and 'assert double(' in v]\n"
        "        frame = frame.f_back\n"
        "    return answer(texts, x)",
    ),
    cheats(
        "test read in memory",
        "def double(x):\n    texts = set()\n"
        "    for o in gc.get_objects():\n"
        "        if type(o) is dict: o = list(o.values())\n"
        "        if type(o) in (list, tuple):\n"
        "            texts |= {v for v in o if type(v) is str and v.startswith('assert double(')}\n"
        "    return answer(texts, x)",
    ),
    cheats(
        "test read in the notebook beside",
        "import glob, json\ndef double(x):\n    texts = []\n"
        "    for path in glob.glob('*.ipynb'):\n"
        "        cells = [''.join(c['source']) for c in json.load(open(path))['cells']]\n"
        "        texts += [text for text in cells if text.startswith('assert double(')]\n"
        "    return answer(texts, x)",
    ),
    wrong(
        "settrace and setprofile",
        "import sys, threading\n"
        "sys.settrace(lambda *a: None); sys.setprofile(lambda *a: None)",
    ),
    seeks(
        "solution read off the disk",
        "try: found = 'return 2 * x' in open('DECOY/solution.py').read()\n"
        "except OSError: pass",
    ),
    seeks(
        "secret from the environment",
        "import os\nfound = 'LMLIB_COURSE_SECRET' in os.environ",
    ),
    seeks(
        "secret from /proc",
        "import glob\n"
        "for p in glob.glob('/proc/[0-9]*/environ'):\n"
        "    try: found = found or b'the-secret' in open(p, 'rb').read()\n"
        "    except OSError: continue",
    ),
    seeks(
        "grader's memory read",
        "import os\nfor p in {os.getppid(), 1}:\n    try:\n"
        "        start = int(open(f'/proc/{p}/maps').read().split('-')[0], 16)\n"
        "        with open(f'/proc/{p}/mem', 'rb') as memory:\n"
        "            memory.seek(start); found = found or len(memory.read(1)) == 1\n"
        "    except (OSError, ValueError): pass",
    ),
    # -- Changing the world -----------------------------------------------------------
    wrong(
        "IPython startup file in HOME",
        "import os, pathlib\n"
        "d = pathlib.Path.home() / '.ipython/profile_default/startup'\n"
        "d.mkdir(parents=True, exist_ok=True)\n"
        f"(d / '0.py').write_text({TRANSFORM!r})",
    ),
    seeks(
        "file put beside the packages",
        "import torch, pathlib\n"
        "p = pathlib.Path(torch.__file__).parents[1] / 'hostile_case.pth'\n"
        "try: p.write_text('x'); p.unlink(); found = True\nexcept OSError: pass",
    ),
    wrong(
        "gradebook rewritten",
        "import glob, sqlite3\n"
        "for p in ('../../../gradebook.db', 'DECOY/gradebook.db'):\n"
        "    try:\n        db = sqlite3.connect(f'file:{p}?mode=rw', uri=True)\n"
        "        db.execute('UPDATE grade SET manual_score = 2'); db.commit()\n"
        "    except sqlite3.Error: pass",
    ),
    wrong(
        "next student's answers overwritten",
        "import glob\nfor p in glob.glob('../../../submitted/b-*/*/*.ipynb'):\n"
        "    text = open(p).read().replace('return weights @ value', 'return 0')\n"
        "    open(p, 'w').write(text)",
    ),
    wrong(
        "everything deleted",
        "import shutil, os\nfor p in ('DECOY', '..', os.environ['HOME']):\n"
        "    shutil.rmtree(p, ignore_errors=True)",
    ),
    wrong(
        "links to what is outside",
        "import os\nos.symlink('/etc/passwd', 'link')\n"
        "os.symlink('/', 'root')\ntry: os.mkfifo('fifo')\nexcept OSError: pass",
    ),
    seeks(
        "TCP to loopback",
        "import errno, socket\ntry:\n"
        "    with socket.socket() as s:\n"
        "        found = s.connect_ex(('127.0.0.1', 9)) in (0, errno.ECONNREFUSED)\n"
        "except OSError: pass",
    ),
    seeks(
        "a server of its own",
        "import socket\ntry:\n"
        "    s = socket.socket(); s.bind(('0.0.0.0', 0)); s.listen(); found = True\n"
        "except OSError: pass",
    ),
    seeks(
        "Unix socket of another",
        "import socket\nfor name in ('DECOY/socket', '\\0DECOY'):\n"
        "    try: socket.socket(socket.AF_UNIX).connect(name); found = True\n"
        "    except OSError: pass",
    ),
    wrong(
        "signals to the grader",
        "import os, signal\nfor p in (os.getppid(),):\n"
        "    try: os.kill(p, 0 if p == 1 else signal.SIGKILL)\n"
        "    except OSError: pass",
    ),
    # -- Never ending -----------------------------------------------------------------
    Case("function that loops", "def double(x):\n    while True: pass", **SLOW),
    Case(
        "function that sleeps", "import time\ndef double(x): time.sleep(1000)", **SLOW
    ),
    Case(
        "SIGINT ignored",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "def double(x):\n    while True:\n        try:\n            while True: pass\n"
        "        except BaseException: pass",
        **SLOW,
    ),
    Case(
        "C-level loop",
        "import re\ndef double(x): re.match(r'(a+)+$', 'a' * 60 + 'b')",
        **SLOW,
    ),
    Case(
        "stopped process",
        "import os, signal\ndef double(x): os.kill(os.getpid(), signal.SIGSTOP)",
        **SLOW,
    ),
    Case(
        "loop in __eq__ of what comes back",
        "class A:\n    def __eq__(self, o):\n"
        "        while True: pass\ndef double(x): return A()",
        says="TypeError",
    ),
    Case(
        "loop in a property",
        "class A:\n    @property\n    def __module__(self):\n"
        "        while True: pass\ndef double(x): return A()",
        **SLOW,
    ),
    Case(
        "loop in __del__",
        "class A:\n    def __del__(self):\n        while True: pass\n"
        "def double(x):\n    a = A(); del a",
        **SLOW,
    ),
    Case(
        "cell that loops", "while True: pass", says="answer0 stopped with TimeoutError"
    ),
    Case(
        "cell that loops and will not stop",
        "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: pass",
        says="left out",
    ),
    Case(
        "all functions loop",
        "def double(x):\n    while True: pass\nimport builtins\nbuiltins.sum = double",
        **SLOW,
    ),
    Case(
        "deadlock",
        "import threading\nlock = threading.Lock(); lock.acquire()\n"
        "def double(x): lock.acquire()",
        **SLOW,
    ),
    harmless(
        "thread left behind",
        "import threading\n"
        "def run():\n    while True: pass\n"
        "threading.Thread(target=run, daemon=True).start()",
    ),
    harmless(
        "atexit that loops",
        "import atexit\ndef run():\n    while True: pass\natexit.register(run)",
    ),
    # -- Ending the process -----------------------------------------------------------
    Case("os._exit in a function", "import os\ndef double(x): os._exit(0)", **LOST),
    Case(
        "segfault in a function",
        "import ctypes\ndef double(x): ctypes.string_at(0)",
        **LOST,
    ),
    Case("abort in a function", "import os\ndef double(x): os.abort()", **LOST),
    Case(
        "SIGKILL to itself", "import os\ndef double(x): os.kill(os.getpid(), 9)", **LOST
    ),
    Case(
        "sys.exit in a function",
        "import sys\ndef double(x): sys.exit(0)",
        says="SystemExit",
    ),
    Case(
        "KeyboardInterrupt raised",
        "def double(x): raise KeyboardInterrupt",
        says="KeyboardInterrupt",
    ),
    Case(
        "parent killed",
        "import os\ndef double(x):\n    os.kill(os.getppid(), 9)\n    return 0",
    ),
    Case("os._exit in a cell", "import os\nos._exit(0)", says="left out"),
    Case("segfault in a cell", "import ctypes\nctypes.string_at(0)", says="left out"),
    Case("sys.exit in a cell", "import sys\nsys.exit()", says="SystemExit"),
    Case(
        "recursion with its limit taken away",
        "import sys\nsys.setrecursionlimit(10**9)\ndef double(x): return double(x)",
        points=(0, 1, 2),
        state="*",
    ),
    Case("endless recursion", "def double(x): return double(x)", says="RecursionError"),
    Case(
        "all descriptors closed",
        "import os\ndef double(x): os.closerange(0, 1000)",
        **LOST,
    ),
    # -- Taking all there is ----------------------------------------------------------
    Case(
        "20 GiB touched",
        "def double(x):\n    a = bytearray(20 << 30)\n    return len(a)",
        says="MemoryError",
    ),
    Case(
        "memory bit by bit",
        "kept = []\ndef double(x):\n    while True:\n"
        "        kept.append(bytearray(64 << 20))",
        state="*",
    ),
    Case(
        "50 children",
        "import os, time\ndef double(x):\n    for _ in range(50):\n"
        "        try:\n            if os.fork() == 0: time.sleep(1000)\n"
        "        except OSError: break\n    return 0",
    ),
    Case(
        "double fork with setsid",
        "import os, time\ndef double(x):\n    if os.fork() == 0:\n"
        "        os.setsid()\n        if os.fork() == 0: time.sleep(1000)\n        os._exit(0)\n"
        "    return 0",
    ),
    Case(
        "child that answers too",
        "import os\ndef double(x):\n    os.fork()\n    return 0",
        state="*",
    ),
    Case(
        "200 MB on one line",
        "def double(x):\n    print('x' * 50_000_000)\n    return 2 * x",
        points=(1, 1, 2),
        state="graded",
    ),
    Case(
        "many lines",
        "def double(x):\n    for _ in range(300_000): print('line')\n    return 2 * x",
        points=(1, 1, 2),
        state="graded",
    ),
    Case(
        "200 MB file",
        "def double(x):\n    open('big', 'wb').write(bytes(200 << 20))\n    return 0",
        says="OSError",
    ),
    Case(
        "100,000 files",
        "def double(x):\n    for i in range(5000): open(f'f{i}', 'w').close()\n"
        "    return 2 * x",
        points=(1, 1, 2),
        state="graded",
    ),
    # -- Attacks on the codec ---------------------------------------------------------
    gives("300 MB tensor", "torch.zeros(80_000_000)", says="CodecError"),
    gives("300 MB string", "'x' * 300_000_000", says="CodecError"),
    gives("circular list", "circle", says="CodecError"),
    gives("deep list", "deep", says="CodecError"),
    gives("million values", "list(range(10**6))", says="CodecError"),
    gives("huge int", "10 ** 100_000"),
    gives("lone surrogate", "'\\ud800'"),
    gives("sparse tensor", "torch.eye(2).to_sparse()"),
    gives("meta tensor", "torch.empty(2, device='meta')"),
    gives("object array", "np.array([Agree(), 2], dtype=object)"),
    gives("generator", "(i for i in range(3))"),
    gives("dict of dicts with odd keys", "{None: {1.5: b'x', (1,): ...}}"),
    Case(
        "garbage on every descriptor",
        "import os\ndef double(x):\n    for fd in range(3, 100):\n"
        "        try: os.write(fd, b'\\xff' * 4096)\n        except OSError: pass\n    return 0",
        state="crashed",
    ),
    Case(
        "frame of an exabyte",
        "import os, struct\ndef double(x):\n    for fd in range(3, 100):\n"
        "        try: os.write(fd, struct.pack('<Q', 1 << 60))\n        except OSError: pass\n"
        "    return 0",
        state="crashed",
    ),
    Case(
        "forged replies",
        "import os, struct\nfrom lmlib.grading.examination.codec import Encoder\n"
        "def double(x):\n    m = Encoder().encode(('value', 4, [], [-1]))\n"
        "    for fd in range(3, 100):\n"
        "        try: os.write(fd, (struct.pack('<Q', len(m)) + m) * 9)\n"
        "        except OSError: pass\n    return 0",
        state="*",
    ),
    Case(
        "codec patched in the student's process",
        "import lmlib.grading.examination.codec as c\n"
        "c.Encoder.encode = lambda self, v: b'\\0' * 12\n" + WRONG,
        says="left out",
    ),
    Case(
        "error with a hostile text",
        "class E(Exception):\n"
        "    def __str__(self):\n        raise SystemExit\ndef double(x): raise E",
        state="*",
    ),
    Case(
        "error with a huge text",
        "def double(x): raise ValueError('x' * 10**8)",
        says="ValueError",
    ),
    Case(
        "error that pretends",
        "def double(x): raise type('AssertionError', (Exception,), {})('ok')",
    ),
    # -- Oddities that must cost nothing ------------------------------------------------
    harmless(
        "warning and stderr",
        "import warnings, sys\nwarnings.warn('old')\n"
        "print('hm', file=sys.stderr)\n"
        "def double(x):\n    warnings.warn('old'); print('hm', file=sys.stderr)\n"
        "    return 2 * x",
    ),
    harmless("open patched", "import builtins\nbuiltins.open = None"),
    harmless("print patched", "print = None"),
    harmless("stdout closed", "import sys, os\nsys.stdout.close()"),
    harmless("default dtype", "import torch\ntorch.set_default_dtype(torch.float64)"),
    harmless("gradients off", "import torch\ntorch.set_grad_enabled(False)"),
    harmless(
        "plot shown",
        "%matplotlib inline\nimport matplotlib.pyplot as plt\n"
        "plt.plot([1, 2]); plt.show()",
    ),
    harmless(
        "50 MB image",
        "import numpy as np, matplotlib.pyplot as plt\n"
        "plt.imshow(np.random.rand(200, 200, 3)); plt.savefig('x.png', dpi=300)",
    ),
    harmless("shell and line magics", "%timeit -n1 -r1 1\n!true"),
    harmless(
        "environment changed",
        "import os\nos.environ.clear()\nos.environ['PATH'] = '/x'",
    ),
    harmless("other folder", "import os\nos.mkdir('d'); os.chdir('d')"),
    harmless("names of the tests deleted", "del torch, check"),
    Case("syntax error", "def double(x:\n    return", says="SyntaxError in line 1"),
    Case("nothing at all", "", says="'double' is not defined"),
    Case("null bytes", "def double(x): return 0\n\x00", says=""),
    Case("input()", "x = input()\n" + RIGHT, says="EOFError"),
]
