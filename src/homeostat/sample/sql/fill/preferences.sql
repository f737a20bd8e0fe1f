-- Four preferences a user.
INSERT INTO preferences (user_id, name, value, updated_ms)
SELECT
    id,
    CASE n WHEN 0 THEN 'digest' WHEN 1 THEN 'language' WHEN 2 THEN 'reminders' ELSE 'theme' END,
    CASE n
        WHEN 0 THEN CASE WHEN (h >> 17) & 1 = 0 THEN 'daily' ELSE 'weekly' END
        WHEN 1 THEN CASE (h >> 18) & 3
            WHEN 0 THEN 'de' WHEN 1 THEN 'es' WHEN 2 THEN 'fr' ELSE 'en'
        END
        WHEN 2 THEN CASE WHEN (h >> 20) & 1 = 0 THEN 'on' ELSE 'off' END
        ELSE CASE WHEN (h >> 21) & 1 = 0 THEN 'dark' ELSE 'light' END
    END,
    :now_ms - (h * 3 + n * 60000)
FROM person {times:4}
