"""Sessions in Redis: a hash for each, and a set of ids for each user.

A value is a field of its own. What must not bring back a session that is gone, or undo
what another request does at the same time, is a script, which Redis runs whole. The
scripts find what they need by names that they make: Redis Cluster does not allow that.
"""

from __future__ import annotations

import collections.abc as c
import json
import typing as t

import flask

from ..extras import brought_by

with brought_by("redis", "redis", "flask_scopes.sessions.redis works with redis-py"):
    import redis

import redis.exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..config import bad_config
from ..places import declared
from . import messages
from .records import Change
from .records import Fields
from .records import Head
from .records import Row
from .records import Stored

if t.TYPE_CHECKING:
    from ..extension import Scopes
    from ..resource import Resource

# In seconds: a request waits for it.
_TIMEOUT: t.Final = 2.0
_URL: t.Final = 'an address, as in "redis://localhost:6379/0"'
# Before the names of values, and of a user's set.
_VALUE, _USER = "=", "user:"

# KEYS: the session. ARGV: [name, old or null, new or null] for each, and whether to
# check. A value is its generation, a colon, and its text.
_WRITE: t.Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 1 end
local asked = cjson.decode(ARGV[1])
if ARGV[2] == '1' then
  for _, change in ipairs(asked) do
    local is = redis.call('HGET', KEYS[1], change[1])
    if is then is = string.match(is, '^%d+:(.*)$') end
    if change[2] == cjson.null then
      if is then return 0 end
    elseif is ~= change[2] then return 0 end
  end
end
for _, change in ipairs(asked) do
  if change[3] == cjson.null then redis.call('HDEL', KEYS[1], change[1])
  else redis.call('HSET', KEYS[1], change[1], change[3]) end
end
return 1
"""
# KEYS: the session. ARGV: its digest, when it is over (or nothing), and fields.
_UPDATE: t.Final = """
if redis.call('HGET', KEYS[1], 'digest') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
if ARGV[2] ~= '' then redis.call('EXPIREAT', KEYS[1], ARGV[2]) end
return 1
"""
# KEYS: the sessions. ARGV: what the names of sets begin with, and the ids.
_REMOVE: t.Final = """
local count = 0
for at, key in ipairs(KEYS) do
  local user = redis.call('HGET', key, 'user')
  count = count + redis.call('DEL', key)
  if user and user ~= 'null' then
    redis.call('SREM', ARGV[1] .. cjson.decode(user), ARGV[at + 1])
  end
