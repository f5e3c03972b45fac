//! EXPLAIN, and settings that any user may change.

use super::Generator;

impl Generator<'_> {
    /// EXPLAIN of a statement, with what it can show.
    pub fn explain(&mut self, statement: &str) -> String {
        let mut options = vec!["ANALYZE", "VERBOSE"];
        for option in [
            "BUFFERS",
            "SETTINGS",
            "COSTS OFF",
            "TIMING OFF",
            "FORMAT JSON",
        ] {
            if self.random.percent(25) {
                options.push(option);
            }
        }
        format!("EXPLAIN ({}) {statement}", options.join(", "))
    }

    /// A setting that any user may change, for the transaction.
    pub fn setting(&mut self) -> String {
        let on_off = *self.random.pick(&["on", "off"]);
        let forced = if self.version >= 160_000 {
            "debug_parallel_query"
        } else {
            "force_parallel_mode"
        };
        let parallel = format!(
            "SET LOCAL {forced} = {on_off}; SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; \
             SET LOCAL min_parallel_table_scan_size = 0"
        );
        match self.random.below(20) {
            0 | 1 => format!("SET LOCAL deskguard.fold = {on_off}"),
            2 | 3 => format!(
                "SET LOCAL deskguard.fold_limit = {}",
                self.random.pick(&[0, 1, 2, 5])
            ),
            4 => format!(
                "SET LOCAL plan_cache_mode = {}",
                self.random
                    .pick(&["force_generic_plan", "force_custom_plan"])
            ),
            5 | 6 => parallel,
            7 => format!("SET LOCAL enable_seqscan = {on_off}; SET LOCAL enable_bitmapscan = off"),
            8 => "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off".into(),
            9 => "SET LOCAL enable_nestloop = off; SET LOCAL enable_hashjoin = off".into(),
            10 => "SET LOCAL enable_memoize = off; SET LOCAL enable_material = off".into(),
            11 => "SET LOCAL constraint_exclusion = on".into(),
            12 => {
                let what = *self.random.pick(&[
                    "debug_print_plan",
                    "debug_print_rewritten",
                    "debug_print_parse",
                ]);
                format!(
                    "SET LOCAL {what} = on; SET LOCAL debug_pretty_print = {on_off}; SET LOCAL client_min_messages = log"
                )
            }
            13 => format!(
                "SET LOCAL search_path = {}",
                self.random.pick(&[
                    "lair, pg_catalog",
                    "deskguard, desk, pg_catalog",
                    "lair, deskguard, public"
                ])
            ),
            14 => "SET LOCAL work_mem = '64kB'".into(),
            15 | 16 => "SET LOCAL deskguard.refused_changes = error".into(),
            17 => "SET LOCAL row_security = on; SET LOCAL client_min_messages = debug1".into(),
            18 => "SET LOCAL enable_seqscan = off".into(),
            _ => format!("SET LOCAL jit = {on_off}; SET LOCAL jit_above_cost = 0"),
        }
    }
}
