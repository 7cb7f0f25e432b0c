"""Whose tokens are believed: the issuer's own, for us, and now; and what they say of their bearer."""

import base64
import hmac
import json
import time
import warnings
from collections.abc import Mapping
from typing import Any

import issuing
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from chassis.http.identity import LEEWAY, LONGEST_NAME, LONGEST_TOKEN, Caller, Identity, InvalidToken, NotSet
from chassis.http.issuer_keys import IssuerKeys
from chassis.settings import Settings
from contracts.roles import CAMAT, HEAD, OFFICER

# A key that is too short is among them on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")

NOW = 1_731_542_400
STRANGER = ECKey.generate_key("P-256", {"kid": issuing.KEY.kid or ""})
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
RSA_OF_RS256 = RSAKey.generate_key(2048, {"kid": "rs256"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # too short is what it is to be
    WEAK = RSAKey.generate_key(1024, {"kid": "weak"})
FOR_SECRETS = ECKey.generate_key("P-256", {"kid": "enc"})
OTHER_CURVE = ECKey.generate_key("P-384", {"kid": "p384"})
SHARED = OctKey.generate_key(256, {"kid": "shared"})
KEYS = [issuing.KEY, RSA, ED, WEAK, OTHER_CURVE]
PUBLISHED = {
    "keys": [
        *(key.as_dict(private=False) for key in KEYS),
        RSA_OF_RS256.as_dict(private=False, alg="RS256"),
        FOR_SECRETS.as_dict(private=False, use="enc"),
        SHARED.as_dict(private=True),
        {"kty": "from another time", "kid": "later"},
        "nonsense",
    ]
}


def identity(**different: Any) -> Identity:
    """Return what believes the issuer of tests, at NOW."""

    async def fetch() -> Mapping[str, Any]:
        return PUBLISHED

    keys = IssuerKeys(fetch, every=1, ask_again=0)
    told = {"issuer": issuing.ISSUER, "audience": issuing.AUDIENCE, "now": lambda: NOW} | different
    return Identity(keys, **told)


def claims(**different: Any) -> dict[str, Any]:
    """Return what a token issued this moment says, but for what is different; None leaves it out."""
    return issuing.claims(OFFICER, **({"iat": NOW, "exp": NOW + 600} | different))


class Anything(jws.JWSRegistry):
    """Signs whatever it is given."""

    max_header_length = 100_000


def signed(key: Key = issuing.KEY, algorithm: str = "ES256", *, header: Any = None, **different: Any) -> str:
    """Return a token, with more in its header if told so."""
    protected = {"alg": algorithm, "kid": key.kid, **(header or {})}
    registry = Anything(algorithms=[algorithm], strict_check_header=False)
    return jwt.encode(protected, claims(**different), key, registry=registry)


def unsigned(header: object, body: object, signature: bytes = b"") -> str:
    """Return three parts as a token has them, whatever they are."""
    parts = (json.dumps(header).encode(), json.dumps(body).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def with_secret(secret: bytes) -> str:
    """Return a token that is signed with a secret, which the library would refuse for what everybody knows."""
    text = unsigned({"alg": "HS256", "kid": issuing.KEY.kid}, claims()).rpartition(".")[0]
    signature = base64.urlsafe_b64encode(hmac.digest(secret, text.encode(), "sha256")).rstrip(b"=")
    return f"{text}.{signature.decode()}"


async def test_a_token_says_who_its_bearer_is_and_as_what() -> None:
    assert await identity().caller(signed()) == Caller(issuing.ACTOR, frozenset({OFFICER}))


@pytest.mark.parametrize(
    ("key", "algorithm"), [(issuing.KEY, "ES256"), (RSA, "RS256"), (RSA, "PS256"), (RSA_OF_RS256, "RS256")]
)
async def test_a_key_signs_with_the_algorithms_it_is_for(key: Key, algorithm: str) -> None:
    assert (await identity().caller(signed(key, algorithm))).actor == issuing.ACTOR


@pytest.mark.parametrize("name", ["EdDSA", "Ed25519"])
async def test_ed25519_goes_by_both_its_names(name: str) -> None:
    assert (await identity().caller(signed(ED, name))).actor == issuing.ACTOR


async def test_what_else_an_issuer_puts_into_the_header_means_nothing() -> None:
    more = {"x5c": ["certificate" * 100], "x5t": "thumb", "vendor": True, "typ": "AT+JWT"}
    assert (await identity().caller(signed(header=more))).actor == issuing.ACTOR


HEADER = {"alg": "ES256", "kid": issuing.KEY.kid}
GOOD = signed()
FORGED = {
    "no algorithm": unsigned({"alg": "none", "kid": issuing.KEY.kid}, claims()),
    "no algorithm, in capitals": unsigned({"alg": "NONE", "kid": issuing.KEY.kid}, claims()),
    "no algorithm, with a signature": unsigned({"alg": "none", "kid": issuing.KEY.kid}, claims(), b"x" * 64),
    "the public key as a shared secret": with_secret(issuing.KEY.as_pem(private=False)),
    "the published key as a shared secret": with_secret(json.dumps(PUBLISHED["keys"][0]).encode()),
    "a shared secret that the issuer published": signed(SHARED, "HS256"),
    "another's key under the issuer's id": signed(STRANGER),
    "a key that comes with the token": signed(STRANGER, header={"jwk": STRANGER.as_dict(private=False)}),
    "a key that the token says where to find": signed(STRANGER, header={"jku": "http://127.0.0.1:1/keys"}),
    "an id that nobody has": signed(header={"kid": "nobody's"}),
    "an id that is none": unsigned({"alg": "ES256", "kid": ["of-tests"]}, claims(), b"x" * 64),
    "no id": jws.serialize_compact({"alg": "ES256"}, json.dumps(claims()), issuing.KEY, algorithms=["ES256"]),
    "a key of another kind": unsigned({"alg": "RS256", "kid": issuing.KEY.kid}, claims(), b"x" * 256),
    "an algorithm that the key is not for": signed(RSA_OF_RS256, "PS256"),
    "an algorithm that nobody asked for": signed(OTHER_CURVE, "ES384"),
    "a key too short": signed(WEAK, "RS256"),
    "a key for something else": signed(FOR_SECRETS),
    "no signature": GOOD.rpartition(".")[0] + ".",
    "another's signature": ".".join([*GOOD.split(".")[:2], signed(sub="other").split(".")[2]]),
    "other claims": ".".join([GOOD.split(".")[0], unsigned({}, claims(roles=[HEAD])).split(".")[1], GOOD[-86:]]),
    "another header": ".".join([unsigned({**HEADER, "x": 1}, {}).split(".")[0], *GOOD.split(".")[1:]]),
    "made for something else": signed(header={"typ": "logout+jwt"}),
    "a critical extension": signed(header={"crit": ["b64"], "b64": True}),
    "no claims at all": jws.serialize_compact(HEADER, b"[]", issuing.KEY, algorithms=["ES256"]),
    "claims that are no JSON": jws.serialize_compact(HEADER, b"\xff", issuing.KEY, algorithms=["ES256"]),
    "a header that is a list": unsigned(["alg"], claims()),
    "a header that is a text": unsigned("alg", claims()),
    "a header of numbers": unsigned({"alg": 1, "kid": 2, "typ": 3}, claims()),
    "a type that is a number": unsigned({**HEADER, "typ": 3}, claims()),
    "endless lists": f"{'W' * 4000}.W10.W10",
    "too long": signed(extra="x" * LONGEST_TOKEN),
    "a word": "token",
    "nothing": "",
    "dots": "..",
    "four parts": f"{GOOD}.x",
    "not ASCII": "é.é.é",
}


@pytest.mark.parametrize("forgery", FORGED)
async def test_a_forged_token_is_nobodys(forgery: str) -> None:
    with pytest.raises(InvalidToken):
        await identity().caller(FORGED[forgery])


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"aud": []},
        {"aud": None},
        {"aud": {"dinkop": 1}},
        {"iss": "https://issuer.example/"},
        {"iss": ["https://issuer.example"]},
        {"iss": None},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": NOW - LEEWAY},
        {"nbf": NOW + LEEWAY + 1},
        {"iat": NOW + LEEWAY + 1},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "two\nlines"},
        {"sub": "x" * (LONGEST_NAME + 1)},
    ],
    ids=str,
)
async def test_a_token_that_is_not_for_us_now_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        await identity().caller(signed(**wrong))


