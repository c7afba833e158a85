import logging
import os

logger = logging.getLogger(__name__)


def call(model, api_key):
    # ruleid: secret-in-log
    logger.info(f"calling {model} with {api_key}")


def start():
    key = os.environ["OPENAI_API_KEY"]
    # ruleid: secret-in-log
    print("using key", key)


class Client:
    def connect(self):
        # ruleid: secret-in-log
        logging.debug("connecting with %s", self.password)

    def headers(self):
        token = self.access_token
        # ruleid: secret-in-log
        logger.debug("sending " + token)
