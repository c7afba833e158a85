import logging.config

DEFAULT = {"version": 1, "handlers": {"console": {"class": "logging.StreamHandler"}}}

# ok: logging-config-from-data
logging.config.dictConfig(DEFAULT)


def start(level: str) -> None:
    # ok: logging-config-from-data
    logging.config.dictConfig({**DEFAULT, "root": {"level": level, "handlers": ["console"]}})


class Project:
    def configure(self, logging_config: dict) -> None:
        checked = self._validate_logging_config(logging_config)
        # ok: logging-config-from-data
        logging.config.dictConfig(checked)
