"""7.2: the shipped GPT under lm-evaluation-harness, offline, on tasks made here.

The harness is no dependency of the course: it brings two dozen packages of its own.
Only to make this record anew, install it, in an environment of its own if you like:

    pip install lm_eval==0.4.13
"""

import json
import os
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

import torch
from experiment import Row, Runs, main, shipped_weights

from lmlib.data.load import load_documents
from lmlib.data.summaries import installed_summaries, name_questions
from lmlib.shipped import shipped
from lmlib.training.saved import save

DOCUMENTS, QUESTIONS = 200, 400
# What stands before a candidate, and between it and the candidate.
NAME_AFTER = {
    "blank line": ("{{summary}}\n\n", ""),
    "Name:": ("{{summary}}\nName:", " "),
    "Which function": ("Which function does this? {{summary}}\nAnswer:", " "),
}
SUMMARY_AFTER = {
    "blank line": ("%s\n\n", ""),
    "Summary:": ("Name: %s\nSummary:", " "),
    "The function": ("The function %s does the following:", " "),
}
# Common words of names, for candidates of which every second one is Chinese.
CHINESE = {
    "get": "取得", "set": "设置", "add": "添加", "remove": "删除", "index": "索引",
    "name": "名称", "type": "类型", "data": "数据", "file": "文件", "line": "行",
    "read": "读取", "write": "写入", "find": "查找", "sort": "排序", "check": "检查",
    "is": "是", "to": "到", "from": "从", "with": "以", "not": "不", "test": "测试",
    "make": "制作", "value": "值", "values": "值", "key": "键",
    "list": "列表", "array": "数组", "matrix": "矩阵", "string": "字符串",
    "time": "时间", "date": "日期", "plot": "绘图", "color": "颜色", "size": "大小",
    "text": "文本", "function": "函数", "random": "随机", "sum": "和", "mean": "均值",
    "max": "最大", "min": "最小", "new": "新", "all": "全部", "and": "和", "of": "的",
    "by": "按",
}  # fmt: skip
NAMED = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "pad": "<pad>"}


@cache
def folder() -> Path:
    return Path(tempfile.mkdtemp())


@cache
def model_folder(named: bool) -> str:
    """The shipped GPT, with or without the names of its special tokens."""
    place = folder() / f"gpt-{named}"
    kept = shipped("gpt")
    save(kept.model, kept.tokenizer, place)
    if named:
        names = {f"{key}_token": token for key, token in NAMED.items()}
        (place / "tokenizer_config.json").write_text(json.dumps(names))
    return str(place)


@cache
def texts() -> list[str]:
    return [d.text for d in load_documents("installed", "test")[:DOCUMENTS]]


def half_chinese(name: str) -> str:
    return "".join(CHINESE.get(word, f" {word} ") for word in name.split()).strip()


@cache
def questions() -> list[Row]:
    rows = []
    for question in name_questions(installed_summaries("test"), QUESTIONS):
        mixed = [
            half_chinese(name) if place % 2 else name
            for place, name in enumerate(question.names)
        ]
        rows.append(
            {
                "summary": question.summary.summary,
                "names": list(question.names),
                "mixed": mixed,
                "right": question.right,
            }
        )
    return rows


def harness(
    documents: list[Row], task: Row, *, named: bool = True, **model: Any
) -> tuple[Row, list[Row]]:
    """The harness's numbers, and its samples in the order of the documents."""
    try:
        import lm_eval
    except ImportError:
        raise SystemExit("this run needs: pip install lm_eval==0.4.13") from None
    file = folder() / f"{len(list(folder().iterdir()))}.jsonl"
    file.write_text("".join(json.dumps(d) + "\n" for d in documents))
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args={
            "pretrained": model_folder(named),
            "dtype": "float32",
            **model,
        },
        tasks=[
            {
                "task": "ours",
                "dataset_path": "json",
                "dataset_kwargs": {
                    "data_files": str(file),
                    "cache_dir": str(folder() / "cache"),
                },
                "test_split": "train",
                **task,
            }
        ],
        batch_size=64,
        device="cpu",
    )
    samples = sorted(found["samples"]["ours"], key=lambda s: s["doc_id"])
    numbers = {
        key.removesuffix(",none"): value
        for key, value in found["results"]["ours"].items()
        if key.endswith(",none")
    }
    return {"lm_eval": version("lm_eval"), **numbers}, samples


