-- What is cheaper to build once the rows are there.
CREATE INDEX users_created ON users (created_ms);

CREATE INDEX assessments_type ON assessments (personality_type, completed_ms) WHERE NOT draft;

CREATE INDEX sessions_open ON sessions (started_ms) WHERE ended_ms IS NULL;

CREATE INDEX insights_assessment ON insights (user_id, assessment_id);

CREATE INDEX insights_unread ON insights (user_id, id) WHERE read_ms IS NULL;
