"""What a request's body may say, and the prompt that comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.service.values import Kind, Path, Wish
from bench.workload.topics import script_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.records import JsonObject

Language = Literal["zh-CN", "en"]
Length = Literal["short", "medium", "long"]

#: The longest topic in characters: in Chinese it fills the largest body that is taken unless the service is told so.
MAX_TOPIC_CHARS: Final = 20_000

#: A character that shows: none of the controls, blanks and marks of no width. Written out, because what `\s` means
#: differs between this library and those that read the service's description.
_VISIBLE: Final = r"[^\u0000-\u0020\u007f-\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]"

#: A category and a tone are a few words.
_MAX_WORDS_CHARS: Final = 200

_MAX_USER_CHARS: Final = 128

#: How long a text of each length is to be, in Chinese characters and in English words.
_CHARACTERS: Final[Mapping[Length, int]] = {"short": 200, "medium": 600, "long": 1500}
_WORDS: Final[Mapping[Length, int]] = {"short": 120, "medium": 400, "long": 1000}

#: What is asked for, by language and kind; a message of a chat speaks for itself.
_TASKS: Final[Mapping[Language, Mapping[Kind, str]]] = {
    "zh-CN": {
        "generate": "请就下面的主题写一篇文章。",
        "optimize": "请润色下面的文本，使其更清楚、更通顺，保持原意，只给出润色后的文本。",
    },
    "en": {
        "generate": "Write a text about the topic below.",
        "optimize": "Improve the text below so that it is clearer and reads better; keep its meaning, and give the "
        "improved text alone.",
    },
}


class TaskBody(BaseModel):
    """What is to be written, and how."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    topic: str = Field(
        min_length=1,
        max_length=MAX_TOPIC_CHARS,
        pattern=_VISIBLE,
        description="what to write about, the text to improve, or the message to answer",
    )
    category: str | None = Field(default=None, max_length=_MAX_WORDS_CHARS, description="kind of text, in a few words")
    tone: str | None = Field(default=None, max_length=_MAX_WORDS_CHARS, description="how it is to sound")
    length: Length | None = Field(default=None, description="how long it is to be; medium where a text is generated")
    language: Language | None = Field(default=None, description="its language (default: the topic's)")
    enable_thinking: bool | None = Field(
        default=None, description="let the model think before it answers, or not (default: the provider's)"
    )
    user_id: str = Field(default="", max_length=_MAX_USER_CHARS, description="for whom it is; kept with the task")


def wish_of(body: TaskBody, *, kind: Kind, path: Path, idempotency_key: str | None) -> Wish:
    """Return the task that a body asks for."""
    params: JsonObject = {}
    if body.enable_thinking is not None:
        params["thinking"] = {"type": "enabled" if body.enable_thinking else "disabled"}
    return Wish(
        kind=kind,
        path=path,
        topic=body.topic,
        messages=({"role": "user", "content": prompt_of(body, kind)},),
        params=params,
        user_id=body.user_id,
        idempotency_key=idempotency_key,
    )


def prompt_of(body: TaskBody, kind: Kind) -> str:
    """Return the prompt for a body, in the language that it asks for, else in its topic's.

    What is wanted stands before an empty line, the topic behind it as it is.
    """
    language = body.language or ("zh-CN" if script_of(body.topic) == "zh" else "en")
    length = body.length or ("medium" if kind == "generate" else None)
    wanted = [_TASKS[language].get(kind, ""), *_details(body, language, length)]
    if kind != "chat" or body.language is not None:
        wanted.append("请用中文回答。" if language == "zh-CN" else "Answer in English.")
    said = ("" if language == "zh-CN" else " ").join(filter(None, wanted))
    return f"{said}\n\n{body.topic}" if said else body.topic


def _details(body: TaskBody, language: Language, length: Length | None) -> list[str]:
    """Return what a body says of the text that it wants, a sentence each."""
    if language == "zh-CN":
        details = {"类别：{}。": body.category, "语气：{}。": body.tone, "篇幅约{}字。": length and _CHARACTERS[length]}
    else:
        details = {
            "Category: {}.": body.category,
            "Tone: {}.": body.tone,
            "Length: about {} words.": length and _WORDS[length],
        }
    return [sentence.format(value) for sentence, value in details.items() if value]
