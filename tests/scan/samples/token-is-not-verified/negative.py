import jwt
from jose import jwt as jose_jwt


def user_of(token: str) -> str:
    # ok: token-is-not-verified
    return jwt.decode(token, KEY, algorithms=["HS256"], audience="agents")["sub"]


def agent_of(token: str) -> str:
    # ok: token-is-not-verified
    return jose_jwt.decode(token, KEY, algorithms=["RS256"])["agent"]


def key_of(token: str) -> str:
    # ok: token-is-not-verified
    return jwt.get_unverified_header(token)["kid"]


def by_issuer(token: str) -> dict:
    # ok: token-is-not-verified
    issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
    return jwt.decode(token, KEYS[issuer], algorithms=["RS256"], audience="agents")
