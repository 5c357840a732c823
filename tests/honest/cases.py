"""Right answers with oddities that work in Jupyter, and the mark that each must get.

Every case is a whole notebook of an assignment with the right answers in it, but for
what the case changes. RIGHT in a cell stands for the right answer's text. All points are
due, unless the case says how many are lost, and then what the student is told.
"""

from dataclasses import dataclass, field

SUM = "def weighted_sum(weights, value): return weights @ value"


@dataclass(frozen=True)
class Case:
    """Attributes:
    of: the section of the assignment.
    answers: cells that stand in the place of the right answers, by exercise.
    before: cells that the student added, before the answer of that name, in order.
    lost: points.
    says: what the student reads somewhere, if a cell or an answer does not work here.
    """

    name: str
    of: str
    answers: dict[str, str] = field(default_factory=dict)
    before: dict[str, list[str]] = field(default_factory=dict)
    lost: float = 0
    says: str = ""


def summed(name: str, answer: str, *before: str, **expected: object) -> Case:
    """A case of 3.1's `weighted_sum`, the shortest of all answers."""
    cells = {"weighted_sum": list(before)} if before else {}
    return Case(name, "3.1", {"weighted_sum": answer}, cells, **expected)


def plot(name: str, answer: str, **expected: object) -> Case:
    """A case of 3.1's questions; the right ones are A, 6, 64 and 28."""
    return Case(name, "3.1", {"read_the_plot": answer}, **expected)


