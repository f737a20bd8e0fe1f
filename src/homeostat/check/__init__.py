"""One look at a database that nobody prepared: what hurts, ranked, with the SQL that mends it.

`check.database.DatabaseCheck(config).run(url)` reads and changes nothing: no superuser, no set-up,
nothing left behind. It takes at most the seconds given and a small share of one core. What could
not be seen is told with its reason. The operator has no part in it; nothing here acts.

To add a check:

1. Put what it asks into `check/sql/<dialect>/<name>.sql`, a comment at its head.
2. Write a function from a `Look` to `Finding`s in a module of the topic, named
   `<dialect>_<topic>.py`. `look.rows("<name>")` asks (once, for all checks that want it);
   `look.miss(...)` tells what could not be seen. A `DatabaseError` that leaves the function becomes
   an entry of `unseen` by itself, so catch it only where part of the answer is worth keeping.
3. Thresholds come from `look.config`: those that monitoring has are shared, others go to
   `[check]` in config.py with their source.
4. Add a `Check(...)` to the module's CHECKS. Its rule is unique within the dialect; its help says
   what the finding means and what to do, and becomes docs/reference/checks.md.
5. Plant the problem in tests/check: it is found, `mend_sql` run on a copy makes it go, and the
   clean databases stay clean.

A finding's `mend_sql` is complete statements that can be run as they are, each ended by `;`. What
no SQL can do (a line of pg_hba.conf, a setting of the application) is a comment that begins with
`--`.
"""
