/* The functions of contrib/uuid-ossp 1.1, same names and signatures, without libossp-uuid.
   Bodies are BEGIN ATOMIC: they hold their references by identity, so the extension stays relocatable. */

\echo Use '''CREATE EXTENSION "uuid-ossp"''' to load this file. \quit

CREATE FUNCTION uuid_nil() RETURNS uuid
IMMUTABLE STRICT LANGUAGE sql PARALLEL SAFE
RETURN '00000000-0000-0000-0000-000000000000'::uuid;

CREATE FUNCTION uuid_ns_dns() RETURNS uuid
IMMUTABLE STRICT LANGUAGE sql PARALLEL SAFE
RETURN '6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid;

CREATE FUNCTION uuid_ns_url() RETURNS uuid
IMMUTABLE STRICT LANGUAGE sql PARALLEL SAFE
RETURN '6ba7b811-9dad-11d1-80b4-00c04fd430c8'::uuid;

CREATE FUNCTION uuid_ns_oid() RETURNS uuid
IMMUTABLE STRICT LANGUAGE sql PARALLEL SAFE
RETURN '6ba7b812-9dad-11d1-80b4-00c04fd430c8'::uuid;

CREATE FUNCTION uuid_ns_x500() RETURNS uuid
IMMUTABLE STRICT LANGUAGE sql PARALLEL SAFE
RETURN '6ba7b814-9dad-11d1-80b4-00c04fd430c8'::uuid;

-- SHA-1 is not in core; pgcrypto's library has it, whether or not that extension is created.
CREATE FUNCTION uuid_ossp_digest(data bytea, algorithm text) RETURNS bytea
AS '$libdir/pgcrypto', 'pg_digest'
IMMUTABLE STRICT LANGUAGE C PARALLEL SAFE;

-- Sets version (byte 6, high half) and RFC 4122 variant (byte 8, two high bits) in the first 16 bytes.
CREATE FUNCTION uuid_ossp_stamp(data bytea, version integer) RETURNS uuid
IMMUTABLE STRICT LANGUAGE sql PARALLEL SAFE
RETURN encode(
  set_byte(
    set_byte(substr(data, 1, 16), 6, (get_byte(data, 6) & 15) | (version << 4)),
    8, (get_byte(data, 8) & 63) | 128),
  'hex')::uuid;

CREATE FUNCTION uuid_generate_v3(namespace uuid, name text) RETURNS uuid
IMMUTABLE STRICT LANGUAGE sql PARALLEL SAFE
RETURN uuid_ossp_stamp(uuid_ossp_digest(uuid_send(namespace) || convert_to(name, 'UTF8'), 'md5'), 3);

CREATE FUNCTION uuid_generate_v4() RETURNS uuid
VOLATILE STRICT LANGUAGE sql PARALLEL SAFE
RETURN gen_random_uuid();

CREATE FUNCTION uuid_generate_v5(namespace uuid, name text) RETURNS uuid
IMMUTABLE STRICT LANGUAGE sql PARALLEL SAFE
RETURN uuid_ossp_stamp(uuid_ossp_digest(uuid_send(namespace) || convert_to(name, 'UTF8'), 'sha1'), 5);

-- Time-based: 60 bits of 100 ns since 1582-10-15, 14 random bits of clock sequence, 48 bits of node with the
-- multicast bit set, as RFC 4122 4.5 wants of a node that is no network card's address. The clock gives
-- microseconds; the last decimal digit is random.
CREATE FUNCTION uuid_ossp_time(ticks bigint, clock integer, node bytea) RETURNS uuid
IMMUTABLE STRICT LANGUAGE sql PARALLEL SAFE
RETURN uuid_ossp_stamp(
  substr(int8send(ticks), 5, 4) || substr(int8send(ticks), 3, 2) || substr(int8send(ticks), 1, 2)
  || substr(int4send(clock), 3, 2)
  || set_byte(substr(node, 1, 6), 0, get_byte(node, 0) | 1),
  1);

CREATE FUNCTION uuid_ossp_ticks() RETURNS bigint
VOLATILE STRICT LANGUAGE sql PARALLEL SAFE
RETURN 122192928000000000
  + (extract(epoch FROM clock_timestamp()) * 10000000)::bigint
  + floor(random() * 10)::bigint;

CREATE FUNCTION uuid_generate_v1() RETURNS uuid
VOLATILE STRICT LANGUAGE sql PARALLEL SAFE
RETURN uuid_ossp_time(
  uuid_ossp_ticks(),
  floor(random() * 16384)::integer,
  -- One node per server process: two sessions never share a node, so they can't collide in one microsecond.
  decode(md5(pg_backend_pid()::text || pg_postmaster_start_time()::text), 'hex'));

CREATE FUNCTION uuid_generate_v1mc() RETURNS uuid
VOLATILE STRICT LANGUAGE sql PARALLEL SAFE
RETURN uuid_ossp_time(
  uuid_ossp_ticks(),
  floor(random() * 16384)::integer,
  uuid_send(gen_random_uuid()));
