//! Cumulative cfgs: `pg17_ge` is set for PostgreSQL 17 and later. For the majors of tools/majors and the next.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=tools/majors");
    let majors: Vec<u32> = include_str!("tools/majors")
        .split_whitespace()
        .map(|major| major.parse().expect("tools/majors has numbers"))
        .collect();
    let built_for = majors
        .iter()
        .filter(|major| env::var_os(format!("CARGO_FEATURE_PG{major}")).is_some())
        .max();
    let next = majors.iter().max().map(|last| last + 1);
    for major in majors.iter().copied().chain(next) {
        println!("cargo::rustc-check-cfg=cfg(pg{major}_ge)");
        if built_for >= Some(&major) {
            println!("cargo::rustc-cfg=pg{major}_ge");
        }
    }
}
