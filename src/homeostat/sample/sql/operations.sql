-- open_home: Greeting, plan and how many insights are unread.
SELECT
    name,
    plan,
    (SELECT count(*) FROM insights WHERE user_id = :user_id AND read_ms IS NULL) AS unread
FROM users
WHERE id = :user_id;

-- load_profile: The user with the scores of the last completed assessment.
SELECT
    users.name, users.region, users.personality_type AS declared_type,
    assessments.personality_type, ni, ne, si, se, ti, te, fi, fe, confidence, completed_ms
FROM users
LEFT JOIN assessments
    ON assessments.user_id = users.id
    AND assessments.id = (
        SELECT max(id) FROM assessments WHERE user_id = :user_id AND NOT draft
    )
WHERE users.id = :user_id;

-- list_insights: The newest insights.
SELECT id, kind, body, score, created_ms, read_ms
FROM insights
WHERE user_id = :user_id
ORDER BY id DESC
LIMIT :page_size;

-- list_history: The newest events.
SELECT id, kind, screen, duration_ms, occurred_ms
FROM analytics_events
WHERE user_id = :user_id
ORDER BY id DESC
LIMIT :page_size;

-- list_preferences: All preferences.
SELECT name, value, updated_ms FROM preferences WHERE user_id = :user_id ORDER BY name;

-- list_assessments: How the type and its certainty changed.
SELECT id, personality_type, confidence, draft, completed_ms
FROM assessments
WHERE user_id = :user_id
ORDER BY id DESC
LIMIT :page_size;

-- list_sessions: Where the user is or was signed in.
SELECT id, device, started_ms, ended_ms
FROM sessions
WHERE user_id = :user_id
ORDER BY id DESC
LIMIT :page_size;

-- list_online: Who came last and is still there.
SELECT user_id, device, started_ms
FROM sessions
WHERE ended_ms IS NULL
ORDER BY started_ms DESC
LIMIT :page_size;

-- show_dashboard: What the newest events add up to, by kind and screen.
SELECT kind, screen, count(*) AS events, sum(duration_ms) AS total_ms
FROM (
    SELECT kind, screen, duration_ms
    FROM analytics_events
    WHERE user_id = :user_id
    ORDER BY id DESC
    LIMIT :page_size
) AS newest
GROUP BY kind, screen
ORDER BY kind, screen;

-- find_user: A user by e-mail address.
SELECT id, name, plan, region FROM users WHERE email = :email;

-- list_newest_users: Who signed up last.
SELECT id, name, region, created_ms FROM users ORDER BY created_ms DESC LIMIT :page_size;

-- show_type_trend: Averages over the last completed assessments of one type.
SELECT
    count(*) AS assessments, avg(confidence) AS confidence,
    avg(ni) AS ni, avg(ne) AS ne, avg(si) AS si, avg(se) AS se,
    avg(ti) AS ti, avg(te) AS te, avg(fi) AS fi, avg(fe) AS fe
FROM (
    SELECT confidence, ni, ne, si, se, ti, te, fi, fe
    FROM assessments
    WHERE personality_type = :personality_type AND NOT draft
    ORDER BY completed_ms DESC
    LIMIT :page_size
) AS newest;

-- record_event: Something the user did; the device made the id.
INSERT INTO analytics_events (user_id, id, kind, screen, duration_ms, occurred_ms)
VALUES (:user_id, :id, :kind, :screen, :duration_ms, :now_ms)
ON CONFLICT (user_id, id) DO NOTHING;

-- start_session: The user comes.
INSERT INTO sessions (user_id, id, device, started_ms)
VALUES (:user_id, :id, :device, :now_ms)
ON CONFLICT (user_id, id) DO NOTHING;

-- end_session: The user goes; ends what is open.
UPDATE sessions SET ended_ms = :now_ms WHERE user_id = :user_id AND ended_ms IS NULL;

-- save_preference: Sets one preference.
INSERT INTO preferences (user_id, name, value, updated_ms)
VALUES (:user_id, :name, :value, :now_ms)
ON CONFLICT (user_id, name) DO UPDATE
SET value = excluded.value, updated_ms = excluded.updated_ms;

-- read_insight: Marks the newest unread insight as read.
UPDATE insights
SET read_ms = :now_ms
WHERE
    user_id = :user_id
    AND id = (SELECT max(id) FROM insights WHERE user_id = :user_id AND read_ms IS NULL);

-- submit_assessment: A completed assessment with its eight scores.
INSERT INTO assessments (
    user_id, id, personality_type, ni, ne, si, se, ti, te, fi, fe, confidence, draft, completed_ms
)
VALUES (
    :user_id, :id, :personality_type, :ni, :ne, :si, :se, :ti, :te, :fi, :fe, :confidence, FALSE,
    :now_ms
)
ON CONFLICT (user_id, id) DO NOTHING;

-- add_insight: An insight drawn from the last completed assessment, if there is one.
INSERT INTO insights (user_id, id, assessment_id, kind, body, score, created_ms)
SELECT user_id, :id, max(id), :kind, :body, :score, :now_ms
FROM assessments
WHERE user_id = :user_id AND NOT draft
GROUP BY user_id
ON CONFLICT (user_id, id) DO NOTHING;

-- move_user: The user lives in another region now.
UPDATE users SET region = :region WHERE id = :user_id;
