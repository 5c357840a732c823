"""How letters are written in files and names that do not say it."""

import re

#: Marks that turn the text around them, and others that nobody sees.
INVISIBLE = re.compile("[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
#: What people call an encoding.
CALLED = {
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "gb18030": "GBK",
    "big5": "Big5",
    "cp1252": "Windows-1252, of Western Europe",
    "latin-1": "Latin-1, of Western Europe",
    "cp437": "IBM 437, of Western Europe",
}


def is_gbk(data: bytes) -> bool:
    """Whether text that is not UTF-8 is Chinese, rather than Western European.

    There, a letter with an accent stands among letters without; here, characters take
    two bytes, and both are above 0xa0 in nearly all that names are made of.
    """
    try:
        wide = [c for c in data.decode("gb18030") if not c.isascii()]
    except UnicodeDecodeError:
        return False
    common = [c for c in wide if min(c.encode("gb18030")) > 0xA0]
    return bool(wide) and 2 * len(common) >= len(wide)
