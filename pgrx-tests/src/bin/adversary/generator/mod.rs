//! Random SQL over the tables of the help desk. It is typed, so that most of it runs, and grows no larger
//! than a few tables; a part of it fails on purpose, since errors tell things, too.

mod calls;
mod expressions;
mod searches;
mod selects;
mod settings;
mod tables;
mod values;
mod writes;

pub use expressions::HELPERS;

use crate::desk::{Desk, Ty};
use crate::random::Random;
use crate::session::Function;

pub struct Generator<'a> {
    pub random: Random,
    desk: &'a Desk,
    functions: &'a [Function],
    version: u32,
    /// Tables that can be referred to, innermost last.
    scope: Vec<Item>,
    names: usize,
    /// Parameters of the statement, if it may have some: their types are int8, text and uuid.
    parameters: bool,
}

#[derive(Clone, Debug)]
struct Item {
    alias: String,
    columns: Vec<(String, Ty)>,
    /// A table whose rows can be locked.
    lockable: bool,
}

const TYPES: [Ty; 5] = [Ty::Int, Ty::Text, Ty::Bool, Ty::Uuid, Ty::Time];

impl<'a> Generator<'a> {
    pub fn new(
        random: Random,
        desk: &'a Desk,
        functions: &'a [Function],
        version: u32,
    ) -> Generator<'a> {
        Generator {
            random,
            desk,
            functions,
            version,
            scope: Vec::new(),
            names: 0,
            parameters: false,
        }
    }

    fn alias(&mut self) -> String {
        self.names += 1;
        format!("x{}", self.names)
    }

    fn ty(&mut self) -> Ty {
        TYPES[self.random.weighted(&[35, 40, 10, 7, 8])]
    }

    /// A query at the top.
    pub fn query(&mut self) -> String {
        self.scope.clear();
        let depth = 1 + self.random.below(3);
        self.select(depth, None).0
    }

    /// One that has the parameters int8, text and uuid.
    pub fn query_with_parameters(&mut self) -> String {
        self.parameters = true;
        let query = self.query();
        self.parameters = false;
        // All of them, so that their types are known.
        format!("SELECT q.*, $1::bigint, $2::text, $3::uuid FROM ({query}) AS q")
    }
}
