import logging
import os

logger = logging.getLogger(__name__)


def call(model, api_key):
    # ok: secret-in-log
    logger.info(f"calling {model}, key is set: {bool(api_key)}")


def start():
    if not os.environ.get("OPENAI_API_KEY"):
        # ok: secret-in-log
        print("set OPENAI_API_KEY first")


def masked(api_key):
    # ok: secret-in-log
    logger.info("key %s", mask(api_key))


def shortened(api_key):
    # ok: secret-in-log
    logger.info("key ends with %s", api_key[-4:])


class Client:
    def usage(self):
        answer = self.client(api_key=self.api_key).usage()
        # ok: secret-in-log
        logger.info("used %s tokens", answer.total_tokens)


def endpoint_of_tokens():
    # ok: secret-in-log
    logger.info("asking %s", os.getenv("SSO_TOKEN_ENDPOINT"))
    # ok: secret-in-log
    logger.info("key %s", abbreviate_api_key(api_key))
