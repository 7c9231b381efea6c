"""The text of answers: words that read as text and say that they are simulated."""

import random
from typing import Final

_ENGLISH_START: Final = ("This ", "text ", "is ", "simulated. ")
_CHINESE_START: Final = ("本文", "由", "模拟器", "生成。")
_ENGLISH: Final = (
    *("the", "market", "research", "method", "shows", "that", "new", "tools", "change", "how", "people", "plan"),
    *("work", "and", "share", "results", "while", "small", "teams", "test", "ideas", "early", "measure", "progress"),
    *("often", "keep", "simple", "records", "learn", "from", "each", "step", "balance", "cost", "with", "quality"),
    *("build", "trust", "over", "time", "open", "more", "choices", "for", "users", "bring", "clear", "value"),
)
_CHINESE: Final = (
    *("技术", "发展", "推动", "行业", "不断", "进步", "企业", "需要", "结合", "实际", "制定", "合理", "计划", "数据"),
    *("分析", "帮助", "团队", "发现", "问题", "提高", "效率", "降低", "成本", "改善", "服务", "质量", "未来", "市场"),
    *("将会", "更加", "开放", "用户", "关注", "体验", "研究", "人员", "通过", "实验", "验证", "方法", "形成", "稳定"),
)
_SHORTEST_SENTENCE: Final = 6
_LONGEST_SENTENCE: Final = 12


def words(seed: int, variant: str, count: int, *, chinese: bool) -> list[str]:
    """Return `count` words, each one token with its own space or stop; the same arguments give the same words.

    The first few say that the text is simulated.
    """
    chosen = random.Random(f"{seed}/{variant}/{chinese}")  # noqa: S311 - words for a demo, no secret
    start, vocabulary = (_CHINESE_START, _CHINESE) if chinese else (_ENGLISH_START, _ENGLISH)
    text = list(start)
    while len(text) < count:
        text.extend(_sentence(chosen, vocabulary, chinese=chinese))
    return text[:count]


def _sentence(chosen: random.Random, vocabulary: tuple[str, ...], *, chinese: bool) -> list[str]:
    length = chosen.randint(_SHORTEST_SENTENCE, _LONGEST_SENTENCE)
    picked = [chosen.choice(vocabulary) for _ in range(length)]
    if chinese:
        return [*picked[:-1], f"{picked[-1]}。"]
    return [f"{picked[0].capitalize()} ", *(f"{word} " for word in picked[1:-1]), f"{picked[-1]}. "]
