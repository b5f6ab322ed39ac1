-- What calls are counted for (spec/guard.md section 5.3). Keys are hashes. Times are microseconds since 1970 by the clock of
-- the database.
CREATE TABLE counts (
	key    {{bytes}} PRIMARY KEY,
	caller {{bytes}} NOT NULL,
	tokens DOUBLE PRECISION NOT NULL, -- of a bucket, when it was last used
	calls  BIGINT NOT NULL,           -- of a call that was repeated
	last   BIGINT NOT NULL,
	until  BIGINT NOT NULL            -- from then on the row says no more than that there is none
);
CREATE INDEX counts_until ON counts (until);
CREATE INDEX counts_caller ON counts (caller, until);

-- A lease is one call under way. The node that runs it puts off its end.
CREATE TABLE leases (
	id     {{bytes}} PRIMARY KEY,
	key    {{bytes}} NOT NULL,
	until  BIGINT NOT NULL
);
CREATE INDEX leases_key ON leases (key, until);
CREATE INDEX leases_until ON leases (until);

CREATE FUNCTION clock_micros() RETURNS BIGINT LANGUAGE sql VOLATILE AS $$
	SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT
$$;

-- acquire takes what a call needs, or says which limit was reached. A key that is NULL is not asked for. One caller's calls
-- are counted one after the other: all rows of a call belong to one caller, so that no two of them wait for each other.
CREATE FUNCTION acquire(
	in_caller BYTEA, in_quota BIGINT, in_lock_timeout TEXT,
	in_retries BYTEA, in_max_retries BIGINT, in_window BIGINT,
	in_running BYTEA, in_max_running BIGINT, in_lease BYTEA, in_ttl BIGINT,
	in_rate BYTEA, in_per_minute BIGINT,
	OUT cause TEXT, OUT wait BIGINT
) LANGUAGE plpgsql AS $$
DECLARE
	now    BIGINT;
	r      counts%ROWTYPE;
	more   BIGINT := 0;
	again  BIGINT := 0;
	left_  DOUBLE PRECISION := in_per_minute;
	refill DOUBLE PRECISION := in_per_minute / 60000000.0; -- tokens a microsecond
BEGIN
	-- Counts are worth nothing after a minute: no call waits for the disk for them.
	PERFORM set_config('synchronous_commit', 'off', true), set_config('lock_timeout', in_lock_timeout, true);
	PERFORM pg_advisory_xact_lock(hashtextextended(encode(in_caller, 'hex'), 0));
	now := clock_micros();
	cause := '';
	wait := 0;

	IF in_retries IS NOT NULL THEN
		SELECT * INTO r FROM counts WHERE key = in_retries AND until > now;
		IF FOUND THEN
			again := r.calls;
		ELSE
			more := more + 1;
		END IF;
		IF again > in_max_retries THEN
			cause := 'RETRIES_EXHAUSTED';
			wait := least(r.until - now, in_window);
			RETURN;
		END IF;
	END IF;
	IF in_running IS NOT NULL AND
		(SELECT count(*) FROM leases WHERE key = in_running AND until > now) >= in_max_running THEN
		cause := 'CONCURRENCY_LIMITED';
		RETURN;
	END IF;
	IF in_rate IS NOT NULL THEN
		SELECT * INTO r FROM counts WHERE key = in_rate AND until > now;
		IF FOUND THEN
			left_ := least(in_per_minute, r.tokens + greatest(now - r.last, 0) * refill);
		ELSE
			more := more + 1;
		END IF;
		IF left_ < 1 THEN
			cause := 'RATE_LIMITED';
			wait := ceil((1 - left_) / refill);
			RETURN;
		END IF;
	END IF;
	IF more > 0 AND in_quota - more <
		(SELECT count(*) FROM (SELECT 1 FROM counts WHERE caller = in_caller AND until > now LIMIT in_quota) AS own) THEN
		cause := 'FULL';
		RETURN;
	END IF;

	IF in_retries IS NOT NULL THEN
		INSERT INTO counts AS c VALUES (in_retries, in_caller, 0, again + 1, now, now + in_window)
			ON CONFLICT (key) DO UPDATE SET calls = excluded.calls, last = excluded.last, until = excluded.until;
	END IF;
	IF in_rate IS NOT NULL THEN
		left_ := left_ - 1;
		INSERT INTO counts AS c
			VALUES (in_rate, in_caller, left_, 0, now, now + ceil((in_per_minute - left_) / refill)::BIGINT)
			ON CONFLICT (key) DO UPDATE SET tokens = excluded.tokens, last = excluded.last, until = excluded.until;
	END IF;
	IF in_running IS NOT NULL THEN
		INSERT INTO leases VALUES (in_lease, in_running, now + in_ttl);
	END IF;
END
$$;

-- renew puts off the end of leases. One that was forgotten because its node was not heard of is there again.
CREATE FUNCTION renew(in_leases BYTEA[], in_keys BYTEA[], in_ttl BIGINT) RETURNS void LANGUAGE sql AS $$
	INSERT INTO leases SELECT lease, key, clock_micros() + in_ttl FROM unnest(in_leases, in_keys) AS held (lease, key)
		ORDER BY lease ON CONFLICT (id) DO UPDATE SET until = excluded.until
$$;

-- sweep forgets some of what counts no longer, waits for nobody, and returns how much it was.
CREATE FUNCTION sweep(in_most BIGINT) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
	now  BIGINT := clock_micros();
	n    BIGINT;
	sum_ BIGINT;
BEGIN
	DELETE FROM counts WHERE key IN (
		SELECT key FROM counts WHERE until <= now ORDER BY until LIMIT in_most FOR UPDATE SKIP LOCKED);
	GET DIAGNOSTICS sum_ = ROW_COUNT;
	DELETE FROM leases WHERE id IN (
		SELECT id FROM leases WHERE until <= now ORDER BY until LIMIT in_most FOR UPDATE SKIP LOCKED);
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN sum_ + n;
END
$$;
