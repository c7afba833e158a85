import shlex

REQUIRED = ["git", "curl"]


def script_of(config):
    # ok: names-in-install-command
    text = f"apt-get install -y {' '.join(REQUIRED)}\n"
    # ok: names-in-install-command
    text += f"apt-get install -y {' '.join(shlex.quote(name) for name in config.packages)}\n"
    names = shlex.join(config.requirements)
    # ok: names-in-install-command
    text += f"pip install {names}\n"
    # ok: names-in-install-command
    return text + f"echo {' '.join(config.words)}\n"


def started(packages):
    # ok: names-in-install-command
    return ["pip", "install", "--", *packages]


def told(packages):
    # ok: names-in-install-command
    print(f"installed: {' '.join(packages)}")
