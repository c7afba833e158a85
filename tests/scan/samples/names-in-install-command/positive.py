INSTALL_COMMAND = "apt-get update && apt-get install -y {packages}"


def script_of(config):
    text = "#!/bin/sh\n"
    # ruleid: names-in-install-command
    text += f"apt-get update && apt-get install -y {' '.join(config.system_packages)} || exit 1\n"
    names = " ".join(config.requirements)
    # ruleid: names-in-install-command
    text += f"pip install --no-cache-dir {names}\n"
    return text


def image_of(packages):
    # ruleid: names-in-install-command
    return "RUN " + INSTALL_COMMAND.format(packages=" ".join(packages))


def node_of(packages):
    # ruleid: names-in-install-command
    return "npm install " + " ".join(packages)


def known_of(system, packages):
    # ruleid: names-in-install-command
    return SYSTEMS[system]["install_command"].format(packages=" ".join(packages))
