//! Patterns that raise no error, whatever the text is.

use pgrx::pg_sys;

use crate::pg::node::Node;

/// The operator || of texts.
const CONCATENATION: u32 = 654;
/// To match a pattern recurses for each % at most. A pattern that has so many is none that anybody looks for, and far from
/// the limit of the stack.
const MOST_PARTS: usize = 500;
/// The same of regular expressions, in bytes.
const LONGEST_REGEXP: usize = 1000;

/// What is wrong with a pattern of LIKE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It ends with the character that escapes the next one.
    Escape,
    TooLong,
}

/// What a parameter is to a condition. It is looked at when the plan starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Any value.
    Value,
    /// A part of a pattern of LIKE, but for its end.
    Part,
    /// The end of one, or all of it.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub parameter: i32,
    pub is: Use,
}

impl Asked {
    pub fn value(parameter: i32) -> Asked {
        Asked {
            parameter,
            is: Use::Value,
        }
    }
}

/// Can this pattern of LIKE raise no error? `asks` gets the parameters of which that depends.
pub fn is_right(node: Node, asks: &mut Vec<Asked>) -> bool {
    is_right_part(node, true, asks)
}

fn is_right_part(node: Node, is_end: bool, asks: &mut Vec<Asked>) -> bool {
    let node = node.without_relabeling();
    if let Some(bytes) = node.bytes() {
        return check(bytes, is_end).is_ok();
    }
    if let Some(parameter) = node.get::<pg_sys::Param>() {
        let is_text = [pg_sys::TEXTOID, pg_sys::VARCHAROID].contains(&parameter.paramtype);
        let is_known = parameter.paramkind == pg_sys::ParamKind::PARAM_EXTERN;
        asks.push(Asked {
            parameter: parameter.paramid,
            is: if is_end { Use::End } else { Use::Part },
        });
        return is_text && is_known;
    }
    let is_concatenation = node
        .get::<pg_sys::OpExpr>()
        .is_some_and(|of| of.opno.to_u32() == CONCATENATION);
    match node.arguments() {
        // A constant that is not empty ends it, so that it does not matter how the rest ends.
        [start, end] if is_concatenation => {
            let ends = end.bytes().is_some_and(|bytes| !bytes.is_empty());
            (ends || !is_end)
                && is_right_part(*start, false, asks)
                && is_right_part(*end, is_end, asks)
        }
        _ => false,
    }
}

/// Is it a pattern, or a part of one, that raises no error?
pub fn check(pattern: &[u8], is_end: bool) -> Result<(), Wrong> {
    if pattern.iter().filter(|byte| **byte == b'%').count() > MOST_PARTS {
        return Err(Wrong::TooLong);
    }
    // All encodings of servers have the characters of ASCII as such bytes, and no others.
    let escapes = pattern
        .iter()
        .rev()
        .take_while(|byte| **byte == b'\\')
        .count();
    if is_end && escapes % 2 == 1 {
        return Err(Wrong::Escape);
    }
    Ok(())
}

/// A regular expression that is short, and has neither references back nor anything else that makes it look at a text in
/// more than one way.
pub fn is_simple_regexp(pattern: &[u8]) -> bool {
    let is_special = |part: &[u8]| match part {
        [b'(', b'?', next] => *next != b':',
        [_, b'\\', next] => next.is_ascii_digit(),
        _ => false,
    };
    pattern.len() <= LONGEST_REGEXP
        && !pattern.starts_with(b"***")
        && !pattern.starts_with(b"\\")
        && !pattern.windows(3).any(is_special)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_does_not_end_with_an_escape() {
        for right in ["", "%", "a\\%", "a\\\\", "\\\\\\\\", "50\\%%"] {
            assert_eq!(check(right.as_bytes(), true), Ok(()), "{right}");
        }
        for wrong in ["\\", "%a\\", "a\\\\\\"] {
            assert_eq!(check(wrong.as_bytes(), true), Err(Wrong::Escape), "{wrong}");
            assert_eq!(check(wrong.as_bytes(), false), Ok(()), "{wrong}");
        }
        assert_eq!(check("%a".repeat(500).as_bytes(), true), Ok(()));
        assert_eq!(
            check("%a".repeat(501).as_bytes(), true),
            Err(Wrong::TooLong)
        );
    }

    #[test]
    fn a_simple_regular_expression_looks_once() {
        for simple in ["^INV-[0-9]{4}$", "a|b", "^\\mword\\M", "(ab)*", "(?:a|b)"] {
            assert!(is_simple_regexp(simple.as_bytes()), "{simple}");
        }
        for other in ["(a)\\1", "a(?=b)", "(?i)a", "***:a", &"a".repeat(1001)] {
            assert!(!is_simple_regexp(other.as_bytes()), "{other}");
        }
    }
}
