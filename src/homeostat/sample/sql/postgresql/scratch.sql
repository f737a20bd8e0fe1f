-- Helpers of the loading connection only: they vanish with it.
CREATE TEMP TABLE person (
    id BIGINT NOT NULL,
    h BIGINT NOT NULL,
    letters TEXT NOT NULL,
    assessments BIGINT NOT NULL,
    sessions BIGINT NOT NULL,
    events BIGINT NOT NULL
);

CREATE TEMP TABLE stack (
    personality_type TEXT PRIMARY KEY,
    ni BIGINT, ne BIGINT, si BIGINT, se BIGINT, ti BIGINT, te BIGINT, fi BIGINT, fe BIGINT
);