CASES = [
    # -- Magics -----------------------------------------------------------------------
    summed("%%time", "%%time\nRIGHT"),
    summed("%%capture", "%%capture out\nRIGHT\nprint(1)"),
    summed("%%prun", "%%prun\nRIGHT"),
    summed(
        "helper in a %%time cell",
        "def weighted_sum(weights, value): return helper(weights, value)",
        "%%time\ndef helper(w, v): return w @ v",
    ),
    summed(
        "%%writefile and import",
        "from mine import weighted_sum",
        f"%%writefile mine.py\n{SUM}",
    ),
    summed("%%writefile and %run", "%run mine.py", f"%%writefile mine.py\n{SUM}"),
    summed("%%timeit beside", "RIGHT", "%%timeit -n1 -r1\nsum(range(9))"),
    summed(
        "%%bash", "RIGHT", "%%bash\necho hi > hi.txt", "assert open('hi.txt').read()"
    ),
    summed(
        "%%html and %%javascript", "RIGHT", "%%html\n<b>hi</b>", "%%javascript\nalert()"
    ),
    summed("%time within the cell", "%time 1 + 1\nRIGHT\n%timeit -n1 -r1 1 + 1"),
    summed(
        "%matplotlib inline", "%matplotlib inline\nRIGHT\nplt.plot([1]); plt.show()"
    ),
    summed("%matplotlib widget", "%matplotlib widget\nRIGHT"),
    summed("%config", "%config InlineBackend.figure_format = 'retina'\nRIGHT"),
    summed("%autoreload", "%load_ext autoreload\n%autoreload 2\nRIGHT"),
    summed(
        "%env, %cd, %precision, %xmode",
        "%env A=1\n%cd .\n%precision 3\n%xmode Minimal\nRIGHT",
    ),
    summed("!echo and !false", "!echo hi\n!false\nRIGHT"),
    summed("output of a shell line", "n = !echo 1\nassert n == ['1']\nRIGHT"),
    summed("help with ?", "torch.matmul?\nRIGHT", "?torch.softmax"),
    summed("automagic", "RIGHT", "pwd"),
    summed("prompts", "In [3]: " + SUM),
    # -- The shell of the notebook -----------------------------------------------------
    summed("_", "weighted_sum = _", "lambda weights, value: weights @ value"),
    summed("__", "weighted_sum = __", "lambda weights, value: weights @ value", "1"),
    summed(
        "Out", "weighted_sum = Out[max(Out)]", "lambda weights, value: weights @ value"
    ),
    summed("In", "exec(In[-2])", SUM),
    summed("user_ns", "get_ipython().user_ns['weighted_sum'] = lambda w, v: w @ v"),
    summed("push", "get_ipython().push({'weighted_sum': lambda w, v: w @ v})"),
    summed("run_cell", f"get_ipython().run_cell({SUM!r})"),
    summed(
        "run_line_magic",
        f"get_ipython().run_line_magic('time', {SUM.replace('def weighted_sum(weights, value): return', 'weighted_sum = lambda weights, value:')!r})",
    ),
    summed(
        "get_ipython imported",
        f"from IPython import get_ipython\nget_ipython().ex({SUM!r})",
    ),
    summed("await", "RIGHT\nimport asyncio\nawait asyncio.sleep(0)"),
    summed(
        "async for, and asyncio.run in the function",
        "import asyncio\nasync def times(w, v): return w @ v\n"
        "def weighted_sum(weights, value): return asyncio.run(times(weights, value))",
        "async def numbers():\n    yield 1\nasync for i in numbers(): print(i)",
    ),
    summed("display", "RIGHT\ndisplay(torch.ones(2), weighted_sum)\ntorch.ones(3)"),
    summed(
        "IPython.display",
        "from IPython.display import HTML, Markdown, clear_output\nclear_output()\nRIGHT\ndisplay(Markdown('*hi*'))\nHTML('<b>hi</b>')",
    ),
    summed("input replaced", "input = lambda *a: '1'\nn = int(input('n?'))\nRIGHT"),
    summed("exit undone", "exit = quit = None\nRIGHT"),
    # -- Torch's settings and makers of functions ---------------------------------------
    summed(
        "as many threads as cores, and work",
        "RIGHT",
        "import os\ntorch.set_num_threads(os.cpu_count())",
        "x = torch.randn(8, 512, 64)\n(x @ x.mT).softmax(-1).sum()",
    ),
    Case(
        "4 threads, and work",
        "3.1",
        before={
            "attention_weights": [
                "torch.set_num_threads(4)",
                "x = torch.randn(8, 512, 64)\n(x @ x.mT).softmax(-1).sum()",
            ]
        },
    ),
    summed(
        "32 threads",
        "RIGHT",
        "torch.set_num_threads(32)\ntorch.randn(999, 999) @ torch.randn(999, 999)",
    ),
    summed(
        "threads set in the function",
        "big = torch.ones(512, 512)\nbig @ big\ndef weighted_sum(weights, value):\n    torch.set_num_threads(4)\n    big @ big\n    return weights @ value",
        "torch.set_num_threads(2)",
    ),
    Case(
        "matmul precision",
        "3.1",
        before={"attention_weights": ["torch.set_float32_matmul_precision('medium')"]},
    ),
    summed("@torch.jit.script", "@torch.jit.script\nRIGHT"),
    summed(
        "torch.jit.trace",
        "weighted_sum = torch.jit.trace(lambda w, v: w @ v, (torch.ones(2, 3), torch.ones(3, 2)))",
    ),
    summed("@torch.compile", "@torch.compile\nRIGHT"),
    Case(
        "@torch.no_grad and @torch.inference_mode",
        "3.1",
        {"sinusoidal_positions": "@torch.no_grad()\n@torch.inference_mode()\nRIGHT"},
    ),
    Case(
        "default dtype",
        "3.1",
        before={"attention_weights": ["torch.set_default_dtype(torch.float64)"]},
    ),
    Case(
        "default device",
        "3.1",
        before={"attention_weights": ["torch.set_default_device('cpu')"]},
    ),
    Case(
        "gradients off",
        "3.1",
        before={"attention_weights": ["torch.set_grad_enabled(False)"]},
    ),
    Case(
        "default dtype and a loss",
        "4.2",
        before={
            "log_sum_exp": [
                "torch.set_default_dtype(torch.float64)\ntorch.use_deterministic_algorithms(True)"
            ]
        },
    ),
    Case(
        "torch.vmap",
        "4.1",
        {"dot_product_variance": "RIGHT\nmany = torch.vmap(lambda x: x.exp())"},
    ),
    summed("operator.matmul", "import operator\nweighted_sum = operator.matmul"),
    summed(
        "a module of one's own",
        "class Sum(torch.nn.Module):\n    def forward(self, weights, value): return weights @ value\nweighted_sum = Sum()",
    ),
    summed(
        "seeds",
        "torch.manual_seed(1)\nimport random, numpy\nrandom.seed(1); numpy.random.seed(1)\nRIGHT",
    ),
    # -- How functions are made ----------------------------------------------------------
    summed("lambda", "weighted_sum = lambda weights, value: weights @ value"),
    summed(
        "partial",
        "from functools import partial\nweighted_sum = partial(lambda extra, w, v: w @ v, None)",
    ),
    summed(
        "callable object",
        "class Sum:\n    def __call__(self, weights, value): return weights @ value\nweighted_sum = Sum()",
    ),
    summed(
        "method",
        "class Sum:\n    def of(self, weights, value): return weights @ value\nweighted_sum = Sum().of",
    ),
    summed(
        "decorator with wraps",
        "import functools, time\ndef timed(f):\n    @functools.wraps(f)\n    def g(*args, **options):\n        began = time.time(); value = f(*args, **options); print(time.time() - began)\n        return value\n    return g\n@timed\nRIGHT",
    ),
    Case(
        "lru_cache",
        "3.1",
        {"sinusoidal_positions": "import functools\n@functools.lru_cache\nRIGHT"},
    ),
    summed(
        "made in another cell",
        "weighted_sum = make()",
        "def make():\n    def inner(weights, value): return weights @ value\n    return inner",
    ),
    summed("exec", f"exec({SUM!r})"),
    summed(
        "positional only",
        "def weighted_sum(weights, value, /, *, flip: bool = False): return weights @ value",
    ),
    summed(
        "singledispatch",
        "from functools import singledispatch\n@singledispatch\ndef weighted_sum(weights, value): raise TypeError\n@weighted_sum.register\ndef _(weights: torch.Tensor, value): return weights @ value",
    ),
    summed(
        "matmul of an own class",
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Pair:\n    left: 'torch.Tensor'\n    right: torch.Tensor\n    def product(self): return self.left @ self.right\ndef weighted_sum(weights, value): return Pair(weights, value).product()",
    ),
    summed(
        "names patched",
        "class Sum:\n    def of(w, v): return None\nSum.of = lambda w, v: w @ v\ntorch.Tensor.over = lambda w, v: w @ v\ndef weighted_sum(weights, value): return Sum.of(weights, value) * 0 + weights.over(value)",
    ),
    summed(
        "state between cells",
        "def weighted_sum(weights, value):\n    global calls\n    calls += 1; seen.append(calls)\n    return weights @ value",
        "calls, seen = 0, []",
    ),
    summed(
        "names deleted and bound anew",
        "helper = lambda w, v: w @ v\nRIGHT\nmath = None\nimport math",
        "def helper(): pass\ndel helper",
    ),
    summed(
        "threads of its own",
        "from concurrent.futures import ThreadPoolExecutor\ndef weighted_sum(weights, value):\n    with ThreadPoolExecutor(4) as pool: return list(pool.map(lambda v: weights @ v, [value]))[0]",
    ),
    # -- Text -----------------------------------------------------------------------------
    summed(
        "from __future__",
        "from __future__ import annotations\ndef weighted_sum(weights: Later, value: Later) -> Later: return weights @ value",
    ),
    summed(
        "from __future__ in a cell before",
        "class Sum:\n    of: Later\n    def this(self) -> Later: ...\nRIGHT",
        "from __future__ import annotations",
    ),
    summed(
        "typing and jaxtyping",
        "from typing import Annotated, TypeVar\nfrom jaxtyping import Float, jaxtyped\nT = TypeVar('T', bound=Annotated[torch.Tensor, 'any'])\n@jaxtyped(typechecker=None)\ndef weighted_sum(weights: Float[torch.Tensor, '... q k'], value: Float[torch.Tensor, '... k d']) -> Float[torch.Tensor, '... q d']: return weights @ value",
    ),
    summed(
        "unicode",
        "# 加权和：权重乘以值\ndef 加权和(α, ν):\n    '返回 α·ν — naïve'\n    return α @ ν\nweighted_sum = 加权和\nprint('结果 ✓')",
    ),
    summed(
        "tabs and spaces at the end",
        "def weighted_sum(weights, value):\t \n\tif True:\n\t\treturn weights @ value   \n\n\t\n",
    ),
    summed(
        "a long line",
        "def weighted_sum(weights, value): return (weights @ value"
        + " + sum(["
        + "0, " * 9000
        + "0]))",
    ),
    summed(
        "CRLF", "def weighted_sum(weights, value):\r\n    return weights @ value\r\n"
    ),
    summed(
        "backslashes and strings",
        'text = """%%time\n!rm\n"""\ndef weighted_sum(weights, value):\n    return weights \\\n        @ value',
    ),
    summed("semicolons at the end", "RIGHT;\nweighted_sum;"),
    # -- The interpreter ---------------------------------------------------------------
    summed(
        "warnings as errors", "import warnings\nwarnings.simplefilter('error')\nRIGHT"
    ),
    summed(
        "logging and faulthandler",
        "import logging, faulthandler\nlogging.basicConfig(level=logging.DEBUG, force=True)\nfaulthandler.enable()\nRIGHT\nlogging.debug('hi')",
    ),
    summed(
        "locale and encoding",
        "import locale, sys\nlocale.setlocale(locale.LC_ALL, '')\nsys.stdout.reconfigure(encoding='utf-8')\nRIGHT",
    ),
    summed(
        "collector, recursion, path",
        "import gc, sys\ngc.disable(); gc.set_threshold(1)\nsys.setrecursionlimit(5000)\nsys.path.append('/elsewhere')\nRIGHT",
    ),
    summed(
        "file written and read in the function",
        "torch.save(torch.ones(1), 'one.pt')\nimport pathlib\ndef weighted_sum(weights, value):\n    pathlib.Path('log.txt').write_text('è')\n    return weights @ value * torch.load('one.pt')[0].to(value.dtype)",
    ),
    summed(
        "print options",
        "torch.set_printoptions(precision=2, sci_mode=False)\nimport numpy as np\nnp.set_printoptions(precision=2)\nRIGHT\nprint(torch.randn(100, 100))",
    ),
    summed(
        "source, pickle, tests and breakpoint",
        "import copy, doctest, inspect, pickle, unittest\nRIGHT\n"
        "assert 'weights' in inspect.getsource(weighted_sum)\n"
        "weighted_sum = copy.deepcopy(pickle.loads(pickle.dumps(weighted_sum)))\n"
        "class Test(unittest.TestCase):\n    def test(self): self.assertEqual(1, 1)\n"
        "unittest.main(argv=[''], exit=False); doctest.testmod()\nbreakpoint()",
        "if __name__ == '__main__': x = 1\nassert x == 1",
    ),
    summed(
        "%store, %pylab, %alias, %hist, %who",
        "%pylab inline\n%store -r\n%alias ll ls -l\n%ll\n%hist\n%who\nRIGHT",
    ),
    summed(
        "threads, a timer and a subprocess",
        "import subprocess, threading\nt = threading.Timer(100, print); t.daemon = True\n"
        "t.start()\ndef weighted_sum(weights, value):\n"
        "    subprocess.run(['true'], check=True)\n    return weights @ value",
    ),
    summed(
        "a model trained in a cell, and a loader",
        "data = torch.utils.data.DataLoader(torch.arange(4), batch_size=2, shuffle=True)\n"
        "def weighted_sum(weights, value): return weights @ value * len(list(data)) / 2",
        "model = torch.nn.Linear(4, 1)\nmodel(torch.ones(4)).sum().backward()\n"
        "torch.optim.SGD(model.parameters(), 0.1).step()",
    ),
    # -- Values of other types -----------------------------------------------------------
    plot(
        "numbers of numpy",
        "import numpy as np\nread_the_plot = {'scaled': np.str_('A'), 'ceiling': np.log2(64), 'variance': np.int64(64), 'half': np.argmax(np.arange(60) == 28)}",
    ),
    plot(
        "numbers of torch",
        "read_the_plot = {'scaled': 'A', 'ceiling': torch.log2(torch.tensor(64.0)), 'variance': torch.tensor(64), 'half': (torch.arange(60) == 28).nonzero()[0]}",
    ),
    plot(
        "OrderedDict",
        "import collections\nread_the_plot = collections.OrderedDict(scaled='A', ceiling=6, variance=64, half=28)",
    ),
    plot(
        "defaultdict, filled in later",
        "import collections\nread_the_plot = collections.defaultdict(lambda: None)\nread_the_plot['scaled'] = 'A'\nread_the_plot |= {'ceiling': 6.0, 'variance': 64, 'half': 28}",
    ),
    plot(
        "a dict of one's own, and an enumeration",
        "import enum\nclass Answers(dict): pass\nclass N(enum.IntEnum):\n    SIX = 6\nread_the_plot = Answers(scaled='A', ceiling=N.SIX, variance=64, half=28)",
    ),
    plot(
        "fraction and decimal",
        "import decimal, fractions\nread_the_plot = {'scaled': 'A', 'ceiling': fractions.Fraction(6), 'variance': decimal.Decimal(64), 'half': 28}",
    ),
    plot(
        "computed from the picture",
        "read_the_plot = {'scaled': 'A', 'ceiling': math.log2(64), 'variance': 64, 'half': int((products < products[0] / 2).nonzero()[0])}",
    ),
    Case(
        "Counter, and extra keys",
        "3.2.1",
        {
            "predict": "from collections import Counter\npredict = Counter(masked=48, changed=54)\npredict.update(never=0.20, reported=0.64)"
        },
    ),
    Case(
        "subclass of ValueError",
        "3.1",
        {
            "split_heads": "class HeadsError(ValueError): pass\ndef split_heads(x, n_heads):\n    if x.shape[-1] % n_heads: raise HeadsError('no') from None\n    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)"
        },
    ),
    Case(
        "root of d_k in float32",
        "3.1",
        {
            "attention_weights": "def attention_weights(query, key):\n    root = torch.sqrt(torch.tensor(query.shape[-1], dtype=torch.float32))\n    return (query @ key.mT / root).softmax(-1)"
        },
    ),
    Case(
        "frequencies in float32",
        "3.1",
        {
            "apply_rotary": "def apply_rotary(x, positions):\n    d = x.shape[-1]\n    angle = torch.outer(positions.float(), 1.0 / (10000 ** (torch.arange(0, d, 2).float() / d)))\n    c, s = angle.cos().to(x.dtype), angle.sin().to(x.dtype)\n    u, v = x[..., 0::2], x[..., 1::2]\n    return torch.stack((u * c - v * s, u * s + v * c), -1).flatten(-2)"
        },
    ),
    Case(
        "numpy within",
        "3.2.1",
        {
            "probability_as_seen": "import numpy as np\ndef probability_as_seen(q, vocab_size, kept, random):\n    p = q.numpy(); c = random / vocab_size\n    return torch.from_numpy(np.asarray(p * (kept + c) / (p * kept + c), dtype=p.dtype))"
        },
    ),
    Case(
        "named tuple",
        "3.2.1",
        {
            "corrupt": "from typing import NamedTuple\nclass Made(NamedTuple):\n    inputs: Tensor\n    targets: Tensor\nright = None\nRIGHT\ncorrupt = (lambda f: lambda *args: Made(*f(*args)))(corrupt)"
        },
    ),
    Case(
        "number of numpy, of a sum",
        "3.2.1",
        {
            "random_order_bits": "import numpy as np\ndef random_order_bits(nats):\n    if not nats: raise ValueError\n    return np.sum(nats) / np.log(2)"
        },
    ),
    Case(
        "%%time above a function of many lines",
        "3.2.1",
        {"corrupt": "%%time\n%%capture\nRIGHT"},
    ),
    Case(
        "OrderedDict returned",
        "3.2.2",
        {
            "pack_pair": "RIGHT\nimport collections\npack_pair = (lambda f: lambda *args: collections.OrderedDict(f(*args)))(pack_pair)"
        },
    ),
    Case(
        "number of torch returned",
        "3.2.2",
        {
            "threshold_accuracy": "RIGHT\nthreshold_accuracy = (lambda f: lambda *args: torch.tensor(f(*args), dtype=torch.float64))(threshold_accuracy)"
        },
    ),
    Case(
        "helpers in a module that is written",
        "3.2.2",
        {"make_pairs": "%run pairs.py"},
        {
            "make_pairs": [
                "%%writefile pairs.py\nRIGHT".replace(
                    "RIGHT",
                    "def make_pairs(n_sentences, coins, elsewhere):\n    return [(i, elsewhere[i] if coins[i] else i + 1, coins[i]) for i in range(n_sentences - 1)]",
                )
            ]
        },
    ),
    Case(
        "integers of numpy in lists",
        "3.2.3",
        {
            "corrupt_spans": "RIGHT\nimport numpy as np\ncorrupt_spans = (lambda f: lambda *args: tuple(list(np.array(x)) for x in f(*args)))(corrupt_spans)"
        },
    ),
    Case(
        "boolean of numpy for a label",
        "3.2.3",
        {
            "order_pair": "RIGHT\nimport numpy as np\norder_pair = (lambda f: lambda *args: (*f(*args)[:2], np.int64(f(*args)[2])))(order_pair)"
        },
    ),
    Case(
        "words of numpy in a list",
        "3.3",
        {
            "split_by_text": "RIGHT\nimport numpy as np\nsplit_by_text = (lambda f: lambda *args: list(np.array(f(*args))))(split_by_text)"
        },
    ),
    Case(
        "OrderedDict, as state_dict() gives it",
        "3.3",
        {
            "load_backbone": "RIGHT\nimport collections\nload_backbone = (lambda f: lambda *args: collections.OrderedDict(f(*args)))(load_backbone)"
        },
    ),
    Case(
        "number of numpy for a loss",
        "3.3",
        {
            "accumulated_loss": "import numpy as np\ndef accumulated_loss(sums, counts): return np.float64(sum(sums)) / max(np.sum(counts), 1)"
        },
    ),
    Case(
        "KeyError of one's own",
        "3.3",
        {
            "load_backbone": "class Missing(KeyError): pass\nclass Shape(ValueError): pass\nRIGHT".replace(
                "RIGHT",
                "def load_backbone(pretrained, fresh, prefix):\n    made = {}\n    for name, own in fresh.items():\n        if name.startswith('heads.'): made[name] = own.clone(); continue\n        if prefix + name not in pretrained: raise Missing(name)\n        if pretrained[prefix + name].shape != own.shape: raise Shape(name)\n        made[name] = pretrained[prefix + name].to(own.dtype, copy=True)\n    return made",
            )
        },
    ),
    Case(
        "fraction returned",
        "4.1",
        {
            "dot_product_variance": "from fractions import Fraction as F\ndef dot_product_variance(d_k, var_q, var_k, mean_q, mean_k):\n    return d_k * (F(var_q) * F(var_k) + F(var_q) * F(mean_k)**2 + F(var_k) * F(mean_q)**2)"
        },
    ),
    Case(
        "named tuple of tensors",
        "4.1",
        {
            "merge": "RIGHT\nimport collections\nState = collections.namedtuple('State', 'o l')\nmerge = (lambda f: lambda *args: State(*f(*args)))(merge)"
        },
    ),
    Case(
        "@torch.jit.script of a helper",
        "4.1",
        {"softmax_backward": "@torch.jit.script\nRIGHT"},
    ),
    Case(
        "threads and gradients",
        "4.1",
        before={
            "dot_product_variance": [
                "torch.set_num_threads(3)\nx = torch.randn(64, 64, 64, requires_grad=True)\nx.softmax(-1).square().sum().backward()"
            ]
        },
    ),
    Case(
        "tensor without axes returned",
        "4.2",
        {
            "calibration_error": "RIGHT\ncalibration_error = (lambda f: lambda *args: torch.tensor(f(*args)))(calibration_error)"
        },
    ),
    Case(
        "softplus through another name",
        "4.2",
        {
            "binary_cross_entropy": "import torch.nn.functional as FF\nsoftplus = FF.softplus\ndef binary_cross_entropy(logits, targets): return (softplus(logits) - targets * logits).mean()"
        },
    ),
    # -- 1.2 --------------------------------------------------------------------------
    Case(
        "integers of numpy and torch for counts, a view for a mask",
        "1.2",
        {
            "decoder_parameters": "RIGHT\nimport numpy as np\ndecoder_parameters = (lambda f: lambda *sizes: np.int64(f(*sizes)))(decoder_parameters)",
            "flops_per_token": "RIGHT\nflops_per_token = (lambda f: lambda *sizes: torch.tensor(f(*sizes)))(flops_per_token)",
            "seen": "%%time\ndef seen(before, after): return (after - before).abs().amax(-1).gt(1e-5).mT",
        },
    ),
    Case(
        "sizes of numpy in an OrderedDict, views for matrices",
        "1.2",
        {
            "read_checkpoint": "RIGHT\nimport collections\nimport numpy as np\nread_checkpoint = (lambda f: lambda w: collections.OrderedDict((k, v if v is None else np.array(v)[()]) for k, v in f(w).items()))(read_checkpoint)",
            "convert_gpt2": "RIGHT\nimport collections\nconvert_gpt2 = (lambda f: lambda w, s: collections.OrderedDict((k, v.detach().requires_grad_()) for k, v in f(w, s).items()))(convert_gpt2)",
        },
    ),
    # -- 2.1 --------------------------------------------------------------------------
    Case(
        "a list in place of a pair, a np.bool_, a float of numpy's",
        "2.1",
        {
            "next_token_rows": "RIGHT\nnext_token_rows = (lambda f: lambda *args: list(f(*args)))(next_token_rows)",
            "is_held_out": "import numpy as np\nRIGHT\nis_held_out = (lambda f: lambda *args: np.bool_(f(*args)))(is_held_out)",
            "containment": "RIGHT\ncontainment = (lambda f: lambda *args: np.float64(f(*args)))(containment)",
        },
    ),
    # -- 2.2 --------------------------------------------------------------------------
    Case("a mask in a %%time cell", "2.2", {"magnitude_mask": "%%time\nRIGHT"}),
    Case(
        "a loss as np.float64",
        "2.2",
        {
            "predicted_loss": "import numpy as np\ndef predicted_loss(loss, loss_a, a, b):\n    return np.float64(loss) + (loss_a - loss) * np.square((2 ** (a - 1) - 1) / (2 ** (b - 1) - 1))"
        },
    ),
    # -- 2.3 --------------------------------------------------------------------------
    Case(
        "numpy for a fit, a list for a pair, a tensor for a number",
        "2.3",
        {
            "compute_optimal": "RIGHT\nimport numpy as np\ncompute_optimal = (lambda f: lambda *law: np.array(f(*law)).tolist())(compute_optimal)",
            "fit_power_law": "import numpy as np\ndef fit_power_law(n, loss, floor):\n    if len(n) < 2 or min(loss) <= floor: raise ValueError\n    slope, top = np.polyfit(np.log(n.double().numpy()), np.log(loss.double().numpy() - floor), 1)\n    return np.exp(top), -slope",
            "rank_correlation": "%%time\nRIGHT\nrank_correlation = (lambda f: lambda x, y: torch.tensor(f(x, y)))(rank_correlation)",
        },
    ),
    Case(
        "a Counter for votes, numpy for powers, capitals for a word",
        "2.3",
        {
            "neighbour_accuracy": "from collections import Counter\ndef neighbour_accuracy(distances, labels, wanted, k):\n    won = [Counter(labels[row.argsort()[:k]].tolist()).most_common(1)[0][0] for row in distances]\n    return (torch.tensor(won) == wanted).float().mean()",
            "exact_match": "import numpy as np\ndef exact_match(p, k): return torch.from_numpy(np.power(p.numpy(), k))",
            "floor_in_bits": "from fractions import Fraction\ndef floor_in_bits(nats_per_token, bytes_per_token):\n    if bytes_per_token <= 0: raise ValueError\n    return Fraction(nats_per_token) / Fraction(bytes_per_token) / Fraction(math.log(2))",
            "predict": "predict = {'at_90': 0.9 ** 10, 'at_95': torch.tensor(0.95) ** 10, 'half_way': 0.93, 'clumps': 'MORE', 'growth': 10.0}",
        },
    ),
    # -- 1.1 --------------------------------------------------------------------------
    Case(
        "probabilities in an array, bits as np.float64",
        "1.1",
        {
            "witten_bell": "import numpy as np\nRIGHT\nwitten_bell = (lambda f: lambda *args: np.array(f(*args), dtype=np.float64))(witten_bell)",
            "adaptive_bits": "RIGHT\nadaptive_bits = (lambda f: lambda *args: np.float64(f(*args)))(adaptive_bits)",
        },
    ),
    # -- 5 ----------------------------------------------------------------------------
    Case(
        "a str and an array of numpy's, a fraction for a float",
        "5",
        {
            "shortest_code": "import numpy as np\nRIGHT\nshortest_code = (lambda f: lambda low, width: np.str_(f(low, width)))(shortest_code)",
            "decode": "RIGHT\ndecode = (lambda f: lambda *args: np.array(f(*args), dtype=int))(decode)",
            "pays_from": "def pays_from(model_bits, own, rival):\n    return math.inf if own >= rival else Fraction(model_bits) / Fraction(rival - own)",
        },
    ),
    # -- 9 ----------------------------------------------------------------------------
    Case(
        "a seed of numpy's, a word of numpy's, letters in small",
        "9",
        {
            "worker_seed": "import hashlib\nimport numpy as np\nRIGHT\nworker_seed = (lambda f: lambda *args: np.uint64(f(*args)))(worker_seed)",
            "verdict": "import numpy as np\nRIGHT\nverdict = (lambda f: lambda *args: np.str_(f(*args)))(verdict)",
            "clinic": "RIGHT\nclinic = {cause: letter.lower() for cause, letter in clinic.items()}",
        },
    ),
    # -- The capstone -----------------------------------------------------------------
    Case(
        "a list in place of a pair",
        "c",
        {
            "read_varint": "%%time\nRIGHT\n\nonce = read_varint\ndef read_varint(data, at): return list(once(data, at))"
        },
    ),
    # -- 6 ----------------------------------------------------------------------------
    Case(
        "a pair as a list of tensors, np.float64, and a fraction for a float",
        "6",
        {
            "beam_search": "RIGHT\n\nonce = beam_search\ndef beam_search(*args):\n    text, total = once(*args)\n    return [torch.tensor(text), torch.tensor(total)]",
            "corpus_bleu": "import numpy as np\nRIGHT\ncorpus_bleu = (lambda f: lambda *args: np.float64(f(*args)))(corpus_bleu)",
            "answer_f1": "from fractions import Fraction\nRIGHT\nanswer_f1 = (lambda f: lambda *args: Fraction(f(*args)))(answer_f1)",
        },
    ),
    Case("a penalty in a %%time cell", "6", {"penalise": "%%time\nRIGHT"}),
    # -- Tools ------------------------------------------------------------------------
    Case(
        "lists in place of tuples, and numbers of numpy",
        "7",
        {
            "read_safetensors": "RIGHT\n\nonce = read_safetensors\ndef read_safetensors(data): return {k: list(v) for k, v in once(data).items()}",
            "accept": "import numpy as np\nRIGHT\n\ndrawn = accept\ndef accept(*args): return np.int64(drawn(*args))",
        },
    ),
    # -- 8 ----------------------------------------------------------------------------
    Case(
        "tensors and a fraction for floats, an array for a list, a capital letter",
        "8",
        {
            "exposure": "RIGHT\nexposure = (lambda f: lambda *args: torch.tensor(f(*args)))(exposure)",
            "good_turing": "from fractions import Fraction\ndef good_turing(counts):\n    if not any(counts): raise ValueError\n    return Fraction(counts.count(1), sum(counts))",
            "balance_loss": "%%time\nRIGHT",
            "chat_ids": "import numpy as np\nRIGHT\nchat_ids = (lambda f: lambda *args: np.array(f(*args)))(chat_ids)",
            "training_cost": "RIGHT\ntraining_cost = (lambda f: lambda *args: torch.tensor(f(*args), dtype=torch.float64))(training_cost)",
            "answers": "RIGHT\nanswers['poisons'] = ' A '",
        },
    ),
    # -- What cannot be had here, and is told ---------------------------------------------
    summed(
        "Out by its number",
        "weighted_sum = Out[7]",
        lost=2,
        says="weighted_sum stopped with KeyError in line 1 of the cell: “7”",
    ),
    summed("cuda", "RIGHT\nbig = torch.ones(2).to('cuda')", says="CUDA"),
    summed(
        "processes",
        "RIGHT\nimport multiprocessing\npool = multiprocessing.Pool(2)",
        says="FileNotFoundError",
    ),
    summed("input", "RIGHT\ninput('n?')", says="EOFError"),
    summed(
        "answer in a %%timeit cell",
        "%%timeit -n1 -r1\nRIGHT",
        lost=2,
        says="name 'weighted_sum' is not defined",
    ),
]
