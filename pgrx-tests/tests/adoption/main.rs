//! Help desks of real products, adopted with the statements of docs/adopting.md.
//!
//! Each product has a folder: `schema.sql` its tables, `rows.sql` random rows, `rule.sql` the product's own rules as
//! queries of its own tables alone, `changes.sql` what its administrators and agents change later.

mod compare;
mod desk;
mod page;
mod product;

use desk::Desk;
use product::{PRODUCTS, Product};

/// Random desks of each product.
const SEEDS: [f64; 2] = [0.25, 0.75];
/// Changes of a desk, and how often it is compared meanwhile.
const CHANGES: usize = 50;
const ROUNDS: usize = 5;

fn agrees(product: &Product) {
    let statements = page::statements(product.heading);
    assert!(
        statements.len() <= 15,
        "{}: {} statements",
        product.heading,
        statements.len()
    );
    let mut met = compare::Met::default();
    for seed in SEEDS {
        let mut desk = Desk::new(product, seed);
        desk.adopt(&statements);
        assert_eq!(desk.compare(&mut met), [""; 0], "{} {seed}", product.folder);
        for round in 1..=ROUNDS {
            desk.change(CHANGES / ROUNDS);
            assert_eq!(
                desk.compare(&mut met),
                [""; 0],
                "{} {seed}, round {round} of changes",
                product.folder
            );
        }
    }
    println!("{}: {met}", product.folder);
    met.assert_each(product.met);
}

/// Each statement is needed: without it something fails or differs.
fn needs_each(product: &Product) {
    let statements = page::statements(product.heading);
    for left_out in 0..statements.len() {
        let mut desk = Desk::new(product, SEEDS[0]);
        let mut rest = statements.clone();
        let statement = rest.remove(left_out);
        if desk.try_adopt(&rest).is_err() {
            continue;
        }
        let differences = desk.compare(&mut compare::Met::default());
        assert!(!differences.is_empty(), "nobody misses this: {statement}");
    }
}

#[test]
fn suggestions_recognise_each() {
    for product in &PRODUCTS {
        let suggested = Desk::new(product, SEEDS[0]).suggested();
        for wanted in product.suggested {
            assert!(
                suggested.contains(wanted),
                "{}: {wanted} is not in\n{suggested}",
                product.folder
            );
        }
    }
}

macro_rules! products {
    ($($name:ident)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn agrees_with_its_own_rule() {
                agrees(PRODUCTS.iter().find(|product| product.folder == stringify!($name)).unwrap());
            }

            #[test]
            fn needs_each_statement() {
                needs_each(PRODUCTS.iter().find(|product| product.folder == stringify!($name)).unwrap());
            }
        }
    )*};
}

products! { zammad chatwoot redmine request_tracker silo additive supabase }