end
return count
"""


class RedisStore:
    """Sessions in a Redis, of which ``REDIS_URL`` in the app's config is the address;
    connects when it is first asked. What is over goes by itself. Redis is 7.0 or newer.

    :param scopes: which the apps are set up with.
    :param client: the resource of a client that is there already, instead of
        ``REDIS_URL``; with ``decode_responses=True``.
    :param prefix: what all names of keys begin with.
    """

    failures = (
        redis.exceptions.ConnectionError,
        redis.exceptions.TimeoutError,
        redis.exceptions.ReadOnlyError,
        redis.exceptions.OutOfMemoryError,
    )

    def __init__(
        self,
        scopes: Scopes,
        *,
        client: Resource[[], redis.Redis] | None = None,
        prefix: str = "sessions:",
    ) -> None:
        self.client = client or _client_resource(scopes)
        """The resource of the client: one per app and process."""
        self._prefix = prefix

    def load(self, session_id: str) -> Stored | None:
        found = t.cast("dict[str, str]", self._redis().hgetall(self._key(session_id)))
        head = _head(session_id, found)
        if head is None:
            return None
        rows: dict[str, Row] = {}
        for field, value in found.items():
            if field.startswith(_VALUE):
                generation, _, text = value.partition(":")
                rows[field[len(_VALUE) :]] = Row(text, int(generation))
        return Stored(head, rows)

    def add(self, head: Head, texts: c.Mapping[str, str]) -> None:
        fields = {name: json.dumps(getattr(head, name)) for name in _FIELDS}
        fields["digest"] = head.digest
        fields |= {_VALUE + name: f"0:{text}" for name, text in texts.items()}
        with self._redis().pipeline() as pipeline:
            pipeline.hset(self._key(head.id), mapping=t.cast("t.Any", fields))
            pipeline.expireat(self._key(head.id), _second(head.expires))
            if head.user is not None:
                users = self._prefix + _USER + head.user
                pipeline.sadd(users, head.id)
                # As late as the last of them: the first time, and then if it is later.
                pipeline.expireat(users, _second(head.limit), nx=True)
                pipeline.expireat(users, _second(head.limit), gt=True)
            pipeline.execute()

    def write(
        self,
        head: Head,
        generation: int,
        changes: c.Mapping[str, Change],
        *,
        check: bool,
    ) -> bool:
        asked = [
            (_VALUE + name, each.old, each.new and f"{generation}:{each.new}")
            for name, each in changes.items()
        ]
        return self._run(_WRITE, [head.id], json.dumps(asked), int(check)) == 1

    def update(self, session_id: str, digest: str, fields: Fields) -> bool:
        ends = _second(fields["expires"]) if "expires" in fields else ""
        pairs: list[str] = []
        for name, value in fields.items():
            pairs += [name, value if name == "digest" else json.dumps(value)]
        return self._run(_UPDATE, [session_id], digest, ends, *pairs) == 1

    def remove(self, session_ids: c.Collection[str]) -> int:
        users = self._prefix + _USER
        return self._run(_REMOVE, session_ids, users, *session_ids)

    def of(self, user: str) -> list[Head]:
        users = self._prefix + _USER + user
        ids = sorted(t.cast("set[str]", self._redis().smembers(users)))
        with self._redis().pipeline(transaction=False) as pipeline:
            for each in ids:
                pipeline.hmget(self._key(each), [*_FIELDS])
            answers = t.cast("list[list[str]]", pipeline.execute())
        heads: list[Head] = []
        for each, values in zip(ids, answers, strict=True):
            head = _head(each, dict(zip(_FIELDS, values, strict=True)))
            if head is None:
                # It went by itself.
                self._redis().srem(users, each)
            else:
                heads.append(head)
        return heads

    def joins(self) -> bool:
        return False

    def purge(self, now: float) -> int:
        return 0

    def _redis(self) -> t.Any:
        client: t.Any = self.client()
        if not client.get_connection_kwargs().get("decode_responses"):
            raise messages.bad_client()
        return client

    def _key(self, session_id: str) -> str:
        return f"{self._prefix}{session_id}"

    def _run(self, script: str, ids: c.Collection[str], *args: t.Any) -> int:
        keys = [self._key(each) for each in ids]
        return t.cast("int", self._redis().register_script(script)(keys, args))


_FIELDS: t.Final = tuple(name for name in Head.__slots__ if name != "id")


def _head(session_id: str, found: c.Mapping[str, str | None]) -> Head | None:
    digest = found.get("digest")
    if digest is None:
        return None
    texts = {name: found[name] or "" for name in _FIELDS if name != "digest"}
    fields = {name: json.loads(text) for name, text in texts.items()}
    return Head(id=session_id, digest=digest, **fields)


def _second(moment: float) -> int:
    # The head tells the exact one.
    return int(moment) + 1


def _client_resource(scopes: Scopes) -> Resource[[], redis.Redis]:
    @scopes.application(ping=_ping)
    @declared("RedisStore.client")
    def client() -> c.Iterator[redis.Redis]:
        config = t.cast("dict[str, object]", flask.current_app.config)
        url = config.get("REDIS_URL")
        if url is None:
            raise messages.no_redis_url()
        if not isinstance(url, str):
            raise bad_config("REDIS_URL", _URL)
        try:
            made: redis.Redis = t.cast("t.Any", redis.Redis).from_url(
                url,
                decode_responses=True,
                socket_timeout=_TIMEOUT,
                socket_connect_timeout=_TIMEOUT,
                # Once more: the server may have closed what was idle.
                retry=Retry(NoBackoff(), 1),
            )
        except ValueError:
            # It may say a part of a password.
            raise bad_config("REDIS_URL", _URL) from None
        with made:
            yield made

    return client


def _ping(client: t.Any) -> None:
    client.ping()
