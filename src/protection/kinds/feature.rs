//! Tables that are protected by nothing but features, which others may have, too.

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::protection::kind::{Holds, Kind, Policy};
use crate::tables::catalog::Catalog;
use crate::tables::registry::{FEATURE, kind_of};

pub struct FeatureTable(pub pg_sys::Oid);

pub fn find(catalog: &Catalog, root: pg_sys::Oid) -> Option<Box<dyn Kind>> {
    let is_of_kind = kind_of(catalog, root).as_deref() == Some(FEATURE);
    is_of_kind.then(|| Box::new(FeatureTable(root)) as Box<dyn Kind>)
}

impl Kind for FeatureTable {
    fn kind(&self) -> &'static str {
        FEATURE
    }

    fn root(&self) -> pg_sys::Oid {
        self.0
    }

    /// What its rows need is in policies that all kinds may have.
    fn policies(&self, _: pg_sys::Oid, _: bool) -> Vec<Policy> {
        vec![]
    }

    fn columns(&self) -> Vec<(&str, Holds)> {
        vec![]
    }

    fn register(&self) -> Result<(), SpiError> {
        Ok(())
    }

    fn is_opened_by_others(&self) -> bool {
        true
    }
}
