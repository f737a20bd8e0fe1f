-- Keys, foreign keys and indexes, once the rows are there.
ALTER TABLE users ADD PRIMARY KEY (id);

ALTER TABLE users ADD UNIQUE (email);

ALTER TABLE assessments ADD PRIMARY KEY (user_id, id);

ALTER TABLE preferences ADD PRIMARY KEY (user_id, name);

ALTER TABLE sessions ADD PRIMARY KEY (user_id, id);

ALTER TABLE analytics_events ADD PRIMARY KEY (user_id, id);

ALTER TABLE insights ADD PRIMARY KEY (user_id, id);

ALTER TABLE assessments ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;

ALTER TABLE preferences ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;

ALTER TABLE sessions ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;

ALTER TABLE analytics_events ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;

ALTER TABLE insights ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;

ALTER TABLE insights ADD FOREIGN KEY (user_id, assessment_id)
REFERENCES assessments (user_id, id) ON DELETE CASCADE;

CREATE INDEX users_created ON users (created_ms);

CREATE INDEX assessments_type ON assessments (personality_type, completed_ms) WHERE NOT draft;

CREATE INDEX sessions_open ON sessions (started_ms) WHERE ended_ms IS NULL;

CREATE INDEX insights_assessment ON insights (user_id, assessment_id);

CREATE INDEX insights_unread ON insights (user_id, id) WHERE read_ms IS NULL;
