//! What was renamed.

use pgrx::pg_sys;

use crate::pg::relation::text;

/// What a command gave another name, or another schema.
pub struct Rename {
    /// The former name of the column, policy or schema.
    pub from: Option<String>,
    pub to: Option<String>,
    /// As the command named the table.
    pub schema: Option<String>,
    pub table: Option<String>,
    /// Of a column of a type, which tables may be of.
    pub is_attribute: bool,
}

impl Rename {
    /// # Safety
    /// A parse tree.
    pub unsafe fn of(command: *mut pg_sys::Node) -> Option<Rename> {
        // SAFETY: the tag tells the type; the names are C strings or null.
        unsafe {
            let table = |named: *mut pg_sys::RangeVar| match named.as_ref() {
                Some(named) => (text(named.schemaname), text(named.relname)),
                None => (None, None),
            };
            match command.as_ref()?.type_ {
                pg_sys::NodeTag::T_RenameStmt => {
                    let rename = &*command.cast::<pg_sys::RenameStmt>();
                    let (schema, name) = table(rename.relation);
                    Some(Rename {
                        from: text(rename.subname),
                        to: text(rename.newname),
                        schema,
                        table: name,
                        is_attribute: rename.renameType == pg_sys::ObjectType::OBJECT_ATTRIBUTE,
                    })
                }
                pg_sys::NodeTag::T_AlterObjectSchemaStmt => {
                    let moved = &*command.cast::<pg_sys::AlterObjectSchemaStmt>();
                    let (schema, name) = table(moved.relation);
                    Some(Rename {
                        from: None,
                        to: None,
                        schema,
                        table: name,
                        is_attribute: false,
                    })
                }
                _ => None,
            }
        }
    }
}