def bits(how: str) -> Row:
    """Bits per byte of documents: each by itself, or under another default."""
    from_harness: Callable[..., Any] | str = "text"
    documents, model, named = texts(), {}, True
    task: Row = {"output_type": "loglikelihood_rolling", "doc_to_text": ""}
    task["metric_list"] = [
        {"metric": metric}
        for metric in ("bits_per_byte", "byte_perplexity", "word_perplexity")
    ]
    column = "text"
    if how == "joined":
        documents = ["\n".join(documents)]
    elif how == "windows of 96":
        model = {"max_length": 96}
    elif how == "add_bos_token":
        model = {"add_bos_token": True}
    elif how == "begins with </s>":
        model = {"prefix_token_id": shipped("gpt").tokenizer.special.eos}
    elif how == "tokens without names":
        named = False
    elif how == "as wikitext":
        try:
            from lm_eval.tasks.wikitext import preprocess_wikitext as wikitext
        except ImportError:
            raise SystemExit("this run needs: pip install lm_eval==0.4.13") from None
        from_harness, column = wikitext.wikitext_detokenizer, "page"
        task["process_results"] = wikitext.process_results
    task["doc_to_target"] = from_harness
    rows = [{column: text} for text in documents]
    try:
        found, samples = harness(rows, task, named=named, **model)
    except (IndexError, RuntimeError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    scored = [s["bits_per_byte"] for s in samples]
    return {
        **found,
        "nats": [round(-nats, 3) for nats, _ in scored],
        "bytes": [n for _, n in scored],
    }


def ask(names_from: str, context: str, delimiter: str) -> Row:
    """Which name after the summary."""
    return answers(
        {
            "doc_to_text": context,
            "doc_to_choice": names_from,
            "doc_to_target": "right",
            "target_delimiter": delimiter,
        }
    )


def ask_backwards(context: str, delimiter: str) -> Row:
    """After which name the summary: candidates are contexts, as in WinoGrande."""
    return answers(
        {
            "doc_to_text": "right",
            "doc_to_choice": lambda doc: [context % name for name in doc["names"]],
            "doc_to_target": "summary",
            "target_delimiter": delimiter,
        }
    )


def answers(task: Row) -> Row:
    metrics = [{"metric": m} for m in ("acc", "acc_norm", "acc_bytes")]
    found, samples = harness(
        questions(), {"output_type": "multiple_choice", "metric_list": metrics, **task}
    )
    return {
        **found,
        **{
            f"{m} of each": "".join(str(int(s[m])) for s in samples)
            for m in ("acc", "acc_norm", "acc_bytes")
        },
    }


def runs() -> Runs:
    weights = shipped_weights("gpt")

    def what(part: str, how: str) -> Row:
        return {"part": part, "how": how, "weights": weights}

    for how in (
        "each by itself",
        "joined",
        "windows of 96",
        "add_bos_token",
        "begins with </s>",
        "tokens without names",
        "as wikitext",
    ):
        yield what("bits", how), lambda how=how: bits(how)
    for how, prompt in NAME_AFTER.items():
        yield what("name", how), lambda prompt=prompt: ask("names", *prompt)
    for how, prompt in SUMMARY_AFTER.items():
        yield what("summary", how), lambda prompt=prompt: ask_backwards(*prompt)
    prompt = NAME_AFTER["Name:"]
    yield what("half Chinese", "Name:"), lambda: ask("mixed", *prompt)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(__file__, runs())
