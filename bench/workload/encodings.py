"""Text of a file in UTF-8, in UTF-16 with its mark, or else in the encoding of Chinese systems."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final

from bench.errors import WorkloadError

if TYPE_CHECKING:
    from pathlib import Path

#: The marks that a file may begin with, and what must follow them.
_MARKED: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

#: Both bytes of a character of GB 2312 are at least this; GBK and GB 18030 have others too.
_FIRST: Final = 0xA1
#: Where its less common characters begin, of which ordinary text has a few in a hundred.
_RARE: Final = 0xD8

#: Of a Chinese text nearly all characters are common ones, rare names or not; of Big5 and Shift JIS that are taken for
#: GB 18030 a third, of Latin-1 none.
_COMMON_SHARE: Final = 0.75

_AS_UTF8: Final = "open it in the program that wrote it and save it as UTF-8, or as .xlsx"


def decoded(path: Path, data: bytes) -> str:
    """Return the text of a file.

    GB 18030 has no mark, and makes characters of nearly any bytes: it is believed where these are common ones in
    Chinese, and where the file is not UTF-8 but for some bytes.

    Args:
        path: The file's, for messages.
        data: What it holds.

    Raises:
        WorkloadError: It is none of these encodings, or not what its mark says; the message has the first wrong byte.
    """
    for mark, encoding in _MARKED:
        if data.startswith(mark):
            return _as_marked(path, data, encoding)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if _is_damaged_utf8(data):
            raise WorkloadError(f"{path} is UTF-8 with {_place(data, error.start)}", _AS_UTF8) from error
        wrong = _place(data, error.start)
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError as error:
        raise WorkloadError(f"{path} is text in none of utf-8, gb18030: it has {wrong}", _AS_UTF8) from error
    if not _is_chinese(text):
        raise WorkloadError(
            f"{path} is text in none of utf-8, gb18030: it has {wrong}, and is not Chinese when read as gb18030",
            _AS_UTF8,
        )
    return text


def _as_marked(path: Path, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise WorkloadError(
            f"{path} begins with the mark of {encoding} and has {_place(data, error.start)}", _AS_UTF8
        ) from error


def _place(data: bytes, at: int) -> str:
    """Return a wrong byte with its line and its place in that, both from 1 on."""
    line = data.count(b"\n", 0, at) + 1
    place = at - data.rfind(b"\n", 0, at)
    return f"a wrong byte 0x{data[at]:02x} in line {line}, byte {place} of the line"


def _is_damaged_utf8(data: bytes) -> bool:
    """Return whether characters of several bytes outnumber wrong bytes: in GB 18030 it is one to four."""
    text = data.decode("utf-8", "surrogateescape")
    wrong = len(re.findall("[\udc80-\udcff]", text))
    return len(re.findall("[^\x00-\x7f\udc80-\udcff]", text)) > wrong


def _is_chinese(text: str) -> bool:
    """Return whether most characters beyond ASCII are among the common ones of GB 2312, by their two bytes."""
    foreign = re.sub(r"[\x00-\x7f]+", "", text)
    pairs = foreign.encode("gbk", "ignore")
    common = sum(lead < _RARE and trail >= _FIRST for lead, trail in zip(pairs[::2], pairs[1::2], strict=True))
    return common > _COMMON_SHARE * len(foreign)
