//! Functions that SQL knows once for each type of keys. Their names are written out, so that a search finds them.

/// Makes the functions that are named, of what follows `=>`, where a placeholder stands for the name and one for the
/// type of the key: bigint, uuid and text for three names; uuid and text for two; and for five the integers by their
/// sizes, for columns that stand in a call as they are, so that the planner finds their indexes. A third placeholder
/// stands for what follows the names.
macro_rules! for_key_types {
    (
        |$d:tt $name:ident, $_k:tt $key:ident|
        $([$($function:ident),+]),+ => $($body:tt)*
    ) => {
        macro_rules! define {
            ($d $name:ident, $d $key:ty) => { $($body)* };
        }
        $($crate::tables::key_functions::for_key_types!(@types define, $($function),+);)+
    };
    (
        |$d:tt $name:ident, $_k:tt $key:ident, $_w:tt $with:ident|
        $([$($function:ident),+] with $value:expr),+ => $($body:tt)*
    ) => {
        macro_rules! define {
            ($d $name:ident, $d $key:ty, $d $with:expr) => { $($body)* };
        }
        $($crate::tables::key_functions::for_key_types!(@types define, $($function),+; $value);)+
    };
    (@types $define:ident, $uuid:ident, $text:ident $(; $with:expr)?) => {
        $define!($uuid, pgrx::Uuid $(, $with)?);
        $define!($text, &str $(, $with)?);
    };
    (@types $define:ident, $number:ident, $uuid:ident, $text:ident $(; $with:expr)?) => {
        $define!($number, i64 $(, $with)?);
        $define!($uuid, pgrx::Uuid $(, $with)?);
        $define!($text, &str $(, $with)?);
    };
    (
        @types $define:ident,
        $int2:ident, $int4:ident, $int8:ident, $uuid:ident, $text:ident $(; $with:expr)?
    ) => {
        $define!($int2, i16 $(, $with)?);
        $define!($int4, i32 $(, $with)?);
        $define!($int8, i64 $(, $with)?);
        $define!($uuid, pgrx::Uuid $(, $with)?);
        $define!($text, &str $(, $with)?);
    };
}
pub(crate) use for_key_types;

/// The same for functions that give a list of keys: the placeholders stand for the name, the type of the elements, its
/// KeyType, and the field of KeyList that has them; a fifth for what follows the names.
macro_rules! for_key_lists {
    (
        |$d:tt $name:ident, $_e:tt $element:ident, $_k:tt $kind:ident, $_l:tt $list:ident, $_w:tt $with:ident|
        $([$numbers:ident, $uuids:ident, $texts:ident] with $value:expr),+ => $($body:tt)*
    ) => {
        macro_rules! define {
            ($d $name:ident, $d $element:ty, $d $kind:ident, $d $list:ident, $d $with:expr) => {
                $($body)*
            };
        }
        $(
            define!($numbers, i64, Number, numbers, $value);
            define!($uuids, pgrx::Uuid, Uuid, uuids, $value);
            define!($texts, String, Text, texts, $value);
        )+
    };
}
pub(crate) use for_key_lists;
