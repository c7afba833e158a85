import re

# ruleid: regex-that-backtracks
NUMBERS = re.compile(r"^(\d+,?)+$")


def action(answer):
    # ruleid: regex-that-backtracks
    return re.search(r"Action:\s*(\w+\s?)+$", answer)


def tags(text):
    # ruleid: regex-that-backtracks
    return re.sub(r"<(\s*[a-z]*)*>", "", text)
