import re

# ok: regex-that-backtracks
NUMBERS = re.compile(r"^\d+(,\d+)*$")
# ok: regex-that-backtracks
FENCE = re.compile(r"```(?:json)?(.*?)```", re.DOTALL)


def action(answer):
    # ok: regex-that-backtracks
    return re.search(r"Action: (\w+)", answer)


def tags(text):
    # ok: regex-that-backtracks
    return re.sub(r"<[a-z]+>", "", text)
