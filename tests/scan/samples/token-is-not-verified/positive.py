import jwt
from jose import jwt as jose_jwt


def user_of(token: str) -> str:
    # ruleid: token-is-not-verified
    return jwt.decode(token, options={"verify_signature": False})["sub"]


def old_user_of(token: str) -> str:
    # ruleid: token-is-not-verified
    return jwt.decode(token, KEY, verify=False)["sub"]


def agent_of(header: str) -> str:
    # ruleid: token-is-not-verified
    claims = jose_jwt.get_unverified_claims(header.removeprefix("Bearer "))
    return claims["agent"]


def anything(token: str) -> dict:
    # ruleid: token-is-not-verified
    return jwt.decode(token, KEY, algorithms=["HS256", "none"])
