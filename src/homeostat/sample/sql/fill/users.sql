-- Half of the users have declared their type.
INSERT INTO users (id, email, name, personality_type, plan, region, created_ms)
SELECT
    id,
    'user' || id || '@example.org',
    CASE (h >> 9) & 7
        WHEN 0 THEN 'Ada' WHEN 1 THEN 'Bo' WHEN 2 THEN 'Chidi' WHEN 3 THEN 'Dana'
        WHEN 4 THEN 'Emre' WHEN 5 THEN 'Fatima' WHEN 6 THEN 'Goran' ELSE 'Hana'
    END || ' ' || CASE (h >> 12) & 7
        WHEN 0 THEN 'Ito' WHEN 1 THEN 'Jansen' WHEN 2 THEN 'Kowalski' WHEN 3 THEN 'Lopez'
        WHEN 4 THEN 'Moreau' WHEN 5 THEN 'Nguyen' WHEN 6 THEN 'Okafor' ELSE 'Patel'
    END,
    CASE WHEN (h >> 15) & 1 = 0 THEN letters END,
    CASE WHEN (h >> 16) & 15 < 11 THEN 'free' WHEN (h >> 16) & 15 < 15 THEN 'plus' ELSE 'team' END,
    CASE (h >> 20) & 3
        WHEN 0 THEN 'africa' WHEN 1 THEN 'americas' WHEN 2 THEN 'asia' ELSE 'europe'
    END,
    :now_ms - :span_ms - h * 29
FROM person
