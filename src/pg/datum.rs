//! Values of PostgreSQL's types, in memory of their own.

use pgrx::pg_sys;
use uuid::Uuid;

/// In memory of its own.
pub fn uuid_datum(uuid: Uuid) -> pg_sys::Datum {
    // SAFETY: palloc does not return null.
    unsafe {
        let copy = pg_sys::palloc(size_of::<uuid::Bytes>()).cast::<uuid::Bytes>();
        copy.write(uuid.into_bytes());
        pg_sys::Datum::from(copy)
    }
}

/// In memory of its own.
pub fn text_datum(text: &str) -> pg_sys::Datum {
    // SAFETY: copies the text.
    unsafe {
        pg_sys::Datum::from(pg_sys::cstring_to_text_with_len(
            text.as_ptr().cast(),
            text.len() as std::ffi::c_int,
        ))
    }
}

/// A jsonb as PostgreSQL writes it. serde_json alone cannot read each: a number may be too large, or the whole too
/// deep.
///
/// # Safety
/// The datum is a jsonb.
pub unsafe fn jsonb_text(datum: pg_sys::Datum) -> String {
    // SAFETY: as the caller promises; it writes a C string.
    unsafe {
        let text = pg_sys::OidOutputFunctionCall(pg_sys::F_JSONB_OUT.into(), datum);
        std::ffi::CStr::from_ptr(text)
            .to_string_lossy()
            .into_owned()
    }
}
