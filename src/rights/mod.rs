//! Who acts, what it may do at one moment, and whose rights a running statement has.
//! May use: pg, tables, signals, protection.

pub mod cache;
pub mod call_site;
pub mod everyone;
pub mod external_keys;
pub mod identity;
pub mod known_tables;
pub mod leader;
pub mod load;
pub mod marks;
pub mod own_query;
pub mod owner_sql;
pub mod role;
pub mod session;
pub mod settings;
pub mod shared_list;
pub mod statement;
