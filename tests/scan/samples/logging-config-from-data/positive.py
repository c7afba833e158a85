import logging.config
from logging import config as logconfig

import yaml


def from_file(path):
    with open(path) as file:
        settings = yaml.safe_load(file)
    # ruleid: logging-config-from-data
    logging.config.dictConfig(settings["logging"])


class Project:
    def configure(self, logging_config: dict) -> None:
        # ruleid: logging-config-from-data
        logconfig.dictConfig(logging_config)
