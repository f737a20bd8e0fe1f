-- what the planner knows of a table's columns, as text; of columns that this role may read
SELECT attname::text AS attname, inherited::text AS inherited, null_frac::text AS null_frac,
       avg_width::text AS avg_width, n_distinct::text AS n_distinct,
       most_common_vals::text AS most_common_vals, most_common_freqs::text AS most_common_freqs,
       histogram_bounds::text AS histogram_bounds, correlation::text AS correlation,
       most_common_elems::text AS most_common_elems,
       most_common_elem_freqs::text AS most_common_elem_freqs,
       elem_count_histogram::text AS elem_count_histogram,
       range_length_histogram::text AS range_length_histogram,
       range_empty_frac::text AS range_empty_frac,
       range_bounds_histogram::text AS range_bounds_histogram
FROM pg_stats WHERE schemaname = :schema AND tablename = :name ORDER BY attname, inherited