async def test_clocks_may_differ_by_a_minute() -> None:
    for within in ({"exp": NOW - LEEWAY + 1}, {"nbf": NOW + LEEWAY}, {"iat": NOW + LEEWAY}):
        assert (await identity().caller(signed(**within))).actor == issuing.ACTOR


async def test_one_whose_time_is_over_is_told_to_get_another() -> None:
    with pytest.raises(InvalidToken, match="has expired: get a new one"):
        await identity().caller(signed(exp=NOW - 3600))


async def test_time_goes_on() -> None:
    real = identity(now=time.time)
    assert await real.caller(signed(iat=time.time(), exp=time.time() + 5))
    with pytest.raises(InvalidToken):
        await real.caller(signed())


async def test_a_token_for_several_is_for_us_too() -> None:
    assert await identity().caller(signed(aud=["account", issuing.AUDIENCE]))


@pytest.mark.parametrize(
    ("claim", "said", "meant"),
    [
        ("roles", {"roles": [OFFICER, HEAD]}, {OFFICER, HEAD}),
        ("roles", {"roles": f"{OFFICER} {HEAD}"}, {OFFICER, HEAD}),
        ("roles", {"roles": [OFFICER, 7, None]}, {OFFICER}),
        ("roles", {"roles": None}, set()),
        ("roles", {"roles": {OFFICER: True}}, set()),
        ("realm_access.roles", {"realm_access": {"roles": [HEAD]}}, {HEAD}),
        ("realm_access.roles", {"realm_access": [HEAD]}, set()),
        ("https://dinkop.example/roles", {"https://dinkop.example/roles": [HEAD]}, {HEAD}),
    ],
)
async def test_roles_stand_where_the_issuer_puts_them(claim: str, said: dict[str, Any], meant: set[str]) -> None:
    assert (await identity(roles_claim=claim).caller(signed(**said))).roles == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("35.07.21", "35.07.21"),
        (["35.07.21"], "35.07.21"),
        (["35.07.21", "35.07.16"], None),
        ([], None),
        (350721, None),
        (None, None),
    ],
)
async def test_a_camats_token_names_one_kecamatan(said: object, meant: str | None) -> None:
    caller = await identity().caller(signed(roles=[CAMAT], kecamatan_code=said))
    assert caller.kecamatan_code == meant


def test_whose_tokens_to_believe_must_be_said() -> None:
    with pytest.raises(NotSet, match="DINKOP_OIDC_ISSUER: needed"):
        Identity.of(Settings(database_url="", oidc_issuer=""))
    with pytest.raises(NotSet, match="DINKOP_OIDC_JWKS: needed"):
        Identity.of(Settings(database_url="", oidc_issuer="urn:office"))
    for enough in ({"oidc_issuer": "https://issuer"}, {"oidc_issuer": "urn:office", "oidc_jwks": "keys.json"}):
        assert Identity.of(Settings(database_url="", **enough))  # type: ignore[arg-type]
